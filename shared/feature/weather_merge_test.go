package feature_test

import (
	"math"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

func TestWeatherWith(t *testing.T) {
	start := meter.MillisOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	series := func(from time.Duration, temperature ...float64) feature.WeatherSeries {
		return feature.WeatherSeries{Start: start.Add(from), Resolution: time.Hour, Temperature: temperature}
	}
	nan := math.NaN()
	var w *feature.Weather
	w = w.With(series(0, 1, 2, nan, 4), nil, start, 2)
	w = w.With(series(2*time.Hour, 3, nan, 5), []feature.WeatherForecast{
		{Issued: start + 2, WeatherSeries: series(4*time.Hour, 20)},
		{Issued: start + 1, WeatherSeries: series(4*time.Hour, 10)},
	}, start.Add(time.Hour), 2)
	equal(t, w.Observed, series(time.Hour, 2, 3, 4, 5))
	w = w.With(feature.WeatherSeries{}, []feature.WeatherForecast{
		{Issued: start + 2, WeatherSeries: series(4*time.Hour, 21)},
		{Issued: start + 3, WeatherSeries: series(0, 30)}, // over before what is kept begins
		{Issued: start + 4, WeatherSeries: series(4*time.Hour, 40)},
	}, start.Add(3*time.Hour), 2)
	equal(t, w.Observed, series(3*time.Hour, 4, 5))
	if len(w.Forecasts) != 2 || w.Forecasts[0].Temperature[0] != 21 || w.Forecasts[1].Temperature[0] != 40 {
		t.Errorf("forecasts %+v, want those issued last, each once, by what was said of it last", w.Forecasts)
	}
	if err := w.Check(); err != nil {
		t.Error(err)
	}
	if got := w.With(series(-9*time.Hour, 7), nil, start.Add(9*time.Hour), 2).Observed; !got.Empty() {
		t.Errorf("%+v is left of what lies before", got)
	}
	other := feature.WeatherSeries{Start: start, Resolution: 30 * time.Minute, Temperature: []float64{1}, Radiation: []float64{2}}
	equal(t, w.With(other, nil, start, 2).Observed, other)
}

func equal(t *testing.T, got, want feature.WeatherSeries) {
	t.Helper()
	if got.Start != want.Start || got.Resolution != want.Resolution || len(got.Temperature) != len(want.Temperature) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i, v := range want.Temperature {
		if g := got.Temperature[i]; g != v && (g == g || v == v) {
			t.Errorf("interval %d: got %g, want %g", i, g, v)
		}
	}
}
