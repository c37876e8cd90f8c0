// Package schedule knows when the agent forecasts: at each new origin of a point, when another model comes into force, and
// on demand. It makes each forecast once, keeps it, and sees to it that it is published, however long the broker is away.
//
// It must not know how a forecast is made (predict), kept (store) or published (mqtt).
//
// Invariants: a point that falls behind, as during a backfill, is forecast from its newest origin only; what is published
// last is the newest forecast; a forecast that cannot be made never holds up another point's.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// ErrNotForecast says that a target is not to be forecast, because another register tells more of its point.
var ErrNotForecast = errors.New("not forecast")

// Target is what is forecast: the energy of one register of one point.
type Target struct {
	Point    string
	Register meter.Register
}

// Maker makes forecasts. It is called by one goroutine at a time for each target.
type Maker interface {
	// Make returns the forecast of t from origin on. An error wrapping forecast.ErrNoHistory says that there is nothing to
	// forecast from.
	Make(ctx context.Context, t Target, origin meter.Millis) (forecast.Forecast, error)
}

// Keeper keeps the latest forecast of each target for the hub and for a restart.
type Keeper interface {
	PutForecast(forecast.Forecast) error
}

// Publisher publishes a forecast as a retained message. It may block until ctx ends.
type Publisher interface {
	PublishForecast(ctx context.Context, f forecast.Forecast) error
}

// Stats counts what the schedule did since the start.
type Stats struct {
	Made      map[forecast.Rung]uint64 // by rung
	NoHistory uint64                   // origins from which nothing could be said
	Failed    uint64                   // forecasts that could not be made or kept
	Published uint64
	Waiting   int           // forecasts not yet published
	Took      time.Duration // for the latest one, from row to quantiles
}

// Schedule makes forecasts when they are due. Create it with New; its methods may be called concurrently.
type Schedule struct {
	make    Maker
	keep    Keeper
	publish Publisher
	log     *slog.Logger
	now     func() time.Time

	mu          sync.Mutex
	origins     map[Target]meter.Millis // newest origin of each target
	due         map[Target]bool
	unpublished map[Target]forecast.Forecast
	latest      map[Target]forecast.Forecast
	stats       Stats

	wakeMake, wakePublish chan struct{}
}

// New returns a schedule that knows no target yet.
func New(m Maker, k Keeper, p Publisher, now func() time.Time, log *slog.Logger) *Schedule {
	return &Schedule{
		make: m, keep: k, publish: p, now: now, log: log,
		origins: map[Target]meter.Millis{}, due: map[Target]bool{},
		unpublished: map[Target]forecast.Forecast{}, latest: map[Target]forecast.Forecast{},
		stats:    Stats{Made: map[forecast.Rung]uint64{}},
		wakeMake: make(chan struct{}, 1), wakePublish: make(chan struct{}, 1),
	}
}

// Origin tells that t can be forecast from origin on. An origin that is not newer than the one known changes nothing.
func (s *Schedule) Origin(t Target, origin meter.Millis) {
	s.mu.Lock()
	known, ok := s.origins[t]
	if newer := !ok || origin > known; newer {
		s.origins[t], s.due[t] = origin, true
	}
	s.mu.Unlock()
	wake(s.wakeMake)
}

// Again makes every target's forecast due from its newest origin, because a model or a setting has changed.
func (s *Schedule) Again() {
	s.mu.Lock()
	for t := range s.origins {
		s.due[t] = true
	}
	s.mu.Unlock()
	wake(s.wakeMake)
}

// Republish makes every target's latest forecast be published again, because the broker may have lost it.
func (s *Schedule) Republish() {
	s.mu.Lock()
	for t, f := range s.latest {
		s.unpublished[t] = f
	}
	s.mu.Unlock()
	wake(s.wakePublish)
}

// Restore takes a forecast that was kept before a restart as the latest one of its target.
func (s *Schedule) Restore(f forecast.Forecast) {
	t := Target{f.Point, f.Register}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest[t] = f
}

// Latest returns the latest forecast of t.
func (s *Schedule) Latest(t Target) (forecast.Forecast, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.latest[t]
	return f, ok
}

// Now makes the forecast of t from its newest origin at once and returns it.
func (s *Schedule) Now(ctx context.Context, t Target) (forecast.Forecast, error) {
	s.mu.Lock()
	origin, ok := s.origins[t]
	s.mu.Unlock()
	if !ok {
		return forecast.Forecast{}, fmt.Errorf("forecast %s: %w: no interval is complete yet", t.Point, forecast.ErrNoHistory)
	}
	return s.one(ctx, t, origin)
}

// Stats returns the counters.
func (s *Schedule) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Waiting = len(s.unpublished)
	out.Made = make(map[forecast.Rung]uint64, len(s.stats.Made))
	for r, n := range s.stats.Made {
		out.Made[r] = n
	}
	return out
}

// Make makes forecasts as they fall due, until ctx ends.
func (s *Schedule) Make(ctx context.Context) error {
	for {
		t, origin, ok := s.next()
		if !ok {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.wakeMake:
			}
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := s.one(ctx, t, origin); err != nil && !expected(err) && ctx.Err() == nil {
			s.log.Error("no forecast", "point", t.Point, "origin", origin, "error", err)
		}
	}
}

// expected reports whether an error is part of ordinary life.
func expected(err error) bool {
	return errors.Is(err, forecast.ErrNoHistory) || errors.Is(err, ErrNotForecast)
}

func (s *Schedule) next() (Target, meter.Millis, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.due {
		delete(s.due, t)
		return t, s.origins[t], true
	}
	return Target{}, 0, false
}

// one makes and keeps one forecast and hands it to the publishing side.
func (s *Schedule) one(ctx context.Context, t Target, origin meter.Millis) (forecast.Forecast, error) {
	start := s.now()
	f, err := s.make.Make(ctx, t, origin)
	took := s.now().Sub(start)
	if err == nil {
		err = s.keep.PutForecast(f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrNotForecast):
		return f, err
	case errors.Is(err, forecast.ErrNoHistory):
		s.stats.NoHistory++
		return f, err
	case err != nil:
		s.stats.Failed++
		return f, err
	}
	s.stats.Made[f.Rung]++
	s.stats.Took = took
	if old, ok := s.latest[t]; !ok || f.Origin >= old.Origin {
		s.latest[t], s.unpublished[t] = f, f
		wake(s.wakePublish)
	}
	return f, nil
}

// Publish publishes what Make has made, until ctx ends. A publisher's error is retried with the newest forecast.
func (s *Schedule) Publish(ctx context.Context) error {
	const pause = 2 * time.Second
	for {
		t, f, ok := s.toPublish()
		if !ok {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.wakePublish:
			}
			continue
		}
		err := s.publish.PublishForecast(ctx, f)
		s.mu.Lock()
		if err == nil {
			s.stats.Published++
		} else if _, newer := s.unpublished[t]; !newer {
			s.unpublished[t] = f
		}
		s.mu.Unlock()
		if err == nil {
			continue
		}
		s.log.Debug("forecast not published yet", "point", t.Point, "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (s *Schedule) toPublish() (Target, forecast.Forecast, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, f := range s.unpublished {
		delete(s.unpublished, t)
		return t, f, true
	}
	return Target{}, forecast.Forecast{}, false
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
