package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/model"
)

func TestCancelledTrainingNeverPromotes(t *testing.T) {
	w := open(t)
	queued := w.ask(t)
	if err := w.Cancel(t.Context(), w.org, queued, "not today"); err != nil {
		t.Fatal(err)
	}
	began, ended := make(chan struct{}, 9), make(chan error, 9)
	w.work(t, learner(func(ctx context.Context, a *model.Artifact, p jobs.Progress) (jobs.Result, error) {
		began <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return better("too late")(ctx, a, p) // as one that does not look at ctx
	}))
	running := w.ask(t)
	<-began
	if err := w.Cancel(t.Context(), w.org, running, "changed my mind"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the learner was not told")
	}
	for run, why := range map[uuid.UUID]string{queued: "not today", running: "changed my mind"} {
		r, err := w.store.TrainingRun(t.Context(), w.org, run)
		if err != nil || r.State != "cancelled" || r.Reason != why || r.FinishedAt == nil || r.Model != nil {
			t.Errorf("run %+v, %v", r, err)
		}
		if err := w.Cancel(t.Context(), w.org, run, "again"); !errors.Is(err, store.ErrConflict) {
			t.Errorf("cancelled a second time: %v", err)
		}
	}
	if err := w.Cancel(t.Context(), w.org, uuid.New(), ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such run: %v", err)
	}
	// The next training is not held up, and nothing that was cancelled comes back.
	next := w.ask(t)
	<-began
	if err := w.Cancel(t.Context(), w.org, next, ""); err != nil {
		t.Error(err)
	}
	if _, err := w.registry.Active(t.Context(), w.org, time.Hour); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("active model: %v, want none", err)
	}
}

// remembering saves a checkpoint, dies, and goes on from it.
type remembering struct{ found chan string }

func (l remembering) Learn(ctx context.Context, t jobs.Task) (jobs.Result, error) {
	b, err := t.Checkpoints.Load("fold 1")
	if err != nil {
		return jobs.Result{}, err
	}
	l.found <- string(b)
	if b == nil {
		return jobs.Result{}, errors.Join(errors.New("power cut"), t.Checkpoints.Save("fold 1", []byte("half way")))
	}
	return better("from where it was")(ctx, t.Active, t.Progress)
}

func TestNextAttemptGoesOnFromTheCheckpoint(t *testing.T) {
	w := open(t)
	l := remembering{make(chan string, 9)}
	w.work(t, l)
	for range 2 { // a later run begins without what the first one kept
		if r, _ := w.end(t, w.ask(t)); r.Outcome != "promoted" || r.Attempt != 2 {
			t.Fatalf("run %+v", r)
		}
		if a, b := <-l.found, <-l.found; a != "" || b != "half way" {
			t.Errorf("found %q, then %q", a, b)
		}
	}
	left := 0
	if err := w.store.Pool().QueryRow(t.Context(), `select count(*) from training_checkpoint`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d checkpoints left, %v", left, err)
	}
}

func TestTwoTrainersShareOneQueue(t *testing.T) {
	w := open(t)
	began := make(chan struct{})
	for range 2 {
		w.work(t, learner(func(ctx context.Context, a *model.Artifact, p jobs.Progress) (jobs.Result, error) {
			began <- struct{}{}
			return better("once")(ctx, a, p)
		}))
	}
	run := w.ask(t)
	<-began
	if r, _ := w.end(t, run); r.Outcome != "promoted" || r.Attempt != 1 {
		t.Errorf("run %+v", r)
	}
	select {
	case <-began:
		t.Error("both trainers worked one training")
	default:
	}
}
