package jobs_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// signer signs with some key.
type signer struct{}

func (signer) SignArtifact(digest [sha256.Size]byte) []byte {
	return model.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), digest)
}

// learner answers as it is told.
type learner func(ctx context.Context, active *model.Artifact, progress jobs.Progress) (jobs.Result, error)

func (f learner) Learn(ctx context.Context, t jobs.Task) (jobs.Result, error) {
	return f(ctx, t.Active, t.Progress)
}

// artifact is a small model, fitted once for all tests.
var artifact = sync.OnceValue(func() *model.Artifact {
	h := feature.History{Start: meter.Millis(1_700_000_000_000).Floor(time.Hour), Resolution: time.Hour, Energy: make([]float64, 60*24)}
	for i := range h.Energy {
		h.Energy[i] = 500 + 100*math.Mod(float64(i*i), 24)
	}
	art, _, err := train.Fit(context.Background(), train.Dataset{Points: []train.Point{{ID: "p", Register: meter.EnergyImport, History: h}}},
		train.Params{Family: model.FamilySeasonal, Threads: 1}, nil)
	if err != nil {
		panic(err)
	}
	return art
})

type world struct {
	*jobs.Asker
	store    *store.Store
	registry *registry.Registry
	org      uuid.UUID
}

func open(t testing.TB) world {
	t.Helper()
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	s := storetest.Open(t)
	if err := jobs.Migrate(ctx, s.Pool(), log); err != nil {
		t.Fatal(err)
	}
	org, err := s.EnsureOrganisation(ctx, "alpha")
	if err != nil {
		t.Fatal(err)
	}
	asker, err := jobs.NewAsker(s, s.Pool(), log)
	if err != nil {
		t.Fatal(err)
	}
	return world{asker, s, registry.New(s, signer{}, nil, log, time.Now), org}
}

// work starts a trainer and returns what stops it.
func (w world) work(t testing.TB, l jobs.Learner) (stop func()) {
	t.Helper()
	trainer, err := jobs.NewTrainer(jobs.TrainerOptions{
		Store: w.store, Pool: w.store.Pool(), Registry: w.registry, Learner: l, Timeout: 10 * time.Minute, // the race detector is slow
		Beat: 20 * time.Millisecond, Retry: time.Millisecond, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := trainer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := trainer.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (w world) ask(t testing.TB) uuid.UUID {
	t.Helper()
	run, _, err := w.Train(t.Context(), w.org, time.Hour, jobs.CauseDemand)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// end waits for the end of a run and returns it with the stages that were seen.
func (w world) end(t testing.TB, run uuid.UUID) (store.TrainingRun, []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var stages []string
	r, err := w.Follow(ctx, w.org, run, 5*time.Millisecond, func(r store.TrainingRun) { stages = append(stages, r.Stage) })
	if err != nil {
		t.Fatal(err)
	}
	return r, stages
}

func better(reason string) learner {
	return func(context.Context, *model.Artifact, jobs.Progress) (jobs.Result, error) {
		return jobs.Result{Artifact: artifact(), Better: true, Reason: reason, Intervals: 9, Scores: []registry.Score{{Contender: "candidate", MASE: 0.7}}}, nil
	}
}

func TestTrainingPromotes(t *testing.T) {
	w := open(t)
	seen := make(chan struct{})
	w.work(t, learner(func(ctx context.Context, active *model.Artifact, progress jobs.Progress) (jobs.Result, error) {
		if active != nil {
			t.Error("there is an active model before the first")
		}
		progress("fitting", 42)
		select { // until the one who follows has seen it
		case <-seen:
		case <-ctx.Done():
		}
		return better("it is the first")(ctx, active, progress)
	}))
	run := w.ask(t)
	r, err := w.Follow(t.Context(), w.org, run, 5*time.Millisecond, sync.OnceValue(func() func(store.TrainingRun) {
		once := sync.OnceFunc(func() { close(seen) })
		return func(r store.TrainingRun) {
			if r.Stage == "fitting" && r.Percent == 42 {
				once()
			}
		}
	})())
	if err != nil {
		t.Fatal(err)
	}
	if r.State != "done" || r.Outcome != "promoted" || r.Reason != "it is the first" || r.Attempt != 1 || r.Intervals != 9 || r.Percent != 100 {
		t.Errorf("run %+v", r)
	}
	scores, err := registry.DecodeScores(r.Scores)
	if err != nil || len(scores) != 1 || scores[0].MASE != 0.7 {
		t.Errorf("scores %v, %v", scores, err)
	}
	active, err := w.registry.Active(t.Context(), w.org, time.Hour)
	if err != nil || active.ID != r.Model.String() {
		t.Errorf("active %v, %v, want %s", active, err, r.Model)
	}
}

func TestWorseIsRejectedAndNothingIsSkipped(t *testing.T) {
	w := open(t)
	var answers atomic.Int64
	w.work(t, learner(func(context.Context, *model.Artifact, jobs.Progress) (jobs.Result, error) {
		if answers.Add(1) == 1 {
			return jobs.Result{Artifact: artifact(), Reason: "the baseline is better"}, nil
		}
		return jobs.Result{}, errors.Join(errors.New("3 days only"), jobs.ErrNothing)
	}))
	if r, _ := w.end(t, w.ask(t)); r.State != "done" || r.Outcome != "rejected" || r.Reason != "the baseline is better" {
		t.Errorf("worse candidate: %+v", r)
	}
	if r, _ := w.end(t, w.ask(t)); r.State != "done" || r.Outcome != "skipped" || !strings.Contains(r.Reason, "3 days only") || r.Attempt != 1 {
		t.Errorf("nothing to learn from: %+v", r)
	}
	if _, err := w.registry.Active(t.Context(), w.org, time.Hour); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("active model: %v, want none", err)
	}
}

func TestOneUnfinishedTrainingAtATime(t *testing.T) {
	w := open(t)
	first, fresh, err := w.Train(t.Context(), w.org, time.Hour, jobs.CauseDemand)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			run, fresh, err := w.Train(context.Background(), w.org, time.Hour, jobs.CauseSchedule)
			if err != nil || fresh || run != first {
				t.Errorf("asked again: run %s, fresh %t, %v, want the unfinished %s", run, fresh, err, first)
			}
		})
	}
	wg.Wait()
	if run, fresh, err := w.Train(t.Context(), w.org, 15*time.Minute, jobs.CauseDemand); err != nil || !fresh || run == first {
		t.Errorf("another resolution: %s, %t, %v, want a run of its own", run, fresh, err)
	}
	w.work(t, better("x"))
	w.end(t, first)
	if _, fresh, err := w.Train(t.Context(), w.org, time.Hour, jobs.CauseDemand); err != nil || !fresh {
		t.Errorf("after the end: fresh %t, %v, want another", fresh, err)
	}
}

func TestFailureIsTriedAgainAndGivenUp(t *testing.T) {
	w := open(t)
	var tries atomic.Int64
	w.work(t, learner(func(ctx context.Context, a *model.Artifact, p jobs.Progress) (jobs.Result, error) {
		if n := tries.Add(1); n == 2 {
			return better("at the second attempt")(ctx, a, p)
		}
		return jobs.Result{}, errors.New("out of luck")
	}))
	if r, _ := w.end(t, w.ask(t)); r.Outcome != "promoted" || r.Attempt != 2 {
		t.Errorf("after one failure: %+v", r)
	}
	if r, _ := w.end(t, w.ask(t)); r.State != "failed" || !strings.Contains(r.Reason, "out of luck") || r.Attempt != 4 {
		t.Errorf("failing always: %+v", r)
	}
}

func TestStoppedTrainerPutsTheTrainingBack(t *testing.T) {
	w := open(t)
	began := make(chan struct{})
	stop := w.work(t, learner(func(ctx context.Context, _ *model.Artifact, _ jobs.Progress) (jobs.Result, error) {
		close(began)
		<-ctx.Done()
		return jobs.Result{}, context.Cause(ctx)
	}))
	run := w.ask(t)
	<-began
	stop()
	if r, err := w.store.TrainingRun(t.Context(), w.org, run); err != nil || r.State != "queued" {
		t.Fatalf("after the stop: %+v, %v, want queued", r, err)
	}
	w.work(t, better("by the next trainer"))
	if r, _ := w.end(t, run); r.Outcome != "promoted" || r.Attempt != 1 {
		t.Errorf("run %+v, want promoted at attempt 1: a stop is no failure", r)
	}
}

// kill leaves the database as a trainer does that was killed in the middle of an attempt.
func (w world) kill(t testing.TB, run uuid.UUID, attempt int) {
	t.Helper()
	for _, sql := range []string{
		`update training_run set state = 'running', stage = 'fitting', beat_at = now() - interval '10 minutes' where run_id = $1 and $2 > 0`,
		`update queue.river_job set state = 'running', attempt = $2, attempted_at = now() - interval '11 minutes', attempted_by = '{gone}' where args->>'run' = $1::text`,
	} {
		if _, err := w.store.Pool().Exec(t.Context(), sql, run.String(), attempt); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKilledTrainersTrainingGoesOn(t *testing.T) {
	w := open(t)
	schedule := jobs.NewSchedule(jobs.ScheduleOptions{Store: w.store, Asker: w.Asker, Log: slog.New(slog.DiscardHandler), Now: time.Now, FirstAfter: time.Hour})
	run := w.ask(t)
	w.kill(t, run, 1)
	if err := schedule.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.work(t, better("in the end"))
	if r, _ := w.end(t, run); r.Outcome != "promoted" || r.Attempt != 2 {
		t.Errorf("run %+v, want promoted at attempt 2", r)
	}

	last := w.ask(t)
	w.kill(t, last, 4)
	if err := schedule.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, _ := w.end(t, last); r.State != "failed" || r.Reason == "" {
		t.Errorf("run %+v, want failed: it killed every trainer", r)
	}
	if _, fresh, err := w.Train(t.Context(), w.org, time.Hour, jobs.CauseDemand); err != nil || !fresh {
		t.Errorf("after giving up: fresh %t, %v, want another training possible", fresh, err)
	}
}
