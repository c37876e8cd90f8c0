package train_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// pumps returns points that read zero half of the time: a pump runs or it does not, by chance, more by day than by night.
func pumps(points, days int) train.Dataset {
	var d train.Dataset
	for p := range points {
		rng := rand.New(rand.NewPCG(uint64(p), 5))
		h := feature.History{Start: start, Resolution: time.Hour}
		for i := range 24 * days {
			chance := 0.35
			if hr := i % 24; hr >= 8 && hr < 20 {
				chance = 0.65
			}
			v := 0.0
			if rng.Float64() < chance {
				v = math.Round(2000 * float64(p+1) * rng.ExpFloat64())
			}
			h.Energy = append(h.Energy, v)
		}
		d.Points = append(d.Points, train.Point{ID: fmt.Sprintf("pump%d", p), Register: meter.EnergyImport, History: h})
	}
	return d
}

// apply returns quick parameters with some settings.
func apply(t testing.TB, settings map[string]string) train.Params {
	t.Helper()
	p, err := train.Apply(quick(), settings)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// scored forecasts each day after the cut and scores it.
func scored(t testing.TB, d train.Dataset, cut meter.Millis, a *model.Artifact) forecast.Score {
	t.Helper()
	var s forecast.Score
	for _, p := range d.Points {
		for at := cut; at.Add(24*time.Hour) <= p.History.End(); at = at.Add(24 * time.Hour) {
			f, err := forecast.Make(p.History, p.ID, p.Register, at, 24, a, forecast.Active, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for step := range 24 {
				n := len(f.Levels)
				s.Add(f.Levels, f.Values[n*step:n*step+n], p.History.Energy[p.History.Index(at)+step])
			}
		}
	}
	return s
}

// Half of the readings are zero: the median is no more than a guess whether the pump runs, the mean is what it uses.
func TestTweedieLossFindsTheMeanOfMetersThatAreOftenZero(t *testing.T) {
	d := pumps(6, 120)
	cut := start.Add(100 * 24 * time.Hour)
	absolute, _ := fit(t, d.Before(cut), apply(t, map[string]string{"gbdt.loss": "absolute", "gbdt.trees": "60", "horizon": "24h"}))
	tweedie, _ := fit(t, d.Before(cut), apply(t, map[string]string{"gbdt.loss": "tweedie", "gbdt.trees": "60", "horizon": "24h"}))
	if !tweedie.Model.(*model.GBDT).Trees.Log {
		t.Fatal("trees of Tweedie's loss are not logarithmic")
	}
	bias := func(a *model.Artifact) float64 { s := scored(t, d, cut, a); return s.Bias() / s.Mean() }
	a, b := bias(absolute), bias(tweedie)
	t.Logf("bias: absolute loss %+.1f %%, Tweedie's %+.1f %%", 100*a, 100*b)
	if math.Abs(b) > 0.08 || math.Abs(a) < 3*math.Abs(b) {
		t.Errorf("bias: absolute loss %+.1f %%, Tweedie's %+.1f %%: want it near zero with Tweedie's", 100*a, 100*b)
	}
}

// The trap: quantile loss leaves trees at zero where most readings are.
func TestQuantileTreesAreNotStuckAtZero(t *testing.T) {
	d := pumps(6, 120)
	cut := start.Add(100 * 24 * time.Hour)
	levels := map[string]string{"levels": "0.1,0.5,0.9", "horizon": "24h", "family": model.FamilyQuantiles, "quantiles.trees": "60"}
	a, r := fit(t, d.Before(cut), apply(t, levels))
	levels["family"] = model.FamilySeasonal
	rule, _ := fit(t, d.Before(cut), apply(t, levels))
	s, naive := scored(t, d, cut, a), scored(t, d, cut, rule)
	t.Logf("pinball %.3f of the mean, of a baseline %.3f, covers %.1f %%, %d trees", s.MeanPinball()/s.Mean(), naive.MeanPinball()/naive.Mean(), 100*s.Coverage(), r.Trees)
	if s.MeanPinball() > 0.97*naive.MeanPinball() || s.Coverage() < 0.75 || s.Coverage() > 0.86 {
		t.Error("want less pinball than a baseline, and a band that holds")
	}
	row, out := make([]float32, a.Spec.Len()), make([]float64, 3)
	b := feature.NewBuilder(a.Spec)
	if err := b.Reset(d.Points[0].History, cut); err != nil {
		t.Fatal(err)
	}
	for step := 1; step <= 24; step++ {
		b.Row(step, row)
		a.Model.Predict(row, 1, out)
		if !(out[0] <= out[1] && out[1] <= out[2]) || out[2] < 0.5 {
			t.Errorf("step %d: levels %v: want them ascending, the upper one well above zero", step, out)
		}
	}
}

// heating is a spec by which a point's need of heat shows in degree-hours alone.
const heating = "fluxora-features 1\nlead\ndays mean 7\nweeks mean 4\nhour\nweekday\ncold 15\ntemperature\n"

func specOf(t testing.TB, text string) feature.Spec {
	t.Helper()
	s, err := feature.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAMonotoneFeatureNeverTurnsForecastsTheOtherWay(t *testing.T) {
	d := street(4, 90)
	for i := range d.Points { // noise by which unbound trees are misled
		rng := rand.New(rand.NewPCG(uint64(i), 77))
		for k := range d.Points[i].History.Energy {
			d.Points[i].History.Energy[k] *= 1 + 0.3*rng.Float64()
		}
	}
	falls := func(settings map[string]string, m model.Model, spec feature.Spec) int {
		b := feature.NewBuilder(spec)
		if err := b.Reset(d.Points[0].History, start.Add(80*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		row, out, n := make([]float32, spec.Len()), make([]float64, 3), 0
		for step := 1; step <= 24; step++ {
			b.Row(step, row)
			last := math.Inf(-1)
			for degrees := range 30 {
				row[spec.Column("cold 15")] = float32(degrees)
				m.Predict(row, 1, out)
				if out[1] < last {
					n++
				}
				last = out[1]
			}
		}
		return n
	}
	for _, family := range []string{model.FamilyGBDT, model.FamilyQuantiles} {
		settings := map[string]string{"family": family, family + ".trees": "60", family + ".least_rows": "20"}
		p := apply(t, settings)
		p.Spec = specOf(t, heating)
		free, _ := fit(t, d, p)
		settings["monotone"] = "+cold 15"
		p = apply(t, settings)
		p.Spec = specOf(t, heating)
		bound, _ := fit(t, d, p)
		before, after := falls(settings, free.Model, p.Spec), falls(settings, bound.Model, p.Spec)
		t.Logf("%s: forecasts fall %d times while it grows colder, %d when that must not be", family, before, after)
		if before == 0 || after != 0 {
			t.Errorf("%s: forecasts fall %d times while it grows colder, %d when that must not be: want some and none", family, before, after)
		}
	}
}

// A trade that opens on Tuesdays, Thursdays and Sundays, and trades numbered without any order: trees that cut numbers need
// several splits to name what a set names in one.
func TestCategoriesAreTakenAsSets(t *testing.T) {
	var d train.Dataset
	for p := range 8 {
		rng := rand.New(rand.NewPCG(uint64(p), 3))
		site := &feature.Site{Facts: map[string]float64{"trade": float64(p)}}
		h := feature.History{Start: start, Resolution: time.Hour, Site: site}
		for i := range 24 * 120 {
			at := start.Add(time.Duration(i) * time.Hour).Time()
			v := 1000.0
			if open := at.Weekday() == time.Tuesday || at.Weekday() == time.Thursday || at.Weekday() == time.Sunday; open == (p%3 == 0) {
				v = 3000
			}
			h.Energy = append(h.Energy, math.Round(v*(1+0.1*rng.NormFloat64())))
		}
		d.Points = append(d.Points, train.Point{ID: fmt.Sprint("p", p), Register: meter.EnergyImport, History: h})
	}
	loss := func(categories string) float64 {
		p := apply(t, map[string]string{"gbdt.trees": "6", "gbdt.leaves": "6", "gbdt.rate": "0.3", "gbdt.feature_share": "1", "categories": categories})
		p.Spec = specOf(t, "fluxora-features 1\nlead\ndays mean 7\nhour\nweekday\nfact trade\n")
		_, r := fit(t, d, p)
		return r.HeldLoss
	}
	ordered, sets := loss(""), loss("weekday,fact trade")
	t.Logf("error with numbers %.3f, with sets %.3f scales", ordered, sets)
	if sets > 0.8*ordered {
		t.Errorf("error with numbers %.3f, with sets %.3f scales: want it a fifth less", ordered, sets)
	}
}

func TestDirectionsAndCategoriesThatCannotBe(t *testing.T) {
	d := town(2, 40, time.Hour)
	for _, c := range []struct{ setting, value, want string }{
		{"monotone", "+cold 99", "cold 99"},
		{"categories", "weekday,yearday", "yearday"},
		{"monotone", "-drift 24h", "start from"},
	} {
		_, _, err := train.Fit(t.Context(), d, apply(t, map[string]string{c.setting: c.value}), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.setting) {
			t.Errorf("%s=%s: got %v", c.setting, c.value, err)
		}
	}
	p := apply(t, map[string]string{"monotone": "+weekday", "categories": "weekday"})
	if _, _, err := train.Fit(t.Context(), d, p, nil); err == nil || !strings.Contains(err.Error(), "order") {
		t.Errorf("weekday in both: got %v", err)
	}
}

func TestImportanceNamesWhatCounts(t *testing.T) {
	_, r := fit(t, street(4, 90), apply(t, nil))
	sum := 0.0
	for i, f := range r.Importance {
		sum += f.Share
		if i > 0 && f.Share > r.Importance[i-1].Share {
			t.Fatalf("%+v: want the most important first", r.Importance)
		}
	}
	if len(r.Importance) < 5 || math.Abs(sum-1) > 1e-9 {
		t.Errorf("%d features with shares of %g in sum: want several and 1", len(r.Importance), sum)
	}
}

// A model that has learnt three months goes on with two weeks more.
func TestAWarmStartCostsLessAndErrsNoMore(t *testing.T) {
	d := town(6, 130, time.Hour)
	cut := start.Add(120 * 24 * time.Hour)
	settings := map[string]string{"gbdt.trees": "150", "horizon": "24h", "rows": "40000"}
	earlier, _ := fit(t, d.Before(cut.Add(-20*24*time.Hour)), apply(t, settings))
	earlier.ID = "earlier"
	timed := func(p train.Params) (*model.Artifact, train.Report) {
		return fit(t, d.Before(cut), p)
	}
	cold, coldReport := timed(apply(t, settings))
	settings["warm_start"] = "true"
	p := apply(t, settings)
	p.Earlier = earlier
	warm, r := timed(p)
	if r.WarmStart == nil || r.WarmStart.Model != "earlier" || r.WarmStart.Trees != len(earlier.Model.(*model.GBDT).Trees.Trees) {
		t.Fatalf("warm start %+v", r.WarmStart)
	}
	added := r.Trees - r.WarmStart.Trees
	a, b := scored(t, d, cut, cold), scored(t, d, cut, warm)
	t.Logf("from nothing: %d trees, error %.2f %%; going on from %d: %d more, error %.2f %%", coldReport.Trees, 100*a.MAE()/a.Mean(), r.WarmStart.Trees, added, 100*b.MAE()/b.Mean())
	if added < 1 || 2*added > coldReport.Trees {
		t.Errorf("%d trees were added, %d from nothing: want less than half", added, coldReport.Trees)
	}
	if b.MAE() > 1.03*a.MAE() {
		t.Errorf("error %.3f, from nothing %.3f: want it about equal", b.MAE(), a.MAE())
	}

	// Where going on would not be honest, or cannot be, the fit begins from nothing and says why.
	for _, c := range []struct {
		why  string
		from func(p *train.Params)
	}{
		{"no model", func(p *train.Params) { p.Earlier = nil }},
		{"has seen all but", func(p *train.Params) { seen := *earlier; seen.TrainedTo = cut.Add(-24 * time.Hour); p.Earlier = &seen }},
		{"other features", func(p *train.Params) { p.Spec = specOf(t, "fluxora-features 1\nlead\nday 1\nweeks mean 4\n") }},
		{"another loss", func(p *train.Params) { p.Trees.Loss = 3 }},
		{"no trees", func(p *train.Params) { other := *earlier; other.Model = &model.Seasonal{}; p.Earlier = &other }},
		{"ahead", func(p *train.Params) { p.Horizon = 48 * time.Hour }},
	} {
		p := apply(t, settings)
		p.Earlier, p.Trees.Trees = earlier, 20
		p.Trees.Trees = max(p.Trees.Trees, len(earlier.Model.(*model.GBDT).Trees.Trees))
		c.from(&p)
		p.MaxRows = 5000
		_, r, err := train.Fit(t.Context(), d.Before(cut), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.WarmStart == nil || r.WarmStart.Model != "" || !strings.Contains(r.WarmStart.Why, c.why) {
			t.Errorf("%s: %+v", c.why, r.WarmStart)
		}
	}
}
