package derive

import (
	"context"
	"log/slog"
	"time"

	"fluxora.dev/hub/internal/store"
)

// Options say how eager a Deriver is. The zero value gets the defaults named.
type Options struct {
	Log *slog.Logger // nil discards

	Due       store.Due     // when a site is worth a step; DefaultDue when zero
	StepMost  int64         // readings that a step takes at most, beyond the first batch; 200,000
	ChunkMost int           // readings in a chunk; 4,096
	Poll      time.Duration // how often to look for what other replicas committed; 1 s
}

// DefaultDue keeps intervals a few seconds behind and level 0 small: a trickle of live batches is derived together every two
// seconds, and packed every quarter of an hour.
var DefaultDue = store.Due{Readings: 2_000, Delay: 2 * time.Second, MergeReadings: 100_000, MergeAge: 15 * time.Minute}

// Deriver follows committed batches.
type Deriver struct {
	store *store.Store
	o     Options
	fault func(where string) error // of tests: stands for a crash
}

// New returns a Deriver for s.
func New(s *store.Store, o Options) *Deriver {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Due == (store.Due{}) {
		o.Due = DefaultDue
	}
	if o.StepMost == 0 {
		o.StepMost = 200_000
	}
	if o.ChunkMost == 0 {
		o.ChunkMost = 4096
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	return &Deriver{store: s, o: o, fault: func(string) error { return nil }}
}

// Run derives until ctx is done, and returns nil then. It outlasts Postgres: a step that fails is done again. It may run in several
// goroutines and on several hubs at once; they share the sites.
func (d *Deriver) Run(ctx context.Context) error {
	poll := time.NewTicker(d.o.Poll)
	defer poll.Stop()
	failures := 0
	for ctx.Err() == nil {
		found, err := d.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if failures++; failures&(failures-1) == 0 { // the 1st, 2nd, 4th, 8th …
				d.o.Log.Error("derive readings", "error", err, "failures", failures)
			}
		case failures > 0 && found:
			d.o.Log.Info("deriving again", "failures", failures)
			failures = 0
		}
		if found && err == nil {
			continue
		}
		arrived := d.store.Arrived()
		if err != nil {
			arrived = nil // wait for the clock, or an error would spin
		}
		select {
		case <-ctx.Done():
		case <-arrived:
		case <-poll.C:
		}
	}
	return nil
}

// Drain derives and merges everything that is committed, without waiting for it to be due, and returns when nothing is left, not
// even in the hands of another worker.
func (d *Deriver) Drain(ctx context.Context) error {
	poll := time.NewTicker(d.o.Poll)
	defer poll.Stop()
	for {
		found, err := d.step(ctx, store.Due{})
		if err != nil {
			return err
		}
		if found {
			continue
		}
		left, err := d.store.Underived(ctx)
		if err != nil || left == 0 {
			return err
		}
		select { // another worker has it
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-poll.C:
		}
	}
}

// Step does one step on one site that is due, and reports whether there was one.
func (d *Deriver) Step(ctx context.Context) (bool, error) { return d.step(ctx, d.o.Due) }

func (d *Deriver) step(ctx context.Context, due store.Due) (bool, error) {
	return d.store.DeriveSite(ctx, due, func(tx *store.SiteTx) error {
		var err error
		switch {
		case tx.Changed:
			err = d.remake(tx)
		case tx.Waiting && !tx.MergeDue(store.Due{MergeReadings: 4 * d.o.Due.MergeReadings, MergeAge: time.Hour}):
			err = d.derive(tx)
		case tx.MergeDue(due):
			err = d.merge(tx)
		default:
			err = d.derive(tx)
		}
		if err != nil {
			return err
		}
		return d.fault("commit")
	})
}
