// Package predict makes the best forecast it can of a point, and says which rung of the ladder that stands on.
//
// The ladder, best first: the active model, the one active before, the baseline of the point's own past, its last known
// day. A rung that fails, for whatever reason, is reported and the next one down is tried; below the last there is no
// forecast but an honest error that wraps forecast.ErrNoHistory. What a history of a given length is good for:
//
//	nothing known      no forecast
//	less than a day    profile: the mean of what is known, wide intervals
//	a day              a model, whose training has seen short histories; without one, the profile
//	eight days         a model; without one, the baseline
//
// A model's intervals follow how its forecasts of the point turn out (forecast.Adapter), over restarts and changes of the
// model; where what was learnt is lost or damaged, they begin anew from the model's own.
//
// The package must not know where histories and models come from, nor what becomes of a forecast.
//
// Invariants: a forecast that leaves here passed forecast.Check; nothing at or after its origin was used; a model that
// panics, was trained for another resolution or gives no number costs a rung, never the forecast.
package predict

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Histories gives the intervals of a point between two instants. It must be safe for concurrent use.
type Histories interface {
	History(point string, register meter.Register, from, to meter.Millis) (feature.History, error)
}

// Models gives the cached models for a resolution, nil where there is none. It must be safe for concurrent use.
type Models interface {
	Models(resolution time.Duration) (active, previous *model.Artifact)
}

// Drop is a rung that could not be used.
type Drop struct {
	Rung  forecast.Rung
	Model string // id of the model version, empty on lower rungs
	Err   error
}

// Options are the settings of a predictor.
type Options struct {
	Site    string        // name of the site, as the hub has it: models know points by both names
	Horizon time.Duration // how far to forecast; 0 means 48 h
	Levels  []float64     // quantile levels; nil means those of the model, or forecast.DefaultLevels
	States  States        // keeps what is learnt for a restart; nil: nothing does
	Log     *slog.Logger  // nil discards
	Now     func() time.Time
}

// Predictor forecasts points. It is safe for concurrent use.
type Predictor struct {
	histories Histories
	models    Models
	o         Options
	log       *slog.Logger
	makers    sync.Pool // of *forecast.Maker

	mu        sync.Mutex
	adapters  map[target]*forecast.Adapter
	forgotten uint64
}

// target is a register of a point.
type target struct {
	point    string
	register meter.Register
}

// New returns a predictor. models may be nil: then it stands on the lower rungs.
func New(histories Histories, models Models, o Options) *Predictor {
	if o.Horizon == 0 {
		o.Horizon = 48 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Predictor{
		histories: histories, models: models, o: o, log: o.Log, adapters: map[target]*forecast.Adapter{},
		makers: sync.Pool{New: func() any { return &forecast.Maker{Site: o.Site} }},
	}
}

// Forecast forecasts a register of a point from origin on, and tells which rungs failed on the way. The error wraps
// forecast.ErrNoHistory when nothing is known before the origin.
func (p *Predictor) Forecast(ctx context.Context, point string, register meter.Register, origin meter.Millis) (forecast.Forecast, []Drop, error) {
	if err := ctx.Err(); err != nil {
		return forecast.Forecast{}, nil, context.Cause(ctx)
	}
	h, err := p.histories.History(point, register, origin.Add(-Reach), origin)
	if err != nil {
		return forecast.Forecast{}, nil, fmt.Errorf("forecast %s %s: %w", point, register, err)
	}
	if err := h.Check(); err != nil {
		return forecast.Forecast{}, nil, fmt.Errorf("forecast %s %s: %w", point, register, err)
	}
	return p.climb(h.Before(origin), point, register, origin)
}

// Reach is how much history before the origin the ladder uses at most.
const Reach = forecast.Reach

// climb tries the rungs from the top.
func (p *Predictor) climb(h feature.History, point string, register meter.Register, origin meter.Millis) (forecast.Forecast, []Drop, error) {
	horizon := int(p.o.Horizon / h.Resolution)
	now := meter.MillisOf(p.o.Now())
	var active, previous *model.Artifact
	if p.models != nil {
		active, previous = p.models.Models(h.Resolution)
	}
	maker := p.makers.Get().(*forecast.Maker)
	type rung struct {
		name forecast.Rung
		art  *model.Artifact
		make func() (forecast.Forecast, error)
	}
	var rungs []rung
	for _, m := range []rung{{name: forecast.Active, art: active}, {name: forecast.Previous, art: previous}} {
		if m.art == nil {
			continue
		}
		m.make = func() (forecast.Forecast, error) {
			return maker.Make(h, point, register, origin, horizon, m.art, m.name, p.o.Levels, now)
		}
		rungs = append(rungs, m)
	}
	rungs = append(rungs,
		rung{name: forecast.Baseline, make: func() (forecast.Forecast, error) {
			return forecast.MakeBaseline(h, point, register, origin, horizon, p.o.Levels, now)
		}},
		rung{name: forecast.Profile, make: func() (forecast.Forecast, error) {
			return forecast.MakeProfile(h, point, register, origin, horizon, p.o.Levels, now)
		}})
	var drops []Drop
	for _, r := range rungs {
		f, err := guarded(r.make)
		if err == nil {
			p.makers.Put(maker)
			if r.art != nil {
				f = p.adapt(f, h)
			}
			return f, drops, nil
		}
		if errors.Is(err, errPanic) {
			maker = new(forecast.Maker) // its buffers may be in any state
		}
		d := Drop{Rung: r.name, Err: err}
		if r.art != nil {
			d.Model = r.art.ID
		}
		drops = append(drops, d)
	}
	p.makers.Put(maker)
	return forecast.Forecast{}, drops, fmt.Errorf("forecast %s %s: %w", point, register, drops[len(drops)-1].Err)
}

var errPanic = errors.New("panic")

// guarded turns a panic into an error: a model comes from elsewhere, and no model may take the agent down.
func guarded(make func() (forecast.Forecast, error)) (f forecast.Forecast, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = forecast.Forecast{}, fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	if f, err = make(); err != nil {
		return forecast.Forecast{}, err
	}
	return f, f.Check()
}
