package jobs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/model"
)

// workerURL makes this binary a worker of the database that it names, until it is killed or its standard input ends.
const workerURL = "FLUXORA_TEST_WORKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		if err := beWorker(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func engine(s *store.Store) *jobs.Engine {
	return &jobs.Engine{Store: s, History: 365 * 24 * time.Hour, Threads: 2, Version: "test"}
}

func beWorker(url string) error {
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	s, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		return err
	}
	trainer, err := jobs.NewTrainer(jobs.TrainerOptions{
		Store: s, Pool: s.Pool(), Registry: registry.New(s, signer{}, nil, log, time.Now), Learner: engine(s), Timeout: 5 * time.Minute, Log: log, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if err := trainer.Start(ctx); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// TestAnotherWorkerGoesOnWithTheContest kills a worker's process in the middle of a contest. Another does what is left, no fit
// twice, and comes to the bytes that an undisturbed training comes to.
func TestAnotherWorkerGoesOnWithTheContest(t *testing.T) {
	w := open(t)
	for i := range 3 {
		w.building(t, 120, uint64(i))
	}
	pool := w.store.Pool()
	// Every save of a fit is written down, and the sixth waits for a lock that this test holds: the worker stands in the contest's
	// second fold.
	const lock = 4711
	if _, err := pool.Exec(t.Context(), `
		create table saved (key text, n serial);
		create function note_save() returns trigger language plpgsql as $$ begin
			if new.key like '%fit-%' then
				insert into saved (key) values (new.key);
				if (select count(*) from saved) = 6 then perform pg_advisory_xact_lock(4711); end if;
			end if;
			return new;
		end $$;
		create trigger note_save before insert or update on training_checkpoint for each row execute function note_save()`); err != nil {
		t.Fatal(err)
	}
	holder, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Release()
	if _, err := holder.Exec(t.Context(), `select pg_advisory_lock($1)`, lock); err != nil {
		t.Fatal(err)
	}

	worker := exec.CommandContext(t.Context(), os.Args[0])
	worker.Env = append(os.Environ(), workerURL+"="+pool.Config().ConnString())
	worker.Stderr = os.Stderr
	stdin, err := worker.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	run := w.ask(t)
	waiting := 0
	for look, deadline := time.NewTicker(20*time.Millisecond), time.Now().Add(2*time.Minute); waiting == 0; <-look.C {
		if err := pool.QueryRow(t.Context(), `select coalesce(max(pid), 0) from pg_locks where locktype = 'advisory' and objid = $1 and not granted`, lock).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the worker does not come to its sixth fit")
		}
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait() // killed
	if _, err := holder.Exec(t.Context(), `select pg_terminate_backend($1)`, waiting); err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `select pg_advisory_unlock($1)`, lock); err != nil {
		t.Fatal(err)
	}
	saves := func() (keys []string) {
		t.Helper()
		rows, err := pool.Query(t.Context(), `select key from saved order by n`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var key string
			if err := rows.Scan(&key); err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		return keys
	}
	before := saves()
	if r, err := w.store.TrainingRun(t.Context(), w.org, run); err != nil || r.State != "running" || len(before) != 5 {
		t.Fatalf("killed after %v; run %+v, %v", before, r, err)
	}

	// A minute without a beat later the training goes back to the queue.
	for _, sql := range []string{`update training_run set beat_at = now() - interval '2 minutes'`, `update queue.river_job set attempted_at = now() - interval '3 minutes'`} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	schedule := jobs.NewSchedule(jobs.ScheduleOptions{Store: w.store, Asker: w.Asker, Log: slog.New(slog.DiscardHandler), Now: time.Now, FirstAfter: 1000 * time.Hour * 24})
	if err := schedule.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.work(t, engine(w.store))
	r, stages := w.end(t, run)
	if r.State != "done" || r.Attempt != 2 || r.Model == nil {
		t.Fatalf("run %+v", r)
	}
	all := saves()
	if slices.Sort(all); len(all) != 21 || len(slices.Compact(slices.Clone(all))) != 21 { // two folds and the last fit: two families twice, one of them to young points too, and the whole
		t.Errorf("%d fits were kept, some of them twice: %v", len(all), all)
	}
	for _, s := range stages {
		if len(s) > 60 {
			t.Errorf("stage %q", s)
		}
	}
	_, artifact, err := w.store.Model(t.Context(), w.org, r.Model.String())
	if err != nil {
		t.Fatal(err)
	}
	undisturbed, err := engine(w.store).Learn(t.Context(), jobs.Task{Org: w.org, Resolution: time.Hour, Progress: func(string, float64) {}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := model.Encode(undisturbed.Artifact)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(artifact, want) {
		t.Error("the artifact differs from that of a training that nobody killed")
	}
	if undisturbed.Reason != r.Reason {
		t.Errorf("decided %q, undisturbed %q", r.Reason, undisturbed.Reason)
	}
	left := 0
	if err := pool.QueryRow(t.Context(), `select count(*) from training_checkpoint`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d checkpoints left, %v", left, err)
	}
}
