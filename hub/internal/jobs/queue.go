package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
)

// schema holds the queue's own tables, apart from the hub's.
const schema = "queue"

// The causes of a training.
const (
	CauseFirst    = "first"    // the first time there is enough to learn from, or twice as much as the last time
	CauseSchedule = "schedule" // the daily training
	CauseDemand   = "demand"   // somebody asked
	CauseDrift    = "drift"    // an examination found that the model fails or that points have changed
)

const (
	maxAttempts = 4
	trainQueue  = "train"
	discardPoll = 50 * time.Millisecond
)

// Args names one training. Organisation and resolution make it unique among the unfinished ones.
type Args struct {
	Org          uuid.UUID `json:"org" river:"unique"`
	ResolutionMs int64     `json:"resolution_ms" river:"unique"`
	Run          uuid.UUID `json:"run"`
	Order        Order     `json:"order,omitzero"`
}

// Order is what a training is asked to be, beyond what trainings are by themselves.
type Order struct {
	Settings map[string]string `json:"settings,omitempty"`  // by name, as train.Settings lists them
	Features string            `json:"features,omitempty"`  // name of the feature spec, as winter@2; empty: the default
	Spec     string            `json:"spec_text,omitempty"` // its text
}

func (o Order) zero() bool { return len(o.Settings) == 0 && o.Spec == "" }

func (o Order) equal(p Order) bool { return maps.Equal(o.Settings, p.Settings) && o.Spec == p.Spec }

// Check returns an error that names what no training can be.
func (o Order) Check() error {
	_, err := o.apply(train.Params{})
	return err
}

// apply returns p as the order wants it.
func (o Order) apply(p train.Params) (train.Params, error) {
	if o.Spec != "" {
		var err error
		if p.Spec, err = feature.ParseSpec(o.Spec); err != nil {
			return p, fmt.Errorf("feature spec %s: %w", o.Features, err)
		}
	}
	return train.Apply(p, o.Settings)
}

// Kind names the job in the queue.
func (Args) Kind() string { return "train" }

// InsertOpts makes a training unique while it is unfinished.
func (Args) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: trainQueue, MaxAttempts: maxAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending,
			rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}},
	}
}

func (a Args) resolution() time.Duration { return time.Duration(a.ResolutionMs) * time.Millisecond }

// Migrate brings the queue's tables up to date. It needs the schema, which the store's migrations make.
func Migrate(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) error {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: quiet(log)})
	if err != nil {
		return fmt.Errorf("migrate job queue: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate job queue: %w", err)
	}
	return nil
}

// Asker asks for trainings. It works none.
type Asker struct {
	store  *store.Store
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

// NewAsker returns an asker on a migrated database.
func NewAsker(st *store.Store, pool *pgxpool.Pool, log *slog.Logger) (*Asker, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: schema, Logger: quiet(log)})
	if err != nil {
		return nil, fmt.Errorf("open job queue: %w", err)
	}
	return &Asker{store: st, pool: pool, client: client}, nil
}

// Train asks for a training and returns the id of its run. When one is unfinished already, that one's run is returned and
// fresh is false.
func (a *Asker) Train(ctx context.Context, org uuid.UUID, resolution time.Duration, cause string) (run uuid.UUID, fresh bool, err error) {
	return a.TrainTo(ctx, org, resolution, cause, Order{})
}

// TrainTo does the same with an order. It is store.ErrConflict when an unfinished training is of another order.
func (a *Asker) TrainTo(ctx context.Context, org uuid.UUID, resolution time.Duration, cause string, order Order) (run uuid.UUID, fresh bool, err error) {
	if err := order.Check(); err != nil {
		return uuid.Nil, false, fmt.Errorf("ask for training: %w", err)
	}
	for {
		if run, fresh, err = a.train(ctx, org, resolution, cause, order); err != nil {
			return uuid.Nil, false, fmt.Errorf("ask for training: %w", err)
		}
		if fresh {
			return run, true, nil
		}
		r, err := a.store.TrainingRun(ctx, org, run)
		if err != nil {
			return uuid.Nil, false, fmt.Errorf("ask for training: %w", err)
		}
		if r.State != "failed" && r.State != "cancelled" {
			return run, false, nil
		}
		select { // the queue is about to discard the job of a run that failed or was cancelled
		case <-ctx.Done():
			return uuid.Nil, false, context.Cause(ctx)
		case <-time.After(discardPoll):
		}
	}
}

func (a *Asker) train(ctx context.Context, org uuid.UUID, resolution time.Duration, cause string, order Order) (run uuid.UUID, fresh bool, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, false, err
	}
	err = pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		res, err := a.client.InsertTx(ctx, tx, Args{Org: org, ResolutionMs: resolution.Milliseconds(), Run: id, Order: order}, nil)
		if err != nil {
			return err
		}
		if res.UniqueSkippedAsDuplicate {
			var args Args
			if err := json.Unmarshal(res.Job.EncodedArgs, &args); err != nil {
				return fmt.Errorf("read the unfinished job %d: %w", res.Job.ID, err)
			}
			run = args.Run
			if !order.zero() && !order.equal(args.Order) {
				return fmt.Errorf("%w: training %s is unfinished and has other settings: wait for its end, or cancel it", store.ErrConflict, run)
			}
			return nil
		}
		run, fresh = id, true
		asked, err := json.Marshal(order)
		if err != nil {
			return err
		}
		return a.store.PutTrainingRun(ctx, tx, org, id, resolution, cause, asked)
	})
	return run, fresh, err
}

// Cancel ends an unfinished training: one that is queued never begins, one that is worked on stops soon. It is store.ErrNotFound
// when there is no such run, and store.ErrConflict when it has ended.
func (a *Asker) Cancel(ctx context.Context, org, run uuid.UUID, reason string) error {
	return a.store.CancelTrainingRun(ctx, org, run, reason, time.Now().UTC(), func(tx pgx.Tx, job int64) error {
		_, err := a.client.JobCancelTx(ctx, tx, job)
		return err
	})
}

// Follow calls watch with the run whenever it has changed, until it has ended, and returns its end.
func (a *Asker) Follow(ctx context.Context, org, run uuid.UUID, every time.Duration, watch func(store.TrainingRun)) (store.TrainingRun, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last store.TrainingRun
	for {
		r, err := a.store.TrainingRun(ctx, org, run)
		switch {
		case err != nil && !store.Unavailable(err):
			return r, err
		case err == nil:
			if r.State != last.State || r.Stage != last.Stage || int(r.Percent) != int(last.Percent) || r.Attempt != last.Attempt {
				watch(r)
			}
			last = r
			if r.Ended() {
				return r, nil
			}
		}
		select {
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// quiet keeps what the queue says about its own life out of the log unless it is a warning.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(warnings{log.Handler()})
}

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) WithAttrs(as []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(as)} }

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
