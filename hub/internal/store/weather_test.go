package store_test

import (
	"math"
	"testing"
	"time"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/ingeststore"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// TestWeatherOfSources: what a station measured goes before what a provider says, a later word before an earlier one, nothing
// that is known gives way to what is not, and agents are told what they do not hold yet.
func TestWeatherOfSources(t *testing.T) {
	s := storetest.Open(t)
	org, site, _ := storetest.Site(t, s, "org", store.Site{Name: "town"})
	now := time.Now().UTC().Truncate(time.Hour)
	from := meter.MillisOf(now.Add(-30 * time.Hour))
	series := func(start meter.Millis, step time.Duration, temperature ...float64) feature.WeatherSeries {
		return feature.WeatherSeries{Start: start, Resolution: step, Temperature: temperature}
	}
	put := func(source string, observed feature.WeatherSeries, f *feature.WeatherForecast) {
		t.Helper()
		if err := s.PutWeather(t.Context(), org, site.ID, source, observed, f); err != nil {
			t.Fatal(err)
		}
	}
	put("open-meteo", series(from, time.Hour, 1, 2, 3, 4), nil)
	put(store.Station, series(from.Add(time.Hour), 30*time.Minute, 20, 22, math.NaN(), 30), nil)
	put("open-meteo", series(from, time.Hour, math.NaN(), 9, 9, 8), &feature.WeatherForecast{Issued: from, WeatherSeries: series(from.Add(4*time.Hour), time.Hour, 50)})
	around, err := s.Surroundings(t.Context(), org, site, from, meter.MillisOf(now), false)
	if err != nil {
		t.Fatal(err)
	}
	o := around.Weather.Observed
	for i, want := range []float64{1, 21, 30, 8} {
		if o.Temperature[i] != want {
			t.Errorf("hour %d: %g °C, want %g", i, o.Temperature[i], want)
		}
	}
	if o.Start != from || len(o.Temperature) != 4 || around.Weather.Forecasts[0].Temperature[0] != 50 {
		t.Errorf("%+v", around.Weather)
	}

	hub, agent := ingeststore.New(s, time.Now), ingest.Agent{Org: org, Site: site.ID}
	w, err := hub.NewWeather(t.Context(), agent, wire.Held{})
	if celsius, _ := w.Observed.At(from); err != nil || celsius != 1 || w.Observed.End() != o.End() || w.Forecast == nil || w.Forecast.Issued != from {
		t.Errorf("%+v, %v", w, err)
	}
	w, err = hub.NewWeather(t.Context(), agent, wire.Held{To: from.Add(3 * time.Hour), Issued: from})
	if err != nil || len(w.Observed.Temperature) != 1 || w.Observed.Temperature[0] != 8 || w.Forecast != nil {
		t.Errorf("%+v, %v: want what the agent does not hold", w, err)
	}
	w, err = hub.NewWeather(t.Context(), agent, wire.Held{To: o.End(), Issued: from})
	if err != nil || !w.Observed.Empty() || w.Forecast != nil {
		t.Errorf("%+v, %v: want nothing for an agent that holds all", w, err)
	}
	if err := s.PutWeather(t.Context(), org, site.ID, store.Station, series(from, time.Hour, 99), nil); err == nil {
		t.Error("99 °C is kept")
	}

	// A move forgets what providers said of the place before.
	site.Place = &store.Place{Latitude: 1, Longitude: 2}
	if err := s.UpdateSite(t.Context(), org, site); err != nil {
		t.Fatal(err)
	}
	if around, err = s.Surroundings(t.Context(), org, site, from, meter.MillisOf(now), false); err != nil {
		t.Fatal(err)
	}
	w.Observed = around.Weather.Observed
	provider, _ := w.Observed.At(from)
	if station, _ := w.Observed.At(from.Add(time.Hour)); len(around.Weather.Forecasts) != 0 || station != 21 || provider == provider {
		t.Errorf("%+v after the site moved, want what its station measured", around.Weather)
	}
	site.Place = &store.Place{Latitude: 91}
	if err := s.UpdateSite(t.Context(), org, site); err == nil {
		t.Error("a latitude of 91 is kept")
	}
}
