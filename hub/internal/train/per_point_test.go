package train_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// mixedTrades returns points that heat, points that cool, and, as the last one, a point that does what the day before did; rows do not tell
// which is which.
func mixedTrades(points, days int) train.Dataset {
	rng := rand.New(rand.NewPCG(4, 4))
	weather := &feature.Weather{Observed: feature.WeatherSeries{Start: start, Resolution: time.Hour}, Perfect: true}
	for range days {
		level := 10 + 8*rng.NormFloat64()
		for hour := range 24 {
			weather.Observed.Temperature = append(weather.Observed.Temperature, level+3*math.Sin(float64(hour)/4))
		}
	}
	site := &feature.Site{Country: "NO", Weather: weather}
	var d train.Dataset
	for p := range points {
		h := feature.History{Start: start, Resolution: time.Hour, Site: site}
		slope := []float64{-60, 60}[p%2]
		today := 0.0
		for i := range 24 * days {
			if i%24 == 0 && (i/24)%3 == 0 { // three days alike
				today = 1500 * rng.NormFloat64()
			}
			v := 3000 + slope*(weather.Observed.Temperature[i]-10)
			if p == points-1 {
				v = 4000 + today
			}
			h.Energy = append(h.Energy, math.Round(max(50, v*(1+0.03*rng.NormFloat64()))))
		}
		d.Points = append(d.Points, train.Point{ID: "p" + strconv.Itoa(p), Register: meter.EnergyImport, History: h})
	}
	return d
}

// tradeSpec says nothing by which a point that heats could be told from one that cools.
const tradeSpec = "fluxora-features 1\nlead\nday 1\nday 2\ndays mean 7\nweek 1\nweeks mean 4\nhour\nweekday\nholiday\ntemperature\n"

func TestAPointGetsAModelOfItsOwnWhereThatErrsLess(t *testing.T) {
	d := mixedTrades(6, 200)
	cut := start.Add(180 * 24 * time.Hour)
	for _, family := range []string{model.FamilySeasonal, model.FamilyLinear, model.FamilyAdditive, model.FamilyGBDT, model.FamilyQuantiles, model.FamilyBoosted, model.FamilyForest} {
		t.Run(family, func(t *testing.T) {
			settings := map[string]string{
				"family": family, "horizon": "24h", "rows": "20000", "gbdt.trees": "30", "quantiles.trees": "30", "boosted.trees": "20", "forest.trees": "10", "additive.own_penalty": "inf",
			}
			p := apply(t, settings)
			p.Spec = specOf(t, tradeSpec)
			shared, _ := fit(t, d.Before(cut), p)
			settings["points"] = train.Own
			p = apply(t, settings)
			p.Spec = specOf(t, tradeSpec)
			own, r := fit(t, d.Before(cut), p)
			m, ok := own.Model.(*model.ByPoint)
			if !ok || own.Family != model.FamilyByPoint || m.Family != family || r.OwnPoints != len(m.Own) || len(m.Own) == 0 || len(m.Own) > 6 {
				t.Fatalf("a model of family %s, %d points of their own", own.Family, r.OwnPoints)
			}
			back, err := model.Decode(encoded(t, own))
			if err != nil || back.SelfTest() != nil {
				t.Fatalf("%v, %v", err, back.SelfTest())
			}
			a, b := scored(t, d, cut, shared), scored(t, d, cut, back)
			t.Logf("%d of 6 points have their own: error %.2f %%, shared %.2f %%, %d bytes", len(m.Own), 100*b.MAE()/b.Mean(), 100*a.MAE()/a.Mean(), len(encoded(t, own)))
			if b.MAE() > 0.97*a.MAE() {
				t.Errorf("error %.2f %%, shared %.2f %%: want it less", 100*b.MAE()/b.Mean(), 100*a.MAE()/a.Mean())
			}
			h := d.Points[0].History
			for _, as := range []string{"never-seen"} {
				x, err := forecast.Make(h, as, meter.EnergyImport, cut, 24, back, forecast.Active, nil, 0)
				y, err2 := forecast.Make(h, as, meter.EnergyImport, cut, 24, shared, forecast.Active, nil, 0)
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				for i := range x.Values {
					if x.Values[i] != y.Values[i] {
						t.Fatalf("a point never seen is forecast at %g, by the shared model at %g", x.Values[i], y.Values[i])
					}
				}
			}
		})
	}
}

func TestModelsOfPointsAreTheSameForAnyNumberOfThreads(t *testing.T) {
	d := mixedTrades(4, 90)
	p := apply(t, map[string]string{"family": "ensemble", "members": "gbdt,linear", "points": "own", "horizon": "24h", "gbdt.trees": "15", "rows": "12000"})
	p.Spec = specOf(t, tradeSpec)
	_, r := sameForAnyNumberOfThreads(t, d, p)
	if r.OwnPoints == 0 || r.Weights["gbdt"]+r.Weights["linear"] < 0.99 {
		t.Errorf("%d points of their own, weights %v", r.OwnPoints, r.Weights)
	}
}

func TestPointsOfTheirOwnThatCannotBe(t *testing.T) {
	d := town(2, 40, time.Hour)
	for _, c := range []struct {
		settings map[string]string
		want     string
	}{
		{map[string]string{"points": "own", "family": "lstm"}, "lstm"},
		{map[string]string{"points": "own", "family": "weeks"}, "weeks"},
		{map[string]string{"points": "own", "warm_start": "true"}, "warm_start"},
	} {
		_, _, err := train.Fit(t.Context(), d, apply(t, c.settings), nil)
		if !errors.Is(err, train.ErrAsked) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v", c.settings, err)
		}
	}
	// Too little for any point by itself: all stay with the shared model.
	p := apply(t, map[string]string{"points": "own", "rows": "1000", "family": "linear"})
	a, r := fit(t, town(6, 30, time.Hour), p)
	if r.OwnPoints != 0 || a.Family != model.FamilyByPoint {
		t.Errorf("%d points of their own by %d rows, family %s", r.OwnPoints, r.Rows, a.Family)
	}
}
