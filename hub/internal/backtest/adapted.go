package backtest

import (
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// warmDays is how long before the first origin an adapter has been at work, as it has at an agent when a new model comes.
const warmDays = 28

// Adapted returns a contender that forecasts with a model whose forecasts of each point follow how earlier ones turn out, as
// an agent's do. When it first meets a point, trial, which must have learnt from nothing of the four weeks before, has been
// in service for those; nil starts from nothing.
func Adapted(name string, art, trial *model.Artifact, levels []float64) Contender {
	return Contender{Name: name, Model: art.ID, New: func() Make {
		var m forecast.Maker
		adapters := map[string]*forecast.Adapter{}
		return func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
			m.Site = p.Site
			one := func(a *forecast.Adapter, art *model.Artifact, at meter.Millis) (forecast.Forecast, error) {
				f, err := m.Make(h, p.Known(), p.Register, at, horizon, art, forecast.Active, levels, at)
				if err != nil {
					return f, err
				}
				return a.Adapt(f, h.Before(at)), nil
			}
			stale := max(0, origin.Sub(h.End())) / day * day // what it learns, it learnt before readings ceased
			a := adapters[p.ID]
			if a == nil {
				a = new(forecast.Adapter)
				adapters[p.ID] = a
				for d := warmDays; trial != nil && d > 0; d-- {
					at := origin.Add(-stale - time.Duration(d)*day)
					if at >= trial.TrainedTo {
						_, _ = one(a, trial, at) // days it cannot forecast from teach nothing
					}
				}
			}
			if stale > 0 {
				_, _ = one(a, art, origin.Add(-stale))
			}
			return one(a, art, origin)
		}
	}}
}
