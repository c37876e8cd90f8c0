package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"fluxora.dev/hub/internal/store"
)

const (
	silentFor  = time.Minute      // without a sign of life after which a trainer counts as dead
	growth     = 2                // times the history of the last training at which another one is due
	restAfter  = 10 * time.Minute // after a training that brought no model, before the next is considered
	mostWaits  = 20               // checks that a growing history is waited for
	stillGrows = 1.05             // growth between two checks at which a backfill is under way
)

// ScheduleOptions say when trainings are due.
type ScheduleOptions struct {
	Store        *store.Store
	Asker        *Asker
	Hour, Minute int            // of the daily training
	Zone         *time.Location // that they are in
	FirstAfter   time.Duration  // history that the first training waits for
	CheckEvery   time.Duration
	Log          *slog.Logger
	Now          func() time.Time
}

// Schedule asks for trainings when they are due. Several hubs may run it on one database: jobs are unique, and the daily
// round is asked for by the queue's leader alone.
type Schedule struct {
	o    ScheduleOptions
	seen map[targetKey]sighting
}

type targetKey struct {
	org        uuid.UUID
	resolution time.Duration
}

// sighting is how much history a target had at the check before, and for how many checks it has been growing.
type sighting struct {
	intervals int64
	waits     int
}

// NewSchedule returns a schedule that does not run yet.
func NewSchedule(o ScheduleOptions) *Schedule {
	return &Schedule{o: o, seen: map[targetKey]sighting{}}
}

// Run checks until ctx ends.
func (s *Schedule) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.CheckEvery)
	defer tick.Stop()
	failing := false
	for {
		err := s.Check(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			s.o.Log.WarnContext(ctx, "trainings that are due not looked for; trying on", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Check releases what dead trainers hold and asks for the trainings that are due by the amount of history.
func (s *Schedule) Check(ctx context.Context) error {
	n, err := s.o.Store.ReleaseDeadTrainings(ctx, silentFor)
	if err != nil {
		return err
	}
	if n > 0 {
		s.o.Log.WarnContext(ctx, "trainers ended without a word; their trainings go back to the queue", "trainings", n)
	}
	targets, err := s.o.Store.TrainingTargets(ctx, s.o.FirstAfter)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if !s.due(t) {
			continue
		}
		run, fresh, err := s.o.Asker.Train(ctx, t.Org, t.Resolution, CauseFirst)
		if err != nil {
			return err
		}
		if fresh {
			s.o.Log.InfoContext(ctx, "training asked for", "run", run, "resolution", t.Resolution, "points", t.Points, "intervals", t.Intervals)
		}
	}
	return nil
}

// due reports whether a target wants a training now: when most of its points have enough history and there is no model yet,
// or when there is twice the history of the last training. While a backfill is coming in it waits for its end, up to
// mostWaits checks.
func (s *Schedule) due(t store.TrainingTarget) bool {
	key := targetKey{t.Org, t.Resolution}
	before, known := s.seen[key]
	now := sighting{intervals: t.Intervals}
	if known && float64(t.Intervals) > stillGrows*float64(before.intervals) {
		now.waits = before.waits + 1
	}
	s.seen[key] = now
	switch {
	case t.Unfinished, t.Ready == 0, 2*t.Ready < t.Points:
		return false
	case !known, now.waits > 0 && now.waits < mostWaits:
		return false
	case t.LastFinished == nil:
		return true
	case t.LastIntervals > 0 && t.Intervals >= growth*t.LastIntervals:
		return true
	default:
		return !t.HasActive && s.o.Now().Sub(*t.LastFinished) >= restAfter
	}
}

// planArgs is the daily round: it asks for a training of every organisation and resolution.
type planArgs struct{}

// Kind names the job in the queue.
func (planArgs) Kind() string { return "plan-training" }

type planner struct {
	river.WorkerDefaults[planArgs]
	s *Schedule
}

// Work asks for the day's trainings.
func (p *planner) Work(ctx context.Context, _ *river.Job[planArgs]) error {
	targets, err := p.s.o.Store.TrainingTargets(ctx, p.s.o.FirstAfter)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Ready == 0 {
			continue
		}
		if _, _, err := p.s.o.Asker.Train(ctx, t.Org, t.Resolution, CauseSchedule); err != nil {
			return fmt.Errorf("plan trainings: %w", err)
		}
	}
	return nil
}

// daily is the schedule of one instant a day, by the clock on the wall.
type daily struct {
	hour, minute int
	zone         *time.Location
}

// Next returns the first such instant after t. On a day whose clock skips it, it is the instant an hour off.
func (d daily) Next(t time.Time) time.Time {
	local := t.In(d.zone)
	next := time.Date(local.Year(), local.Month(), local.Day(), d.hour, d.minute, 0, 0, d.zone)
	if !next.After(t) {
		next = time.Date(local.Year(), local.Month(), local.Day()+1, d.hour, d.minute, 0, 0, d.zone)
	}
	return next
}

// periodic returns the daily round as the queue knows it.
func (s *Schedule) periodic() *river.PeriodicJob {
	return river.NewPeriodicJob(daily{s.o.Hour, s.o.Minute, s.o.Zone},
		func() (river.JobArgs, *river.InsertOpts) {
			return planArgs{}, &river.InsertOpts{Queue: trainQueue, UniqueOpts: river.UniqueOpts{ByPeriod: time.Hour}}
		}, &river.PeriodicJobOpts{ID: "daily-training"})
}
