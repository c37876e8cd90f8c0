package forecast_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// TestAdapterFindsTheBreadth: whether a model's intervals are far too narrow, far too wide or lopsided, after some weeks
// they cover what they say.
func TestAdapterFindsTheBreadth(t *testing.T) {
	for name, breadth := range map[string][2]float64{"narrow": {30, 30}, "wide": {500, 500}, "lopsided": {30, 500}} {
		t.Run(name, func(t *testing.T) {
			var a forecast.Adapter
			rng := rand.New(rand.NewPCG(1, 2))
			h := feature.History{Resolution: time.Hour}
			var late forecast.Score
			for day := range 120 {
				origin := meter.Millis(day) * 86_400_000
				f := forecast.Forecast{Point: "p", Origin: origin, Resolution: time.Hour, Rung: forecast.Active, Levels: []float64{0.1, 0.5, 0.9}}
				for range 48 {
					f.Values = append(f.Values, 1000-breadth[0], 1000, 1000+breadth[1])
				}
				made := a.Adapt(f, h)
				if made.Check() != nil {
					t.Fatal(made.Check())
				}
				for s := range 24 {
					actual := 1000 + 100*rng.NormFloat64()
					h.Energy = append(h.Energy, actual)
					if day >= 60 {
						late.Add(made.Levels, made.Values[3*s:3*s+3], actual)
					}
				}
			}
			if c := late.Coverage(); c < 0.77 || c > 0.83 {
				t.Errorf("after 60 days %.1f %% are covered, want 80", 100*c)
			}
		})
	}
}

// TestAdapterLearnsFromWhatIsKnown: intervals that are missing teach nothing.
func TestAdapterLearnsFromWhatIsKnown(t *testing.T) {
	nan := []float64{}
	for range 24 {
		nan = append(nan, math.NaN())
	}
	var a forecast.Adapter
	f := forecast.Forecast{Point: "p", Resolution: time.Hour, Rung: forecast.Active, Levels: []float64{0.1, 0.5, 0.9}}
	for range 24 {
		f.Values = append(f.Values, 90, 100, 110)
	}
	h := feature.History{Resolution: time.Hour, Energy: nan}
	for day := range 10 {
		f.Origin = meter.Millis(day) * 86_400_000
		made := a.Adapt(f, h)
		for i := range made.Values {
			if made.Values[i] != f.Values[i] {
				t.Fatalf("day %d: value %d became %g though nothing is known", day, i, made.Values[i])
			}
		}
	}
}

// TestAdapterFollowsRestlessness: after wild days intervals are wide at once, after calm ones narrow, and the whole covers
// what it says.
func TestAdapterFollowsRestlessness(t *testing.T) {
	var a forecast.Adapter
	rng := rand.New(rand.NewPCG(3, 4))
	h := feature.History{Resolution: time.Hour}
	var all forecast.Score
	var breadth, days [2]float64 // after calm and after wild days
	for day := range 200 {
		wild := day / 8 % 2 // spells of eight days
		origin := meter.Millis(day) * 86_400_000
		f := forecast.Forecast{Point: "p", Origin: origin, Resolution: time.Hour, Rung: forecast.Active, Levels: []float64{0.1, 0.5, 0.9}}
		for range 24 {
			f.Values = append(f.Values, 900, 1000, 1100)
		}
		made := a.Adapt(f, h)
		if day > 40 && day%8 > 2 {
			breadth[wild] += made.Values[2] - made.Values[0]
			days[wild]++
		}
		for s := range 24 {
			h.Energy = append(h.Energy, 1000+[2]float64{40, 160}[wild]*rng.NormFloat64())
			if day > 40 {
				all.Add(made.Levels, made.Values[3*s:3*s+3], h.Energy[len(h.Energy)-1])
			}
		}
	}
	if c := all.Coverage(); c < 0.78 || c > 0.82 {
		t.Errorf("%.1f %% are covered, want 80", 100*c)
	}
	if calm, wild := breadth[0]/days[0], breadth[1]/days[1]; wild < 2*calm {
		t.Errorf("breadth %.0f after calm days, %.0f after days four times as wild", calm, wild)
	}
}

// TestAdapterLeans: a point that stays above its model's middle level is forecast higher, by a bounded part of the breadth, and
// at night only when it does so at night; when it is as forecast again, forecasts are the model's within days.
func TestAdapterLeans(t *testing.T) {
	var a forecast.Adapter
	h := feature.History{Resolution: time.Hour}
	var moved [2]float64 // of the middle level, at the night's and the afternoon's first hour
	for day := range 60 {
		origin := meter.Millis(day) * 86_400_000
		f := forecast.Forecast{Point: "p", Origin: origin, Resolution: time.Hour, Rung: forecast.Active, Levels: []float64{0.1, 0.5, 0.9}}
		for range 48 {
			f.Values = append(f.Values, 900, 1000, 1100)
		}
		made := a.Adapt(f, h)
		if err := made.Check(); err != nil {
			t.Fatal(err)
		}
		moved = [2]float64{made.At(25, 1) - 1000, made.At(37, 1) - 1000}
		if half := (made.At(1, 2) - made.At(1, 0)) / 2; math.Abs(made.At(1, 1)-1000) > half/4 {
			t.Fatalf("day %d: moved by %g, the half-breadth is %g", day, made.At(1, 1)-1000, half)
		}
		if day == 40 && (moved[1] < 2 || math.Abs(moved[0]) > 1e-9) {
			t.Errorf("after 40 days with afternoons 60 above the middle these move by %.1f, nights by %.1f", moved[1], moved[0])
		}
		for hour := range 24 {
			actual := 1000.0
			if hour >= 12 && hour < 18 && day < 40 {
				actual = 1060
			}
			h.Energy = append(h.Energy, actual)
		}
	}
	if math.Abs(moved[1]) > 0.5 {
		t.Errorf("20 days later afternoons still move by %.1f", moved[1])
	}
}
