package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/model"
)

// Progress is told how far a training is: the stage in a word or two and the share of the whole in percent.
type Progress func(stage string, percent float64)

// Result is what came of fitting and measuring a candidate.
type Result struct {
	Artifact  *model.Artifact
	Scores    []registry.Score // candidate, active and baselines, on the same origins
	Better    bool             // than the active model and every baseline
	Reason    string           // why it is or is not
	Intervals int64            // of history that were there
	Record    store.RunRecord  // what it was made of
}

// Task is what a Learner is to do.
type Task struct {
	Org         uuid.UUID
	Resolution  time.Duration
	Active      *model.Artifact // what it competes with; nil when there is none
	Checkpoints *Checkpoints    // of this run
	Order       Order
	Progress    Progress
}

// Learner fits a candidate on everything an organisation has at a resolution and measures it beside the active model. An
// error that wraps ErrNothing ends the training without a retry.
type Learner interface {
	Learn(ctx context.Context, t Task) (Result, error)
}

// ErrNothing says that there is too little to learn from.
var ErrNothing = errors.New("nothing to learn from")

// TrainerOptions is what a trainer needs.
type TrainerOptions struct {
	Store    *store.Store
	Pool     *pgxpool.Pool
	Registry *registry.Registry
	Learner  Learner
	Exporter Exporter      // runs that are done are copied there; nil for nowhere
	Schedule *Schedule     // its daily round is worked too; nil for none
	Timeout  time.Duration // of one training
	Beat     time.Duration // between signs of life, at most; 1 s when 0
	Retry    time.Duration // before the second attempt, doubled with each further one; 15 s when 0
	Log      *slog.Logger
	Now      func() time.Time
	Done     func(outcome string, took time.Duration) // called at the end of each training; may be nil
}

// Trainer works trainings, one at a time.
type Trainer struct {
	o      TrainerOptions
	client *river.Client[pgx.Tx]
}

// NewTrainer returns a trainer that does not work yet.
func NewTrainer(o TrainerOptions) (*Trainer, error) {
	if o.Beat == 0 {
		o.Beat = time.Second
	}
	if o.Retry == 0 {
		o.Retry = 15 * time.Second
	}
	if o.Done == nil {
		o.Done = func(string, time.Duration) {}
	}
	workers := river.NewWorkers()
	t := &Trainer{o: o}
	if err := river.AddWorkerSafely(workers, &worker{t: t}); err != nil {
		return nil, fmt.Errorf("open trainer: %w", err)
	}
	queues := map[string]river.QueueConfig{trainQueue: {MaxWorkers: 1}}
	if o.Exporter != nil {
		if err := river.AddWorkerSafely(workers, &exportWorker{store: o.Store, to: o.Exporter}); err != nil {
			return nil, fmt.Errorf("open trainer: %w", err)
		}
		queues[exportQueue] = river.QueueConfig{MaxWorkers: 1}
	}
	var rounds []*river.PeriodicJob
	if o.Schedule != nil {
		if err := river.AddWorkerSafely(workers, &planner{s: o.Schedule}); err != nil {
			return nil, fmt.Errorf("open trainer: %w", err)
		}
		if err := river.AddWorkerSafely(workers, &watcher{t: t}); err != nil {
			return nil, fmt.Errorf("open trainer: %w", err)
		}
		queues[watchQueue] = river.QueueConfig{MaxWorkers: 1}
		rounds = append(rounds, o.Schedule.periodic(), o.Schedule.periodicWatch())
	}
	client, err := river.NewClient(riverpgxv5.New(o.Pool), &river.Config{
		Schema: schema, Logger: quiet(o.Log), Workers: workers, Queues: queues,
		JobTimeout: o.Timeout, RescueStuckJobsAfter: o.Timeout + time.Minute, MaxAttempts: maxAttempts, PeriodicJobs: rounds,
	})
	if err != nil {
		return nil, fmt.Errorf("open trainer: %w", err)
	}
	t.client = client
	return t, nil
}

// Start begins to work trainings; ctx bounds only the start.
func (t *Trainer) Start(ctx context.Context) error {
	if err := t.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start trainer: %w", err)
	}
	return nil
}

// Stop interrupts the training in hand, puts it back into the queue and returns when it has.
func (t *Trainer) Stop(ctx context.Context) error {
	if err := t.client.StopAndCancel(ctx); err != nil {
		return fmt.Errorf("stop trainer: %w", err)
	}
	return nil
}

type worker struct {
	river.WorkerDefaults[Args]
	t *Trainer
}

// Timeout bounds one training.
func (w *worker) Timeout(*river.Job[Args]) time.Duration { return w.t.o.Timeout }

// NextRetry waits longer after each attempt.
func (w *worker) NextRetry(job *river.Job[Args]) time.Time {
	return time.Now().Add(w.t.o.Retry << min(max(job.Attempt-1, 0), 8))
}

// Work carries out one attempt.
func (w *worker) Work(ctx context.Context, job *river.Job[Args]) error {
	o, a := w.t.o, job.Args
	log := o.Log.With("run", a.Run, "resolution", a.resolution(), "attempt", job.Attempt)
	began := o.Now()
	if err := o.Store.StartTrainingRun(ctx, a.Org, a.Run, job.Attempt, began); errors.Is(err, store.ErrNotFound) {
		return river.JobCancel(err)
	} else if err != nil {
		return err
	}
	log.InfoContext(ctx, "training begins")

	beats, stop := newBeats(ctx, o, a, began)
	end, err := w.t.train(ctx, a, beats)
	stop()
	if err == nil {
		err = o.Store.FinishTrainingRun(ctx, a.Org, a.Run, end, o.Now().UTC(), func(tx pgx.Tx) error {
			if o.Exporter != nil {
				if _, err := w.t.client.InsertTx(ctx, tx, exportArgs{Org: a.Org, Run: a.Run}, nil); err != nil {
					return err
				}
			}
			_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
			return err
		})
	}
	if err == nil {
		log.InfoContext(ctx, "training ends", "outcome", end.Outcome, "reason", end.Reason, "took", o.Now().Sub(began))
		o.Done(end.Outcome, o.Now().Sub(began))
		return nil
	}

	// What follows must be written even though the attempt's own context may have ended.
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	switch {
	case errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely): // its run says so already
		log.InfoContext(ctx, "training cancelled")
		o.Done("cancelled", o.Now().Sub(began))
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		log.InfoContext(ctx, "training interrupted, to be continued")
		return errors.Join(o.Store.RequeueTrainingRun(late, a.Org, a.Run, "the trainer was stopped"), river.JobSnooze(0))
	case errors.Is(err, train.ErrAsked): // another attempt would come to the same
		end = store.TrainingRun{State: "failed", Reason: err.Error()}
		o.Done("failed", o.Now().Sub(began))
		return errors.Join(river.JobCancel(err), o.Store.FinishTrainingRun(late, a.Org, a.Run, end, o.Now().UTC(), nil))
	case job.Attempt < job.MaxAttempts:
		log.WarnContext(ctx, "training did not succeed, to be tried again", "error", err)
		return errors.Join(err, o.Store.RequeueTrainingRun(late, a.Org, a.Run, err.Error()))
	default:
		end = store.TrainingRun{State: "failed", Reason: err.Error()}
	}
	log.ErrorContext(ctx, "training failed", "error", err)
	o.Done("failed", o.Now().Sub(began))
	return errors.Join(err, o.Store.FinishTrainingRun(late, a.Org, a.Run, end, o.Now().UTC(), nil))
}

// train fits, measures and decides.
func (t *Trainer) train(ctx context.Context, a Args, b *beats) (store.TrainingRun, error) {
	skipped := func(reason string) store.TrainingRun {
		return store.TrainingRun{State: "done", Stage: "done", Percent: 100, Outcome: "skipped", Reason: reason}
	}
	active, err := t.o.Registry.Active(ctx, a.Org, a.resolution())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.TrainingRun{}, err
	}
	res, err := t.o.Learner.Learn(ctx, Task{
		Org: a.Org, Resolution: a.resolution(), Active: active, Progress: b.note, Order: a.Order,
		Checkpoints: &Checkpoints{ctx: ctx, store: t.o.Store, org: a.Org, run: a.Run, found: b.skip},
	})
	if errors.Is(err, ErrNothing) {
		end := skipped(err.Error())
		end.Intervals, end.Record = res.Intervals, res.Record
		return end, nil
	}
	if err != nil {
		return store.TrainingRun{}, err
	}
	b.note("deciding", 97)
	origin := registry.Origin{Run: a.Run}
	if active != nil {
		if origin.Parent, err = uuid.Parse(active.ID); err != nil {
			return store.TrainingRun{}, fmt.Errorf("active model: %w", err)
		}
	}
	id, err := t.o.Registry.Add(ctx, a.Org, res.Artifact, res.Scores, origin)
	if err != nil {
		return store.TrainingRun{}, err
	}
	end := store.TrainingRun{State: "done", Stage: "done", Percent: 100, Outcome: "promoted", Reason: res.Reason, Model: &id, Intervals: res.Intervals, Record: res.Record}
	if end.Scores, err = registry.EncodeScores(res.Scores); err != nil {
		return store.TrainingRun{}, err
	}
	if res.Better {
		err = t.o.Registry.Promote(ctx, a.Org, id, res.Reason)
	} else {
		end.Outcome = "rejected"
		err = t.o.Registry.Reject(ctx, a.Org, id, res.Reason)
	}
	return end, err
}

// beats writes how far a training is at every Beat and new stage, so that people can watch and a trainer's death shows.
type beats struct {
	now     func() time.Time
	mu      sync.Mutex
	stage   string
	percent float64
	since   time.Time // when work began that percent grew by
	from    float64   // percent then: what an earlier attempt had done took no time
	skipped bool      // since is when percent is told next
	changed chan struct{}
}

func (b *beats) note(stage string, percent float64) {
	b.mu.Lock()
	renamed := stage != b.stage
	b.stage, b.percent = stage, percent
	if b.skipped {
		b.since, b.from, b.skipped = b.now(), percent, false
	}
	b.mu.Unlock()
	if renamed {
		select {
		case b.changed <- struct{}{}:
		default:
		}
	}
}

// skip notes that the next part was done by an earlier attempt.
func (b *beats) skip() {
	b.mu.Lock()
	b.skipped = true
	b.mu.Unlock()
}

// leastSeen is the percentage that must have been worked for before the time left is estimated.
const leastSeen = 5

// left estimates the time left at now, nil while too little is done to tell.
func (b *beats) left(now time.Time) *time.Duration {
	if b.skipped || b.percent-b.from < leastSeen || b.percent > 100 {
		return nil
	}
	d := time.Duration(float64(now.Sub(b.since)) * (100 - b.percent) / (b.percent - b.from))
	return &d
}

func newBeats(ctx context.Context, o TrainerOptions, a Args, began time.Time) (*beats, func()) {
	b := &beats{now: o.Now, since: began, stage: "starting", changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(o.Beat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-b.changed:
			}
			b.mu.Lock()
			stage, percent, left := b.stage, b.percent, b.left(o.Now())
			b.mu.Unlock()
			if err := o.Store.BeatTrainingRun(ctx, a.Org, a.Run, stage, percent, left); err != nil && ctx.Err() == nil {
				o.Log.WarnContext(ctx, "progress of a training not stored", "error", err)
			}
		}
	})
	return b, func() { cancel(); wg.Wait() }
}
