package jobs_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/store"
)

// fold says that a register of a new point has so much history.
func (w world) fold(t testing.TB, register string, days float64) uuid.UUID {
	t.Helper()
	id := uuid.New()
	to := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	_, err := w.store.Pool().Exec(t.Context(), `insert into fold (org_id, point_id, register, resolution_ms, zone, first_at, last_at, state)
		values ($1, $2, $3, 3600000, 'UTC', $4, $5, '')`, w.org, id, register, to-int64(days*24*3600*1000), to)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestFirstTrainingWaitsForHistory(t *testing.T) {
	w := open(t)
	clock := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s := jobs.NewSchedule(jobs.ScheduleOptions{
		Store: w.store, Asker: w.Asker, Log: slog.New(slog.DiscardHandler), FirstAfter: 14 * 24 * time.Hour,
		Now: func() time.Time { return clock },
	})
	runs := func() int {
		t.Helper()
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		rs, err := w.store.TrainingRuns(t.Context(), w.org, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(rs)
	}
	want := func(when string, n int) {
		t.Helper()
		if got := runs(); got != n {
			t.Fatalf("%s: %d trainings, want %d", when, got, n)
		}
	}
	finish := func(outcome string, intervals int64) {
		t.Helper()
		rs, err := w.store.TrainingRuns(t.Context(), w.org, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.store.FinishTrainingRun(t.Context(), w.org, rs[0].ID, store.TrainingRun{State: "done", Outcome: outcome, Intervals: intervals}, clock, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Pool().Exec(t.Context(), `update queue.river_job set state = 'completed', finalized_at = now()`); err != nil {
			t.Fatal(err)
		}
	}

	want("nothing", 0)
	w.fold(t, "energy-import", 13)
	want("13 days", 0)
	w.fold(t, "energy-import", 15)
	w.fold(t, "power-import", 1) // holds no energy
	want("half of the points have enough, but it grows", 0)
	want("it has settled", 1)
	want("it is unfinished", 1)
	finish("skipped", 28*24)
	want("there is no model yet, but it has just been tried", 1)
	clock = clock.Add(11 * time.Minute)
	want("there is no model yet", 2)
	finish("promoted", 28*24)
	if _, err := w.store.Pool().Exec(t.Context(), `insert into model (org_id, model_id, family, state, spec, resolution_ms, trained_from, trained_to, points, rows, scores, sha256, signature, artifact)
		values ($1, $2, 'gbdt', 'active', '', 3600000, now(), now(), 1, 1, '[]', '', '', '')`, w.org, uuid.New()); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(time.Hour)
	want("there is a model", 2)
	w.fold(t, "energy-export", 60)
	want("a backfill is coming in", 2)
	want("there is twice the history", 3)
}

func TestMostPointsMustHaveHistory(t *testing.T) {
	w := open(t)
	s := jobs.NewSchedule(jobs.ScheduleOptions{Store: w.store, Asker: w.Asker, Log: slog.New(slog.DiscardHandler), FirstAfter: 14 * 24 * time.Hour, Now: time.Now})
	for _, days := range []float64{20, 1, 1} {
		w.fold(t, "energy-import", days)
	}
	for range 3 {
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if rs, err := w.store.TrainingRuns(t.Context(), w.org, 10); err != nil || len(rs) != 0 {
		t.Errorf("trainings %v, %v, want none while one point of three has history", rs, err)
	}
}
