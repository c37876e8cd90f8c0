package train_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// grid returns the load of a whole country: a smooth week that follows a slow, wandering level.
func grid(days int, seed uint64) train.Dataset {
	rng := rand.New(rand.NewPCG(seed, 5))
	h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, 24*days)}
	level, slope := 0.0, 0.0
	for i := range h.Energy {
		at := start.Add(time.Duration(i) * time.Hour).Time()
		day := 2 * math.Pi * float64(at.Hour()) / 24
		v := 30_000 * (1 - 0.2*math.Cos(day-0.8) - 0.08*math.Cos(2*day))
		switch at.Weekday() {
		case time.Saturday:
			v *= 0.88 - 0.03*math.Sin(day)
		case time.Sunday:
			v *= 0.82 - 0.05*math.Sin(day)
		}
		slope = 0.97*slope + 0.00007*rng.NormFloat64()
		level = 0.99*level + slope
		h.Energy[i] = math.Round(v * math.Exp(level) * (1 + 0.002*rng.NormFloat64()))
	}
	return train.Dataset{Points: []train.Point{{ID: "grid", Register: meter.EnergyImport, History: h}}}
}

// dayAhead returns the mean absolute error over the mean, and the coverage, of day-ahead forecasts at each midnight from a
// cut on.
func dayAhead(t testing.TB, d train.Dataset, cut meter.Millis, forecastFrom func(h feature.History, origin meter.Millis) (forecast.Forecast, error)) (nmae, coverage float64) {
	t.Helper()
	var s forecast.Score
	for _, p := range d.Points {
		for origin := cut; origin.Add(24*time.Hour) <= p.History.End(); origin = origin.Add(24 * time.Hour) {
			f, err := forecastFrom(p.History.Before(origin), origin)
			if err != nil {
				t.Fatal(err)
			}
			for step := 1; step <= 24; step++ {
				if y := p.History.At(f.Start(step)); y == y {
					s.Add(f.Levels, f.Values[3*(step-1):3*step], y)
				}
			}
		}
	}
	return s.MAE() / s.Mean(), s.Coverage()
}

// with forecasts with an artifact.
func with(a *model.Artifact) func(h feature.History, origin meter.Millis) (forecast.Forecast, error) {
	return func(h feature.History, origin meter.Millis) (forecast.Forecast, error) {
		return forecast.Make(h, "p", meter.EnergyImport, origin, 24, a, forecast.Active, nil, 0)
	}
}

// plain is a spec of lags and calendar alone, on which trees have no anchor.
const plain = "fluxora-features 1\nlead\nday 1\nday 2\nday 3\nday 4\nday 5\nday 6\nday 7\nweek 1\nweek 2\nweek 3\nweek 4\nwindow std 24h\nhour\nweekday\nweekend\n"

func TestLineBeatsTreesOnASmoothAggregate(t *testing.T) {
	lags, err := feature.ParseSpec(plain)
	if err != nil {
		t.Fatal(err)
	}
	var line, trees, anchored, naive float64
	for seed := range uint64(3) {
		d := grid(140, seed)
		cut := start.Add(112 * 24 * time.Hour)
		score := func(p train.Params) float64 {
			p.Horizon = 24 * time.Hour
			a, _ := fit(t, d.Before(cut), p)
			e, _ := dayAhead(t, d, cut, with(a))
			return e / 3
		}
		line += score(train.Params{Family: model.FamilyLinear})
		trees += score(train.Params{Family: model.FamilyGBDT, Spec: lags})
		anchored += score(train.Params{Family: model.FamilyGBDT})
		e, _ := dayAhead(t, d, cut, func(h feature.History, origin meter.Millis) (forecast.Forecast, error) {
			return forecast.MakeNaive(h, "p", meter.EnergyImport, origin, 24, nil, 0)
		})
		naive += e / 3
	}
	t.Logf("error: line %.2f %%, trees on lags %.2f %%, trees on an anchor %.2f %%, a week before %.2f %%", 100*line, 100*trees, 100*anchored, 100*naive)
	if line > 0.8*trees || line > 1.2*anchored || line > 0.5*naive {
		t.Error("a line must err by clearly less than trees on lags and a week before, and about as little as trees on an anchor")
	}
}

func TestQuantilesOfALineHoldOnFreshData(t *testing.T) {
	d := town(8, 100, time.Hour)
	cut := start.Add(70 * 24 * time.Hour)
	a, _ := fit(t, d.Before(cut), train.Params{Family: model.FamilyLinear, Horizon: 24 * time.Hour})
	_, coverage := dayAhead(t, d, cut, with(a))
	if coverage < 0.76 || coverage > 0.84 {
		t.Errorf("the 80 %% band covers %.1f %% of what came after the fit", 100*coverage)
	}
}

func TestALineIsTheSameForAnyNumberOfThreadsAndCanBeCancelled(t *testing.T) {
	d := town(3, 40, time.Hour)
	p := train.Params{Family: model.FamilyLinear}
	sameForAnyNumberOfThreads(t, d, p)
	canBeCancelled(t, d, p, 3)
}

func TestALineOverOddHistories(t *testing.T) {
	odd := func(change func(i int, v float64) float64) train.Dataset {
		d := town(2, 60, time.Hour)
		for p := range d.Points {
			e := d.Points[p].History.Energy
			for i := range e {
				e[i] = change(i, e[i])
			}
		}
		return d
	}
	for name, d := range map[string]train.Dataset{
		"constant":        odd(func(int, float64) float64 { return 500 }),
		"all zero":        odd(func(int, float64) float64 { return 0 }),
		"every other day": odd(func(i int, v float64) float64 { return map[bool]float64{true: math.NaN(), false: v}[i/24%2 == 0] }),
		"one spike":       odd(func(i int, v float64) float64 { return v + 1e9*float64(max(0, 1-max(i-900, 900-i))) }),
	} {
		a, _ := fit(t, d, train.Params{Family: model.FamilyLinear})
		h := d.Points[1].History
		f, err := forecast.Make(h, "p", meter.EnergyImport, h.End(), 48, a, forecast.Active, nil, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "constant" && math.Abs(f.At(5, 1)-500) > 5 {
			t.Errorf("500 Wh every hour is forecast at %g", f.At(5, 1))
		}
	}
	if _, _, err := train.Fit(context.Background(), odd(func(int, float64) float64 { return math.NaN() }), train.Params{Family: model.FamilyLinear}, nil); !errors.Is(err, train.ErrTooLittle) {
		t.Errorf("all missing: %v", err)
	}
	if _, _, err := train.Fit(context.Background(), town(2, 40, time.Hour), train.Params{Family: model.FamilyLinear, Linear: train.LinearParams{Penalty: math.NaN()}}, nil); err == nil {
		t.Error("a penalty that is no number was taken")
	}
}
