package wire

import (
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// MaxWeather bounds the intervals of a series of weather: over a year of hours.
const MaxWeather = 10_000

// WeatherSpan is how much observed weather an agent keeps: what features look back on.
const WeatherSpan = 35 * 24 * time.Hour

const (
	perDegree = 100 // hundredths of °C
	perWatt   = 10  // tenths of W/m²
	notKnown  = math.MinInt32
)

// Weather is the weather at an agent's site.
type Weather struct {
	Observed feature.WeatherSeries    // may be empty
	Forecast *feature.WeatherForecast // nil: there is none
}

// EncodeWeather returns the message for w.
func EncodeWeather(w Weather) *uplinkv1.Weather {
	m := &uplinkv1.Weather{Observed: encodeWeatherSeries(w.Observed)}
	if w.Forecast != nil {
		m.IssuedMs, m.Forecast = int64(w.Forecast.Issued), encodeWeatherSeries(w.Forecast.WeatherSeries)
	}
	return m
}

func encodeWeatherSeries(s feature.WeatherSeries) *uplinkv1.WeatherSeries {
	return &uplinkv1.WeatherSeries{
		StartMs: int64(s.Start), ResolutionMs: s.Resolution.Milliseconds(),
		Temperature: scaled(s.Temperature, perDegree), Radiation: scaled(s.Radiation, perWatt),
	}
}

func scaled(values []float64, per float64) []int32 {
	out := make([]int32, len(values))
	for i, v := range values {
		if out[i] = notKnown; v == v {
			out[i] = int32(math.Round(v * per))
		}
	}
	return out
}

// DecodeWeather returns what m says. It passes feature.Weather.Check.
func DecodeWeather(m *uplinkv1.Weather) (Weather, error) {
	var w Weather
	var err error
	if w.Observed, err = decodeWeatherSeries(m.GetObserved()); err != nil {
		return Weather{}, err
	}
	all := feature.Weather{Observed: w.Observed}
	if m.GetIssuedMs() != 0 {
		s, err := decodeWeatherSeries(m.GetForecast())
		if err != nil {
			return Weather{}, err
		}
		w.Forecast = &feature.WeatherForecast{Issued: meter.Millis(m.GetIssuedMs()), WeatherSeries: s}
		all.Forecasts = []feature.WeatherForecast{*w.Forecast}
	}
	if err := all.Check(); err != nil {
		return Weather{}, invalid("weather: %v", err)
	}
	return w, nil
}

func decodeWeatherSeries(m *uplinkv1.WeatherSeries) (feature.WeatherSeries, error) {
	s := feature.WeatherSeries{Start: meter.Millis(m.GetStartMs())}
	if n := max(len(m.GetTemperature()), len(m.GetRadiation())); n > MaxWeather {
		return s, invalid("weather: %d intervals: want at most %d", n, MaxWeather)
	}
	var err error
	if s.Resolution, err = decodeResolution("weather", m.GetResolutionMs()); err != nil {
		return s, err
	}
	if s.Start > meter.Millis(1<<53) || s.Start < -meter.Millis(1<<53) {
		return s, invalid("weather: start %d ms: want an instant of this age", m.GetStartMs())
	}
	s.Temperature, s.Radiation = unscaled(m.GetTemperature(), perDegree), unscaled(m.GetRadiation(), perWatt)
	return s, nil
}

func unscaled(values []int32, per float64) []float64 {
	if len(values) == 0 {
		return nil
	}
	out := make([]float64, len(values))
	for i, v := range values {
		if out[i] = math.NaN(); v != notKnown {
			out[i] = float64(v) / per
		}
	}
	return out
}

// MarshalWeather returns w as bytes to keep.
func MarshalWeather(w Weather) ([]byte, error) { return proto.Marshal(EncodeWeather(w)) }

// UnmarshalWeather reads what MarshalWeather returned.
func UnmarshalWeather(b []byte) (Weather, error) {
	var m uplinkv1.Weather
	if err := proto.Unmarshal(b, &m); err != nil {
		return Weather{}, invalid("weather: %v", err)
	}
	return DecodeWeather(&m)
}
