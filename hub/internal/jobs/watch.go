package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/watch"
)

const (
	watchQueue   = "watch"
	watchAfter   = 12                   // hours after the daily training
	watchHistory = 480 * 24 * time.Hour // of each point that is looked at
)

// watchArgs is the daily examination of every organisation and resolution.
type watchArgs struct{}

// Kind names the job in the queue.
func (watchArgs) Kind() string { return "watch" }

type watcher struct {
	river.WorkerDefaults[watchArgs]
	t *Trainer
}

// Timeout bounds one round.
func (w *watcher) Timeout(*river.Job[watchArgs]) time.Duration { return w.t.o.Timeout }

// Work examines everything that has a history.
func (w *watcher) Work(ctx context.Context, _ *river.Job[watchArgs]) error {
	s := w.t.o.Schedule
	targets, err := w.t.o.Store.TrainingTargets(ctx, s.o.FirstAfter)
	if err != nil {
		return err
	}
	var errs []error
	for _, target := range targets {
		if target.Ready > 0 {
			errs = append(errs, w.t.Watch(ctx, target.Org, target.Resolution))
		}
	}
	return errors.Join(errs...)
}

// periodicWatch returns the daily examination as the queue knows it.
func (s *Schedule) periodicWatch() *river.PeriodicJob {
	return river.NewPeriodicJob(daily{(s.o.Hour + watchAfter) % 24, s.o.Minute, s.o.Zone},
		func() (river.JobArgs, *river.InsertOpts) {
			return watchArgs{}, &river.InsertOpts{Queue: watchQueue, UniqueOpts: river.UniqueOpts{ByPeriod: time.Hour}}
		}, &river.PeriodicJobOpts{ID: "daily-watch"})
}

// Examiner examines points and the models that serve them.
type Examiner struct {
	Store    *store.Store
	Registry *registry.Registry
	Asker    *Asker // asked for a training when what is found calls for one; nil: none is
	Log      *slog.Logger
	Now      func() time.Time
}

// Watch examines as the daily examination does.
func (t *Trainer) Watch(ctx context.Context, org uuid.UUID, resolution time.Duration) error {
	e := Examiner{Store: t.o.Store, Registry: t.o.Registry, Log: t.o.Log, Now: t.o.Now}
	if t.o.Schedule != nil {
		e.Asker = t.o.Schedule.o.Asker
	}
	return e.Examine(ctx, org, resolution)
}

// Examine examines the active model of an organisation at a resolution and the points it serves, stores what it found, and asks
// for a training when that calls for one.
func (e Examiner) Examine(ctx context.Context, org uuid.UUID, resolution time.Duration) error {
	d, _, err := load(ctx, e.Store, org, resolution, watchHistory, func(string, float64) {})
	if err != nil {
		return err
	}
	active, err := e.Registry.Active(ctx, org, resolution)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r, err := watch.Examine(ctx, d, active, 0)
	if err != nil {
		return fmt.Errorf("examine points: %w", err)
	}
	row := store.WatchReport{Resolution: resolution, At: e.Now().UTC()}
	if active != nil {
		id, err := uuid.Parse(active.ID)
		if err != nil {
			return fmt.Errorf("active model: %w", err)
		}
		row.Model = &id
		if err := e.hear(ctx, org, id, &r); err != nil {
			return err
		}
	}
	var found []store.Finding
	for _, p := range r.Points {
		point, err := uuid.Parse(p.ID)
		if err != nil {
			return fmt.Errorf("examine point: %w", err)
		}
		for _, f := range p.Odd {
			found = append(found, store.Finding{
				Point: point, Register: string(p.Register), Kind: string(f.Kind), Start: f.Start.Time(), End: f.End.Time(),
				Wh: f.Energy, UsualWh: f.Usual, Score: f.Score, Reason: f.Reason,
			})
		}
	}
	// Without a model the schedule sees to the first one.
	if why, yes := r.Retrain(); yes && active != nil && e.Asker != nil {
		run, fresh, err := e.ask(ctx, org, resolution)
		if err != nil {
			return err
		}
		row.Reason, row.Run = why, &run
		e.Log.InfoContext(ctx, "a training is called for", "run", run, "resolution", resolution, "cause", CauseDrift, "reason", why, "new", fresh)
	}
	if row.Report, err = json.Marshal(r.Summary()); err != nil {
		return fmt.Errorf("store examination: %w", err)
	}
	if err := e.Store.PutWatch(ctx, org, row, found); err != nil {
		return err
	}
	e.Log.InfoContext(ctx, "points examined", "resolution", resolution, "points", len(r.Points), "findings", len(found))
	return nil
}

// driftRest is how long after a training that drift asked for it asks for no other: points go on to be unlike before for weeks, and
// learning the same anew every day does not help them.
const driftRest = 7 * 24 * time.Hour

// ask asks for a training because of drift, and returns the id of its run, or of the last one while that is recent.
func (e Examiner) ask(ctx context.Context, org uuid.UUID, resolution time.Duration) (run uuid.UUID, fresh bool, err error) {
	runs, err := e.Store.TrainingRuns(ctx, org, 50)
	if err != nil {
		return uuid.Nil, false, err
	}
	for _, r := range runs {
		if r.Cause == CauseDrift && r.Resolution == resolution && r.State != "cancelled" && r.State != "failed" && e.Now().Sub(r.RequestedAt) < driftRest {
			return r.ID, false, nil
		}
	}
	return e.Asker.Train(ctx, org, resolution, CauseDrift)
}

// hear adds to an examination what agents told of the model.
func (e Examiner) hear(ctx context.Context, org, id uuid.UUID, r *watch.Report) error {
	days, err := e.Store.LiveDays(ctx, org, id, r.LiveFrom().Time(), r.To.Add(24*time.Hour).Time())
	if err != nil {
		return err
	}
	told := make([]watch.Told, len(days))
	for i, d := range days {
		told[i] = watch.Told{Point: d.Point.String(), Register: d.Register, Day: d.Day}
	}
	r.Hear(told)
	return nil
}
