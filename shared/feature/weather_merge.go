package feature

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fluxora.dev/shared/meter"
)

// End returns the end of the last interval.
func (s WeatherSeries) End() meter.Millis {
	return s.Start.Add(time.Duration(max(len(s.Temperature), len(s.Radiation))) * s.Resolution)
}

// At returns temperature and radiation at t, NaN where they are not known.
func (s WeatherSeries) At(t meter.Millis) (celsius, wattsPerSquareMetre float64) {
	return s.at(temperature, t), s.at(radiation, t)
}

// Empty reports whether s holds no interval.
func (s WeatherSeries) Empty() bool { return len(s.Temperature) == 0 && len(s.Radiation) == 0 }

// Merged returns s with what o knows in the place of what s held of the same instants, and without what lies before from. It
// shares nothing with either. Of different resolutions, or grids, o alone stays.
func (s WeatherSeries) Merged(o WeatherSeries, from meter.Millis) WeatherSeries {
	if s.Empty() || s.Resolution != o.Resolution && !o.Empty() {
		s = WeatherSeries{Start: o.Start, Resolution: o.Resolution}
	}
	if s.Resolution <= 0 {
		return WeatherSeries{}
	}
	out := WeatherSeries{Start: max(s.Start, from.Floor(s.Resolution)), Resolution: s.Resolution}
	if !o.Empty() {
		out.Start = max(min(s.Start, o.Start), from.Floor(s.Resolution))
	}
	n := int(max(s.End(), o.End()).Sub(out.Start) / s.Resolution)
	if n <= 0 {
		return WeatherSeries{}
	}
	out.Temperature, out.Radiation = make([]float64, n), make([]float64, n)
	for i := range n {
		t := out.Start.Add(time.Duration(i) * s.Resolution)
		for q, values := range [...][]float64{temperature: out.Temperature, radiation: out.Radiation} {
			if values[i] = o.at(quantity(q), t); math.IsNaN(values[i]) {
				values[i] = s.at(quantity(q), t)
			}
		}
	}
	return out
}

// Since returns s without the intervals before t. Both share the values.
func (s WeatherSeries) Since(t meter.Millis) WeatherSeries {
	if s.Resolution <= 0 || t <= s.Start {
		return s
	}
	n := int(t.Floor(s.Resolution).Sub(s.Start) / s.Resolution)
	s.Start = s.Start.Add(time.Duration(n) * s.Resolution)
	s.Temperature, s.Radiation = s.Temperature[min(n, len(s.Temperature)):], s.Radiation[min(n, len(s.Radiation)):]
	return s
}

// With returns weather that knows what w knows, o and f too, and nothing from before the instant. w, which may be nil, is not
// changed. Of forecasts those issued last are kept, at most so many.
func (w *Weather) With(o WeatherSeries, f []WeatherForecast, from meter.Millis, forecasts int) *Weather {
	out := new(Weather)
	if w != nil {
		*out = *w
	}
	out.Observed = out.Observed.Merged(o, from)
	all := append(slices.Clone(out.Forecasts), f...)
	slices.SortStableFunc(all, func(a, b WeatherForecast) int { return cmp.Compare(a.Issued, b.Issued) })
	out.Forecasts = nil
	for i, one := range all {
		if i+1 < len(all) && all[i+1].Issued == one.Issued || one.Empty() || one.End() <= from {
			continue // a later word on the same forecast replaces it
		}
		out.Forecasts = append(out.Forecasts, one)
	}
	if n := len(out.Forecasts) - forecasts; n > 0 {
		out.Forecasts = out.Forecasts[n:]
	}
	return out
}
