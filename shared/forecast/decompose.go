package forecast

import (
	"errors"
	"fmt"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// ErrNoParts says that a model does not add up parts that a person can read.
var ErrNoParts = errors.New("model has no parts to show")

// Decomposition says of each step what the parts of an additive model add up to.
type Decomposition struct {
	Point      string
	Register   meter.Register
	Origin     meter.Millis
	Resolution time.Duration
	Model      string // id of the model version
	Steps      []PartsOfStep
}

// PartsOfStep is one step of a decomposition.
type PartsOfStep struct {
	Wh    map[string]float64 // by part (model.Part); all of them
	Sum   float64            // Wh: what the additive model forecasts, before it is kept from falling below zero
	Share float64            // that the additive model has of the whole forecast: 1, or its weight in an ensemble
}

// Decompose says what the parts of an artifact's additive model add up to, of which Make forecasts. The error wraps ErrNoParts when it
// has none.
func (m *Maker) Decompose(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, art *model.Artifact) (Decomposition, error) {
	if _, err := m.fill(h, PointName(PointAt(m.Site, point), register), origin, horizon, art); err != nil {
		return Decomposition{}, err
	}
	d := Decomposition{Point: point, Register: register, Origin: origin, Resolution: h.Resolution, Model: art.ID, Steps: make([]PartsOfStep, horizon)}
	name, width := PointName(PointAt(m.Site, point), register), art.Spec.Len()
	for s := range d.Steps {
		parts, share, ok := model.Decompose(art.Model, name, m.rows[s*width:(s+1)*width])
		if !ok {
			return Decomposition{}, fmt.Errorf("%w: family %s: want an additive model, or an ensemble with one", ErrNoParts, art.Family)
		}
		step := &d.Steps[s]
		step.Wh, step.Share = make(map[string]float64, len(parts)), share
		for _, p := range model.AllParts() {
			step.Wh[p.String()] = parts[p] * m.builder.Scale()
			step.Sum += step.Wh[p.String()]
		}
	}
	return d, nil
}
