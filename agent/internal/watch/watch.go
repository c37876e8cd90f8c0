// Package watch examines once a day how the active model does on each point beside the baseline, and whether the day before
// was out of the ordinary.
//
// It must not know where histories and models come from. How errors and oddities are judged, shared/watch and shared/anomaly
// say: the hub examines what reaches it with the same code, and comes to the same numbers.
//
// Days are forecast again from the history, so nothing is kept and a restart loses nothing; what a day is examined for is
// told once, and once more after a restart. So it is with the errors of days that the hub is told of (told.go).
package watch

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"fluxora.dev/agent/internal/predict"
	"fluxora.dev/shared/anomaly"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
	"fluxora.dev/shared/watch"
)

const (
	reach    = 200 * 24 * time.Hour // of the history that days are judged by
	liveDays = 42                   // forecast again
)

// Target is what is examined, and up to when its intervals are known.
type Target struct {
	Point      string
	Register   meter.Register
	Resolution time.Duration
	Closed     meter.Millis
}

// Point is how the model does on a point. Live has no days when there is no model, or its learning has only just ended.
type Point struct {
	Point    string
	Register meter.Register
	Live     watch.Live
}

// Watch examines points. Create it with New. Its methods may be called concurrently; those of a nil one find nothing.
type Watch struct {
	histories predict.Histories
	models    predict.Models
	log       *slog.Logger

	mu       sync.Mutex
	done     map[key]meter.Millis // the day up to which each was examined
	points   map[key]Point
	tallies  map[key]tallies
	findings uint64
}

type key struct {
	point    string
	register meter.Register
}

// New returns a watch that has examined nothing. models may be nil.
func New(h predict.Histories, m predict.Models, log *slog.Logger) *Watch {
	return &Watch{histories: h, models: m, log: log, done: map[key]meter.Millis{}, points: map[key]Point{}, tallies: map[key]tallies{}}
}

// Run examines the targets that have a new day, at once and whenever every has passed, until ctx ends.
func (w *Watch) Run(ctx context.Context, every time.Duration, targets func() []Target) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for _, t := range targets() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			w.Examine(t)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Examine looks at a target if it has a whole day that it was not examined for, and returns what was out of the ordinary.
func (w *Watch) Examine(t Target) []anomaly.Finding {
	k, day := key{t.Point, t.Register}, watch.DayOf(t.Closed)
	w.mu.Lock()
	known := w.done[k] >= day
	w.mu.Unlock()
	if known {
		return nil
	}
	h, err := w.histories.History(t.Point, t.Register, t.Closed.Add(-reach), t.Closed)
	if err != nil {
		w.log.Error("point not examined", "point", t.Point, "error", err)
		return nil
	}
	p := Point{Point: t.Point, Register: t.Register}
	var found []anomaly.Finding
	var seen tallies
	func() {
		defer func() { // a model comes from elsewhere, and no model may take the agent down
			if r := recover(); r != nil {
				w.log.Error("point not examined", "point", t.Point, "panic", r)
			}
		}()
		p.Live, seen, found = w.look(t, h)
	}()
	w.mu.Lock()
	w.done[k], w.points[k], w.tallies[k] = day, p, seen.after(w.tallies[k])
	w.findings += uint64(len(found))
	w.mu.Unlock()
	for _, f := range found {
		w.log.Warn("out of the ordinary", "point", t.Point, "kind", f.Kind, "start", f.Start, "end", f.End, "reason", f.Reason)
	}
	if why, bad := p.Live.Failing(); bad {
		w.log.Warn("the model does worse than the baseline", "point", t.Point, "reason", why)
	}
	return found
}

// Points returns how the model does on each point that was examined, by name.
func (w *Watch) Points() []Point {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.points), func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Register, b.Register))
	})
}

// Findings returns how often something was out of the ordinary since the start.
func (w *Watch) Findings() uint64 {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.findings
}

// look forecasts the last days of a target again and judges the last one.
func (w *Watch) look(t Target, h feature.History) (watch.Live, tallies, []anomaly.Finding) {
	var active *model.Artifact
	var seen tallies
	if w.models != nil {
		active, _ = w.models.Models(t.Resolution)
	}
	if active != nil {
		seen.model = active.ID
	}
	replayed := watch.Replay(h, t.Point, t.Register, t.Closed, liveDays, active)
	forecasts := make([]forecast.Forecast, len(replayed))
	for i, r := range replayed {
		forecasts[i] = r.Forecast
		if r.Live {
			seen.days = append(seen.days, r.Day)
		}
	}
	var found []anomaly.Finding
	late := t.Closed.Add(-48 * time.Hour) // what ended before was told before
	if f, ok := anomaly.Last(h); ok && f.End > late {
		found = append(found, f)
	}
	if f, ok := anomaly.JudgeLast(forecasts, h); ok && f.End > late {
		found = append(found, f)
	}
	return watch.LiveOf(seen.days, t.Closed), seen, found
}
