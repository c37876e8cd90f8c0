package predict

import (
	"cmp"
	"slices"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// States keeps adapters' states for a restart. It must be safe for concurrent use. A state that is lost costs what was learnt
// since, never a forecast.
type States interface {
	// State returns the state kept of a register of a point, nil when there is none.
	State(point string, register meter.Register) ([]byte, error)
	// PutState replaces it. The bytes are the callee's.
	PutState(point string, register meter.Register, state []byte)
}

// adapt moves a model's forecast, and lets its intervals be as wide, as its earlier forecasts of the point ought to have been.
func (p *Predictor) adapt(f forecast.Forecast, h feature.History) forecast.Forecast {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := target{f.Point, f.Register}
	a := p.adapters[t]
	if a == nil {
		a = p.load(t)
		p.adapters[t] = a
	}
	out := a.Adapt(f, h)
	if p.o.States != nil && a.Unsaved() {
		p.o.States.PutState(t.point, t.register, a.Encode())
	}
	return out
}

// load returns the adapter of a target as it was saved, or one that knows nothing. The caller holds mu.
func (p *Predictor) load(t target) *forecast.Adapter {
	if p.o.States == nil {
		return new(forecast.Adapter)
	}
	b, err := p.o.States.State(t.point, t.register)
	if b == nil && err == nil {
		return new(forecast.Adapter)
	}
	var a *forecast.Adapter
	if err == nil {
		a, err = forecast.DecodeAdapter(b)
	}
	if err != nil {
		p.forgotten++
		p.log.Error("what earlier forecasts taught could not be read; intervals are the model's own again", "point", t.point, "error", err)
		return new(forecast.Adapter)
	}
	return a
}

// Forgotten returns how many states could not be read.
func (p *Predictor) Forgotten() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forgotten
}

// Coverage is where what happened lay in the intervals that were served of a point lately.
type Coverage struct {
	Point    string
	Register meter.Register
	Band     string  // of leads, as forecast.AdaptBandNames has it
	Nominal  float64 // share that ought to lie within
	forecast.Tally
}

// Coverage returns the coverage of the points that were forecast by a model, by name and band; bands nothing is known of are left out.
func (p *Predictor) Coverage() (out []Coverage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, a := range p.adapters {
		for i, tally := range a.Coverage() {
			if tally.Hours() > 0 {
				out = append(out, Coverage{t.point, t.register, forecast.AdaptBandNames()[i], a.Nominal(), tally})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Coverage) int {
		return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Register, b.Register), slices.Index(forecast.AdaptBandNames(), a.Band)-slices.Index(forecast.AdaptBandNames(), b.Band))
	})
	return out
}
