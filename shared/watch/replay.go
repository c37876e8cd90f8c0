package watch

import (
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Replayed is a day of a point that was forecast again from its beginning (UTC): the same history gives the same forecast as
// it did then.
type Replayed struct {
	Forecast forecast.Forecast // of the model, or of the baseline where there is none
	Day      Day               // how the model and the baseline did
	Live     bool              // the model had ended learning before, so the day says something about it
}

// Replay forecasts the last so many whole days before an instant again, with a model, which may be nil, and with the baseline.
// Days from which either cannot forecast are left out.
func Replay(h feature.History, point string, register meter.Register, to meter.Millis, days int, active *model.Artifact) []Replayed {
	const day = 24 * time.Hour
	if h.Check() != nil {
		return nil
	}
	horizon := int(day / h.Resolution)
	if active != nil && (active.Resolution != h.Resolution || active.Horizon < h.Resolution) {
		active = nil
	}
	if active != nil {
		horizon = min(horizon, int(active.Horizon/h.Resolution))
	}
	var mk forecast.Maker
	var out []Replayed
	for k := days; k > 0; k-- {
		t := DayOf(to).Add(-time.Duration(k) * day)
		base, err := forecast.MakeBaseline(h.Before(t), point, register, t, horizon, nil, t)
		if err != nil {
			continue
		}
		r := Replayed{Forecast: base, Day: Day{Start: t}}
		if active != nil {
			if r.Forecast, err = mk.Make(h.Before(t), point, register, t, horizon, active, forecast.Active, nil, t); err != nil {
				continue
			}
			r.Live = t >= active.TrainedTo
			count(&r.Day.Model, r.Forecast, h)
			count(&r.Day.Baseline, base, h)
		}
		out = append(out, r)
	}
	return out
}

// count adds a forecast to a score, as far as it is known what happened.
func count(s *forecast.Score, f forecast.Forecast, h feature.History) {
	n := len(f.Levels)
	for step := 1; step <= f.Steps(); step++ {
		s.Add(f.Levels, f.Values[(step-1)*n:step*n], h.At(f.Start(step)))
	}
}
