// Package score keeps how forecasts did: for each point, model and day, the errors of all forecasts of that day against the energy
// that then flowed.
//
// It knows the order of things; what an error is, shared/forecast says, and SQL is package store's. It must not know what is
// concluded from errors.
//
// The errors of a day follow from the forecasts and the intervals in the database alone. Who changes either (a late or a re-sent
// reading, a correction, another zone, a forecast that arrives after its time) marks the day in the same transaction; here a
// marked day is made anew from scratch, in one transaction with the end of its mark. A mark waits for a while first, so that
// a day that goes on is not scored at each of its intervals, and so that what was under way when the day was marked is
// committed by then. So after some minutes the errors are what scoring everything from the beginning would give.
//
// Any number of hubs may score: each takes a day that no other has. A crash leaves the mark.
package score

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/forecast"
)

// Options say how eager a Keeper is. The zero value gets the defaults named.
type Options struct {
	Log   *slog.Logger  // nil discards
	Delay time.Duration // between the first mark of a day and its scoring; 10 min
	Poll  time.Duration // how often to look for marked days; 30 s
}

// Keeper scores the days that are marked.
type Keeper struct {
	store *store.Store
	o     Options
}

// New returns a Keeper for s.
func New(s *store.Store, o Options) *Keeper {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Delay = cmp.Or(o.Delay, 10*time.Minute)
	o.Poll = cmp.Or(o.Poll, 30*time.Second)
	return &Keeper{s, o}
}

// Run scores until ctx is done, and returns nil then. It outlasts Postgres.
func (k *Keeper) Run(ctx context.Context) error {
	poll := time.NewTicker(k.o.Poll)
	defer poll.Stop()
	failures := 0
	for ctx.Err() == nil {
		found, err := k.store.ScoreDay(ctx, k.o.Delay, Day)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if failures++; failures&(failures-1) == 0 { // the 1st, 2nd, 4th, 8th …
				k.o.Log.Error("score forecasts", "error", err, "failures", failures)
			}
		case found:
			failures = 0
			continue
		}
		select {
		case <-ctx.Done():
		case <-poll.C:
		}
	}
	return nil
}

// Drain scores every marked day that no other has in hand, without waiting.
func (k *Keeper) Drain(ctx context.Context) error {
	for {
		if found, err := k.store.ScoreDay(ctx, 0, Day); err != nil || !found {
			return err
		}
	}
}

// Day returns the errors of a day, by rung and model.
func Day(d store.ForecastDay) ([]store.ForecastError, error) {
	type by struct {
		rung  forecast.Rung
		model uuid.UUID
	}
	sums := map[by]*forecast.Score{}
	end := d.Start.Add(24 * time.Hour)
	for _, f := range d.Forecasts {
		if f.Resolution <= 0 || f.Resolution != d.Resolution {
			continue
		}
		key := by{rung: f.Rung}
		if f.Model != "" {
			var err error
			if key.model, err = uuid.Parse(f.Model); err != nil {
				return nil, err
			}
		}
		first := 1 // the step whose target is the first on the day
		if f.Origin < d.Start {
			first += int((d.Start.Sub(f.Origin) + f.Resolution - 1) / f.Resolution)
		}
		for step := first; step <= f.Steps() && f.Start(step) < end; step++ {
			actual, ok := d.Actual[f.Start(step)]
			if !ok {
				continue
			}
			if sums[key] == nil {
				sums[key] = &forecast.Score{}
			}
			at := (step - 1) * len(f.Levels)
			sums[key].Add(f.Levels, f.Values[at:at+len(f.Levels)], actual)
		}
	}
	out := make([]store.ForecastError, 0, len(sums))
	for k, s := range sums {
		out = append(out, store.ForecastError{Rung: k.rung, Model: k.model, Score: *s})
	}
	slices.SortFunc(out, func(a, b store.ForecastError) int {
		return cmp.Or(cmp.Compare(a.Rung, b.Rung), slices.Compare(a.Model[:], b.Model[:]))
	})
	return out, nil
}
