package forecast_test

import (
	"math"
	"testing"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// TestForecastWithoutTheNewestReadings stands on what the model makes of the hours that are missing, and is wider by its growth.
func TestForecastWithoutTheNewestReadings(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	h := building(1_709_000_000_000-1_709_000_000_000%3_600_000, time.Hour, 70, zone, 3)
	art := trees(t, time.Hour)
	forecastFrom := func(origin meter.Millis, horizon int) forecast.Forecast {
		t.Helper()
		f, err := forecast.Make(h, "p", meter.EnergyImport, origin, horizon, art, forecast.Active, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	end := h.End()
	fresh, late := forecastFrom(end, 48), forecastFrom(end.Add(5*time.Hour), 48)
	if fresh.Stale != 0 || late.Stale != 5*time.Hour || !(late.Completeness < fresh.Completeness) {
		t.Errorf("stale %s and %s, completeness %g and %g", fresh.Stale, late.Stale, fresh.Completeness, late.Completeness)
	}
	bridged := h
	bridged.Energy = append([]float64(nil), h.Energy...)
	for s := 1; s <= 5; s++ {
		bridged.Energy = append(bridged.Energy, fresh.At(s, 1))
	}
	told, err := forecast.Make(bridged, "p", meter.EnergyImport, end.Add(5*time.Hour), 48, art, forecast.Active, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range late.Values {
		if math.Float64bits(late.Values[i]) != math.Float64bits(told.Values[i]) {
			t.Fatalf("value %d: %v, with what was forecast in place of readings %v", i, late.Values[i], told.Values[i])
		}
	}
	if _, err := forecast.Make(h, "p", meter.EnergyImport, end.Add(90*time.Minute), 48, art, forecast.Active, nil, 0); err == nil {
		t.Error("an origin within an interval is forecast from")
	}
	week := forecastFrom(end.Add(7*24*time.Hour), 48)
	art.Growth = []float64{1.5, 2, 3}
	wide := forecastFrom(end.Add(7*24*time.Hour), 48)
	for s := 1; s <= 48; s++ {
		if wide.At(s, 1) != week.At(s, 1) {
			t.Fatalf("step %d: the middle moved from %g to %g", s, week.At(s, 1), wide.At(s, 1))
		}
		if got := (wide.At(s, 2) - wide.At(s, 1)) / (week.At(s, 2) - week.At(s, 1)); math.Abs(got-3) > 1e-6 {
			t.Fatalf("step %d: breadth grew by %g, want 3", s, got)
		}
	}
	if f := forecastFrom(end, 48); f.Values[0] != fresh.Values[0] || f.Values[2] != fresh.Values[2] {
		t.Error("with all readings intervals grew")
	}
}

// TestLevelsBeyondTheModel: a site may ask for levels that the model was not trained for.
func TestLevelsBeyondTheModel(t *testing.T) {
	h := building(start, time.Hour, 40, nil, 1)
	art := trees(t, time.Hour)
	levels := []float64{0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.999}
	f, err := forecast.Make(h, "p", meter.EnergyImport, h.End(), 24, art, forecast.Active, levels, 0)
	if err != nil {
		t.Fatal(err)
	}
	own, err := forecast.Make(h, "p", meter.EnergyImport, h.End(), 24, art, forecast.Active, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for s := 1; s <= 24; s++ {
		if f.At(s, 2) != own.At(s, 0) || f.At(s, 3) != own.At(s, 1) || f.At(s, 4) != own.At(s, 2) {
			t.Fatalf("step %d: the model's own levels changed", s)
		}
		if got := (f.At(s, 5) - f.At(s, 3)) / (f.At(s, 4) - f.At(s, 3)); math.Abs(got-1.645/1.282) > 1e-6 {
			t.Fatalf("step %d: level 0.95 lies %g times as far out as 0.9", s, got)
		}
	}
}
