package forecast

import (
	"math"
	"sort"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// MakeProfile forecasts the last known value of the same local time, and where there is none, the mean of what is known.
// Its intervals are as wide as the known values stray from one another: a point of a few hours' history is forecast, but
// without pretence. Without any history the error is ErrNoHistory.
func MakeProfile(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	f, p, err := begin(h, point, register, origin, horizon, levels, now)
	if err != nil {
		return Forecast{}, err
	}
	f.Rung = Profile
	known := make([]float64, 0, len(p.h.Energy))
	sum := 0.0
	for _, v := range p.h.Energy {
		if v == v {
			known = append(known, v)
			sum += v
		}
	}
	if len(known) == 0 {
		return Forecast{}, ErrNoHistory
	}
	mean := sum / float64(len(known))
	// What a value says of the value a day later is unknown yet: the spread is that of all values around their mean, and
	// never less than half the mean either way, which also covers a point of a single value.
	errs := make([]float64, 0, len(known)+2)
	for _, v := range known {
		errs = append(errs, v-mean)
	}
	errs = append(errs, -mean/2, mean/2)
	sort.Float64s(errs)
	for s := range horizon {
		centre := lastKnown(p, origin, origin.Add(time.Duration(s)*h.Resolution))
		if centre != centre {
			centre = mean
		}
		at := len(f.Values)
		f.Values = appendQuantiles(f.Values, centre, errs, f.Levels)
		widen(f.Values[at:], f.Levels, centre, mean)
	}
	return f, f.Check()
}

// widen keeps outer levels at least a quarter of the mean from the centre.
func widen(values, levels []float64, centre, mean float64) {
	for i, l := range levels {
		switch {
		case l < 0.5:
			values[i] = min(values[i], max(0, centre-mean/4))
		case l > 0.5:
			values[i] = max(values[i], centre+mean/4)
		default:
			values[i] = centre
		}
	}
}

// lastKnown returns the most recent known value at the same local time as t.
func lastKnown(p *past, origin, t meter.Millis) float64 {
	first := p.days(origin, t)
	for d := first; d <= first+int(Reach/(24*time.Hour)); d++ {
		if v := p.at(origin, p.clock.Back(t, d)); v == v {
			return v
		}
	}
	return math.NaN()
}
