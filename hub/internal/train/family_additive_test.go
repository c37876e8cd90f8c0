package train_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// street returns offices in Norway of so many days; those of even number heat with electricity.
func street(points, days int) train.Dataset {
	rng := rand.New(rand.NewPCG(1, 9))
	weather := &feature.Weather{Observed: feature.WeatherSeries{Start: start, Resolution: time.Hour}, Perfect: true}
	wander := 0.0
	for i := range 24 * days {
		wander = 0.98*wander + 0.8*rng.NormFloat64()
		at := 2 * math.Pi * float64(i) / 24
		weather.Observed.Temperature = append(weather.Observed.Temperature, 2-8*math.Cos(at/365)+3*math.Sin(at-2)+wander)
	}
	site := &feature.Site{Country: "NO", Weather: weather}
	free, err := holiday.Of("NO")
	if err != nil {
		panic(err)
	}
	var d train.Dataset
	for p := range points {
		h := feature.History{Start: start, Resolution: time.Hour, Site: site}
		for i := range 24 * days {
			at := start.Add(time.Duration(i) * time.Hour).Time()
			v := 1000.0
			if hr := at.Hour(); hr >= 7 && hr < 17 && !free.Free(holiday.On(at.Date())) {
				v = 3000
			}
			if p%2 == 0 {
				v += 120 * max(0, 12-weather.Observed.Temperature[i])
			}
			h.Energy = append(h.Energy, math.Round(float64(p+1)*v*(1+0.05*rng.NormFloat64())))
		}
		d.Points = append(d.Points, train.Point{ID: "p" + strconv.Itoa(p), Register: meter.EnergyImport, History: h})
	}
	return d
}

// named forecasts the points of a dataset by an artifact, each under its own name.
func named(t *testing.T, d train.Dataset, cut meter.Millis, a *model.Artifact, name func(p train.Point) string) float64 {
	t.Helper()
	sum := 0.0
	for _, p := range d.Points {
		e, _ := dayAhead(t, train.Dataset{Points: []train.Point{p}}, cut, func(h feature.History, origin meter.Millis) (forecast.Forecast, error) {
			return forecast.Make(h, name(p), meter.EnergyImport, origin, 24, a, forecast.Active, nil, 0)
		})
		sum += e
	}
	return sum / float64(len(d.Points))
}

func TestAnAdditiveModelLearnsItsParts(t *testing.T) {
	d := street(6, 480)
	cut := start.Add(450 * 24 * time.Hour)
	a, r := fit(t, d.Before(cut), train.Params{Family: model.FamilyAdditive, Horizon: 24 * time.Hour})
	m := a.Model.(*model.Additive)
	if len(m.Points) != 6 || a.Spec.Column("yearday") < 0 {
		t.Fatalf("%d points of their own, report %+v", len(m.Points), r)
	}
	own := named(t, d, cut, a, func(p train.Point) string { return p.ID })
	strange := named(t, d, cut, a, func(train.Point) string { return "never-seen" })
	naive := 0.0
	for _, p := range d.Points {
		e, _ := dayAhead(t, train.Dataset{Points: []train.Point{p}}, cut, func(h feature.History, origin meter.Millis) (forecast.Forecast, error) {
			return forecast.MakeSimilar(h, "p", meter.EnergyImport, origin, 24, nil, 0)
		})
		naive += e / float64(len(d.Points))
	}
	t.Logf("error: of points learnt from %.2f %%, as if never seen %.2f %%, similar days %.2f %%", 100*own, 100*strange, 100*naive)
	if own > 0.8*naive || strange > naive || own > strange {
		t.Error("want points learnt from best, points never seen no worse than similar days")
	}

	// One row, made colder by ten degrees: the heated point asks for more, the other does not.
	b := feature.NewBuilder(a.Spec)
	colder := func(p train.Point) float64 {
		if err := b.Reset(p.History.Before(cut), cut); err != nil {
			t.Fatal(err)
		}
		row := make([]float32, a.Spec.Len())
		b.Row(12, row)
		before := m.DecomposeFor(forecast.PointName(p.ID, p.Register), row)[model.Weather]
		for _, name := range []string{"temperature", "temperature mean 24h", "temperature mean 72h", "warmer days 7", "warmer weeks 4"} {
			row[a.Spec.Column(name)] -= 10
		}
		return m.DecomposeFor(forecast.PointName(p.ID, p.Register), row)[model.Weather] - before
	}
	heated, other := colder(d.Points[0]), colder(d.Points[1])
	t.Logf("ten degrees colder: heated %+.2f, other %+.2f scales", heated, other)
	if heated < 0.1 || math.Abs(other) > heated/3 {
		t.Errorf("ten degrees colder: heated %+.2f, other %+.2f scales", heated, other)
	}
}

func TestAHolidayIsAPartOfItsOwn(t *testing.T) {
	d := street(6, 480)
	cut := meter.MillisOf(time.Date(2025, 4, 17, 0, 0, 0, 0, time.UTC)) // Maundy Thursday
	a, _ := fit(t, d.Before(cut), train.Params{Family: model.FamilyAdditive, Horizon: 24 * time.Hour})
	f, err := forecast.Make(d.Points[1].History, "p1", meter.EnergyImport, cut, 24, a, forecast.Active, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.At(13, 1); math.Abs(got-2000) > 600 {
		t.Errorf("noon of a holiday is forecast at %.0f Wh, want about 2000, not 6000", got)
	}
}

func TestQuantilesOfAnAdditiveModelHoldOnFreshData(t *testing.T) {
	d := town(8, 100, time.Hour)
	cut := start.Add(70 * 24 * time.Hour)
	a, _ := fit(t, d.Before(cut), train.Params{Family: model.FamilyAdditive, Horizon: 24 * time.Hour})
	_, coverage := dayAhead(t, d, cut, with(a))
	if coverage < 0.76 || coverage > 0.84 {
		t.Errorf("the 80 %% band covers %.1f %% of what came after the fit", 100*coverage)
	}
}

func TestAnAdditiveModelIsTheSameForAnyNumberOfThreadsAndCanBeCancelled(t *testing.T) {
	d := town(3, 60, time.Hour)
	p := train.Params{Family: model.FamilyAdditive}
	sameForAnyNumberOfThreads(t, d, p)
	canBeCancelled(t, d, p, 4)
	p.Additive.OwnPenalty = math.Inf(1)
	if a, _ := fit(t, d, p); len(a.Model.(*model.Additive).Points) != 0 {
		t.Error("points have something of their own although they may not")
	}
	for _, bad := range []train.AdditiveParams{{Penalty: math.NaN()}, {Penalty: math.Inf(1)}, {OwnPenalty: -1}, {Knots: 51}} {
		if _, _, err := train.Fit(context.Background(), d, train.Params{Family: model.FamilyAdditive, Additive: bad}, nil); err == nil {
			t.Errorf("%+v: taken", bad)
		}
	}
}

func TestAnAdditiveModelOverOddHistories(t *testing.T) {
	for name, v := range map[string]float64{"constant": 500, "all zero": 0, "all missing": math.NaN()} {
		d := town(2, 60, time.Hour)
		for p := range d.Points {
			for i := range d.Points[p].History.Energy {
				d.Points[p].History.Energy[i] = v
			}
		}
		a, _, err := train.Fit(context.Background(), d, train.Params{Family: model.FamilyAdditive}, nil)
		if v != v {
			if !errors.Is(err, train.ErrTooLittle) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		h := d.Points[1].History
		f, err := forecast.Make(h, "p1", meter.EnergyImport, h.End(), 24, a, forecast.Active, nil, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := f.At(5, 1); math.Abs(got-v) > 0.01*v {
			t.Errorf("%s: %g Wh every hour is forecast at %g", name, v, got)
		}
	}
}

func TestPartsAddUpToTheForecast(t *testing.T) {
	d := street(4, 90)
	cut := start.Add(89 * 24 * time.Hour)
	for _, settings := range []map[string]string{
		{"family": "additive"},
		{"family": "additive", "points": "own"},
		{"family": "ensemble", "members": "seasonal,additive"},
	} {
		settings["horizon"] = "24h"
		a, _ := fit(t, d.Before(cut), apply(t, settings))
		for _, p := range d.Points[:2] {
			var m forecast.Maker
			f, err := m.Make(p.History, p.ID, p.Register, cut, 24, a, forecast.Active, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			parts, err := m.Decompose(p.History, p.ID, p.Register, cut, 24, a)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range parts.Steps {
				if got := f.At(i+1, 1); a.Family != model.FamilyEnsemble && math.Abs(got-max(0, s.Sum)) > 1e-6*got || !(s.Share >= 0 && s.Share <= 1) {
					t.Fatalf("%v, step %d: forecast %g Wh, parts %v of %g, share %g", settings, i+1, got, s.Wh, s.Sum, s.Share)
				}
			}
		}
	}
	a, _ := fit(t, d.Before(cut), apply(t, map[string]string{"family": "seasonal", "horizon": "24h"}))
	if _, err := new(forecast.Maker).Decompose(d.Points[0].History, "p0", meter.EnergyImport, cut, 24, a); !errors.Is(err, forecast.ErrNoParts) {
		t.Errorf("a baseline: %v", err)
	}
}

// Where the history allows, an ensemble's additive member has its year too, and trees do not see the date.
func TestAnEnsembleOfAYearAndMoreHasYearlyParts(t *testing.T) {
	d := street(2, 480)
	a, _ := fit(t, d, apply(t, map[string]string{"family": "ensemble", "members": "additive,gbdt", "horizon": "24h", "rows": "8000", "gbdt.trees": "10"}))
	column := a.Spec.Column("yearday")
	if column < 0 {
		t.Fatal("the rows lack the day of the year")
	}
	for _, m := range a.Model.(*model.Mixture).Members {
		switch m := m.Model.(type) {
		case *model.Additive:
			yearly := 0
			for _, term := range m.Terms {
				if term.Part == model.Yearly {
					yearly++
				}
			}
			if yearly == 0 {
				t.Error("the additive member has no yearly terms")
			}
		case *model.GBDT:
			for _, tree := range m.Trees.Trees {
				for _, n := range tree {
					if n.Feature != model.Leaf && int(n.Feature&0x3fff) == column {
						t.Fatal("a tree goes by the day of the year")
					}
				}
			}
		}
	}
}
