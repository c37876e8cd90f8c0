package feature

import (
	"errors"
	"fmt"
	"math"
	"time"

	"fluxora.dev/shared/meter"
)

// MaxForecastAge is how old a weather forecast may be at the origin to be used.
const MaxForecastAge = 7 * 24 * time.Hour

// Weather is the weather at a site: what was observed, and what was forecast, when.
//
// A row may use observations of intervals that end at or before its origin. For what comes later it uses the forecast
// issued last, at or before the origin; so also where an observation is missing.
type Weather struct {
	Observed  WeatherSeries
	Forecasts []WeatherForecast // in order of Issued

	// Perfect lets observations stand in for forecasts where none was kept: for trainings that reach further back than a
	// site's forecasts, and for backtests on files that hold none. No real forecast is as good.
	Perfect bool
}

// WeatherForecast is the weather to come as it was forecast at one instant.
type WeatherForecast struct {
	Issued meter.Millis // when it could be known at the site
	WeatherSeries
}

// WeatherSeries is the weather of consecutive intervals. What is not known is NaN; either slice may be nil.
type WeatherSeries struct {
	Start       meter.Millis
	Resolution  time.Duration
	Temperature []float64 // of the air, °C, mean over the interval
	Radiation   []float64 // global horizontal irradiance, W/m², mean over the interval
}

// quantity is one of those of WeatherSeries.
type quantity uint8

const (
	temperature quantity = iota
	radiation
)

// Check returns an error that names the first thing wrong.
func (w *Weather) Check() error {
	if err := w.Observed.check(); err != nil {
		return fmt.Errorf("observed weather: %w", err)
	}
	for i, f := range w.Forecasts {
		if err := f.check(); err != nil {
			return fmt.Errorf("weather forecast issued at %s: %w", f.Issued, err)
		}
		if i > 0 && f.Issued < w.Forecasts[i-1].Issued {
			return fmt.Errorf("weather forecast issued at %s: comes after that of %s: want them in order", f.Issued, w.Forecasts[i-1].Issued)
		}
	}
	return nil
}

func (s WeatherSeries) check() error {
	if len(s.Temperature) == 0 && len(s.Radiation) == 0 {
		return nil
	}
	if s.Resolution < time.Minute || s.Resolution > 6*time.Hour || 24*time.Hour%s.Resolution != 0 {
		return fmt.Errorf("resolution %s: want 1 minute to 6 hours, dividing a day", s.Resolution)
	}
	for i, v := range s.Temperature {
		if v == v && !PlausibleTemperature(v) {
			return fmt.Errorf("temperature of %s: %g °C: want -100 to 70, or NaN where it is not known", s.Start.Add(time.Duration(i)*s.Resolution), v)
		}
	}
	for i, v := range s.Radiation {
		if v == v && !PlausibleRadiation(v) {
			return fmt.Errorf("radiation of %s: %g W/m²: want -50 to 2000, or NaN where it is not known", s.Start.Add(time.Duration(i)*s.Resolution), v)
		}
	}
	if s.Start.Floor(s.Resolution) != s.Start {
		return errors.New("start " + s.Start.String() + ": want a boundary of " + s.Resolution.String())
	}
	return nil
}

// PlausibleTemperature reports whether an air temperature can be: -100 to 70 °C.
func PlausibleTemperature(celsius float64) bool { return celsius >= -100 && celsius <= 70 }

// PlausibleRadiation reports whether an irradiance can be: -50 (instruments stray at night) to 2000 W/m².
func PlausibleRadiation(wattsPerSquareMetre float64) bool {
	return wattsPerSquareMetre >= -50 && wattsPerSquareMetre <= 2000
}

// at returns a quantity at t, NaN when it is not known.
func (s *WeatherSeries) at(q quantity, t meter.Millis) float64 {
	values := s.Temperature
	if q == radiation {
		values = s.Radiation
	}
	if t < s.Start || len(values) == 0 {
		return math.NaN()
	}
	if i := int(t.Sub(s.Start) / s.Resolution); i < len(values) {
		return values[i]
	}
	return math.NaN()
}

// overBy reports whether the interval of the series that holds t has ended at the origin.
func (s *WeatherSeries) overBy(origin, t meter.Millis) bool {
	return s.Resolution > 0 && t.Floor(s.Resolution).Add(s.Resolution) <= origin
}

// sky is the weather as one origin knows it. The zero value knows nothing.
type sky struct {
	weather *Weather
	origin  meter.Millis
	newest  int // number of the forecast issued last; -1 when there is none
}

// skyAt returns the weather as it was known at the origin.
func skyAt(s *Site, origin meter.Millis) sky {
	if s == nil || s.Weather == nil {
		return sky{}
	}
	lo, hi := 0, len(s.Weather.Forecasts)
	for lo < hi { // the first issued after the origin
		if mid := (lo + hi) / 2; s.Weather.Forecasts[mid].Issued > origin {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return sky{weather: s.Weather, origin: origin, newest: lo - 1}
}

// at returns a quantity at t, NaN when neither an observation nor a forecast known at the origin has it.
func (s *sky) at(q quantity, t meter.Millis) float64 {
	if s.weather == nil {
		return math.NaN()
	}
	o := &s.weather.Observed
	if o.overBy(s.origin, t) {
		if v := o.at(q, t); v == v {
			return v
		}
	}
	if f := s.forecast(q, t); f != nil {
		return f.at(q, t)
	}
	if s.weather.Perfect {
		return o.at(q, t)
	}
	return math.NaN()
}

// forecast returns the forecast issued last that knows a quantity at t, nil when there is none.
func (s *sky) forecast(q quantity, t meter.Millis) *WeatherForecast {
	for i := s.newest; i >= 0; i-- {
		f := &s.weather.Forecasts[i]
		if s.origin.Sub(f.Issued) > MaxForecastAge {
			break
		}
		if v := f.at(q, t); v == v {
			return f
		}
	}
	return nil
}

// measure is a quantity, or how far it lies below or above a base: degree-hours for each hour.
type measure struct {
	quantity
	side int8 // -1: what lies below base, 1: what lies above it, 0: the quantity itself
	base float64
}

func (m measure) of(v float64) float64 {
	switch {
	case v != v || m.side == 0:
		return v
	case m.side < 0:
		return max(0, m.base-v)
	}
	return max(0, v-m.base)
}

// mean returns the mean of what is known of a measure over the length that ends at end, taken in the middle of every hour.
// It is NaN when nothing is known.
func (s *sky) mean(m measure, end meter.Millis, length time.Duration) float64 {
	sum, n := 0.0, 0
	for t := end.Add(-30 * time.Minute); t >= end.Add(-length); t = t.Add(-time.Hour) {
		if v := m.of(s.at(m.quantity, t)); v == v {
			sum += v
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

// age returns how many hours before the origin the forecast was issued that t is seen by, 0 where it was observed, and NaN
// when nothing is known.
func (s *sky) age(t meter.Millis) float64 {
	if s.weather == nil {
		return math.NaN()
	}
	o := &s.weather.Observed
	observed := o.at(temperature, t)
	if o.overBy(s.origin, t) && observed == observed {
		return 0
	}
	if f := s.forecast(temperature, t); f != nil {
		return float64(s.origin.Sub(f.Issued)) / float64(time.Hour)
	}
	if s.weather.Perfect && observed == observed {
		return 0
	}
	return math.NaN()
}
