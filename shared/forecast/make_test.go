package forecast_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

const start = meter.Millis(1_704_067_200_000) // Monday, 1 January 2024

// maker is a way to forecast without a model.
type maker func(feature.History, string, meter.Register, meter.Millis, int, []float64, meter.Millis) (forecast.Forecast, error)

func makers() map[string]maker {
	return map[string]maker{"baseline": forecast.MakeBaseline, "naive": forecast.MakeNaive, "day": forecast.MakeDayNaive, "similar": forecast.MakeSimilar, "profile": forecast.MakeProfile}
}

func TestNothingAtOrAfterTheOriginIsUsed(t *testing.T) {
	art := trees(t, time.Hour)
	h := building(start, time.Hour, 90, nil, 1)
	rapid.Check(t, func(t *rapid.T) {
		origin := start.Add(time.Duration(rapid.IntRange(24, 90*24).Draw(t, "origin")) * time.Hour)
		changed := h
		changed.Energy = append([]float64(nil), h.Energy...)
		for i := h.Index(origin); i < len(changed.Energy); i++ {
			changed.Energy[i] = rapid.SampledFrom([]float64{math.NaN(), 0, 1e9}).Draw(t, "future")
		}
		all := makers()
		all["model"] = func(h feature.History, p string, r meter.Register, o meter.Millis, n int, l []float64, now meter.Millis) (forecast.Forecast, error) {
			return forecast.Make(h, p, r, o, n, art, forecast.Active, l, now)
		}
		for name, mk := range all {
			a, errA := mk(h, "p", meter.EnergyImport, origin, 48, nil, 0)
			// The other sees a changed future and, like an agent, only as much past as it must keep.
			b, errB := mk(changed.Since(origin.Add(-forecast.Reach)), "p", meter.EnergyImport, origin, 48, nil, 0)
			if (errA == nil) != (errB == nil) {
				t.Fatalf("%s: %v, then %v", name, errA, errB)
			}
			for i := range a.Values {
				if math.Float64bits(a.Values[i]) != math.Float64bits(b.Values[i]) {
					t.Fatalf("%s: value %d changed with the future or the far past", name, i)
				}
			}
		}
	})
}

func TestColdStart(t *testing.T) {
	art := trees(t, time.Hour)
	for _, c := range []struct {
		name                     string
		hours                    int
		model, baseline, profile error
	}{
		{"nothing", 0, forecast.ErrNoHistory, forecast.ErrShortHistory, forecast.ErrNoHistory},
		{"an hour", 1, forecast.ErrShortHistory, forecast.ErrShortHistory, nil},
		{"a day", 24, nil, forecast.ErrShortHistory, nil},
		{"a week", 7 * 24, nil, forecast.ErrShortHistory, nil},
		{"eight days", 8 * 24, nil, nil, nil},
		{"five weeks", 35 * 24, nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := building(start, time.Hour, 40, nil, 1)
			h.Energy = h.Energy[:c.hours]
			f, err := forecast.Make(h, "p", meter.EnergyImport, h.End(), 48, art, forecast.Active, nil, 5)
			if !errors.Is(err, c.model) {
				t.Errorf("model: got %v, want %v", err, c.model)
			}
			if err == nil && (f.Steps() != 48 || f.Model != "golden" || f.Issued != 5 || f.Rung != forecast.Active) {
				t.Errorf("model: %+v", f)
			}
			if f, err = forecast.MakeBaseline(h, "p", meter.EnergyImport, h.End(), 48, nil, 0); !errors.Is(err, c.baseline) {
				t.Errorf("baseline: got %v, want %v", err, c.baseline)
			}
			if f, err = forecast.MakeProfile(h, "p", meter.EnergyImport, h.End(), 48, nil, 0); !errors.Is(err, c.profile) {
				t.Errorf("profile: got %v, want %v", err, c.profile)
			} else if err == nil && f.Completeness != min(1, float64(c.hours)/(28*24)) {
				t.Errorf("completeness %g", f.Completeness)
			}
		})
	}
}

func TestBaselineIsTheMeanOfFourWeeks(t *testing.T) {
	h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, 60*24)}
	for i := range h.Energy {
		h.Energy[i] = float64(1000*(i/168) + i%168)
	}
	origin := start.Add(8 * 7 * 24 * time.Hour)
	levels := []float64{0.5}
	for name, want := range map[string]float64{"baseline": 1000 * (7 + 6 + 5 + 4) / 4, "naive": 7000} {
		f, err := makers()[name](h, "p", meter.EnergyImport, origin, 24, levels, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The errors of either rule are alike all the time: a growing meter runs ahead of its past by as much each week.
		ahead := map[string]float64{"baseline": 2500, "naive": 1000}[name]
		for s := 1; s <= 24; s++ {
			if got := f.At(s, 0); got != want+float64(s-1)+ahead {
				t.Fatalf("%s step %d: got %g, want %g", name, s, got, want+float64(s-1)+ahead)
			}
		}
	}
}

// TestBaselineFollowsTheWallClock has a shop that opens at eight by the clock on the wall, over a change of clocks.
func TestBaselineFollowsTheWallClock(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{"2024-03-31T01:00:00Z", "2024-10-27T01:00:00Z"} {
		at, _ := time.Parse(time.RFC3339, change)
		origin := meter.MillisOf(at).Add(-3 * time.Hour)
		h := feature.History{Start: origin.Add(-60 * 24 * time.Hour), Resolution: time.Hour, Zone: zone, Energy: make([]float64, 60*24)}
		for i := range h.Energy {
			if l := h.Start.Add(time.Duration(i) * time.Hour).Time().In(zone).Hour(); l >= 8 && l < 18 {
				h.Energy[i] = 5000
			}
		}
		f, err := forecast.MakeBaseline(h, "p", meter.EnergyImport, origin, 48, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for s := 1; s <= 48; s++ {
			want := 0.0
			if l := f.Start(s).Time().In(zone).Hour(); l >= 8 && l < 18 {
				want = 5000
			}
			if got := f.At(s, 1); got != want {
				t.Errorf("%s: got %g, want %g", f.Start(s).Time().In(zone), got, want)
			}
		}
	}
}

func TestProfileRepeatsTheLastKnownDay(t *testing.T) {
	h := building(start, time.Hour, 3, nil, 1)
	h.Energy[2*24+10] = math.NaN()
	f, err := forecast.MakeProfile(h, "p", meter.EnergyImport, h.End(), 48, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for s := 1; s <= 48; s++ {
		hour := (s - 1) % 24
		want := h.Energy[2*24+hour]
		if hour == 10 {
			want = h.Energy[24+hour]
		}
		if f.At(s, 1) != want {
			t.Errorf("step %d: got %g, want %g", s, f.At(s, 1), want)
		}
		if !(f.At(s, 0) < want && f.At(s, 2) > want) {
			t.Errorf("step %d: interval %g to %g around %g", s, f.At(s, 0), f.At(s, 2), want)
		}
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	h := building(start, time.Hour, 40, nil, 1)
	art := trees(t, time.Hour)
	quarter := trees(t, 15*time.Minute)
	for name, try := range map[string]func() (forecast.Forecast, error){
		"no steps": func() (forecast.Forecast, error) {
			return forecast.Make(h, "p", "r", h.End(), 0, art, forecast.Active, nil, 0)
		},
		"too many steps": func() (forecast.Forecast, error) { return forecast.MakeProfile(h, "p", "r", h.End(), 1e6, nil, 0) },
		"beyond the model": func() (forecast.Forecast, error) {
			return forecast.Make(h, "p", "r", h.End(), 49, art, forecast.Active, nil, 0)
		},
		"other resolution": func() (forecast.Forecast, error) {
			return forecast.Make(h, "p", "r", h.End(), 4, quarter, forecast.Active, nil, 0)
		},
		"levels crossing": func() (forecast.Forecast, error) {
			return forecast.MakeBaseline(h, "p", "r", h.End(), 4, []float64{0.9, 0.1}, 0)
		},
		"origin off grid": func() (forecast.Forecast, error) { return forecast.MakeBaseline(h, "p", "r", h.End()+1, 4, nil, 0) },
		"bad name":        func() (forecast.Forecast, error) { return forecast.MakeProfile(h, "a/b", "r", h.End(), 4, nil, 0) },
		"bad history": func() (forecast.Forecast, error) {
			return forecast.MakeProfile(feature.History{}, "p", "r", 0, 4, nil, 0)
		},
	} {
		if f, err := try(); err == nil {
			t.Errorf("%s: forecast %v", name, f.Values)
		}
	}
}

func TestLevelsBetweenAreInterpolated(t *testing.T) {
	h := building(start, time.Hour, 40, nil, 1)
	art := trees(t, time.Hour)
	own, err := forecast.Make(h, "p", "r", h.End(), 4, art, forecast.Active, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := forecast.Make(h, "p", "r", h.End(), 4, art, forecast.Active, []float64{0.1, 0.3, 0.9}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for s := 1; s <= 4; s++ {
		if f.At(s, 0) != own.At(s, 0) || f.At(s, 2) != own.At(s, 2) {
			t.Errorf("step %d: a level the model has changed", s)
		}
		if want := (own.At(s, 0) + own.At(s, 1)) / 2; math.Abs(f.At(s, 1)-want) > 1e-6 {
			t.Errorf("step %d: got %g, want %g", s, f.At(s, 1), want)
		}
	}
}

// wild is a model that gives what no model should.
type wild struct{ v []float64 }

func (w wild) Levels() []float64 { return []float64{0.1, 0.9} }
func (w wild) Predict(_ []float32, n int, out []float64) {
	for i := range out {
		out[i] = w.v[i%len(w.v)]
	}
}

func TestWildModelsGiveErrorsNotForecasts(t *testing.T) {
	h := building(start, time.Hour, 40, nil, 1)
	for name, v := range map[string][]float64{"NaN": {math.NaN()}, "infinite": {math.Inf(1)}, "crossing": {2, 1}, "absurd": {1e14}} {
		a := &model.Artifact{Spec: feature.Default(), Levels: []float64{0.1, 0.9}, Resolution: time.Hour, Horizon: 48 * time.Hour, Model: wild{v}}
		if f, err := forecast.Make(h, "p", "r", h.End(), 4, a, forecast.Active, nil, 0); err == nil {
			t.Errorf("%s: forecast %v", name, f.Values)
		}
	}
	a := &model.Artifact{Spec: feature.Default(), Levels: []float64{0.1, 0.9}, Resolution: time.Hour, Horizon: 48 * time.Hour, Model: wild{[]float64{-3, 1}}}
	f, err := forecast.Make(h, "p", "r", h.End(), 4, a, forecast.Active, nil, 0)
	if err != nil || f.Values[0] != 0 || f.Values[1] <= 0 {
		t.Errorf("below zero: %v, %v: want 0", f.Values, err)
	}
}
