package model_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// additiveOf returns a sum of random weights with two points of their own.
func additiveOf(rng *rand.Rand, spec feature.Spec, bands model.Bands) (*model.Additive, error) {
	a := model.Additive{
		Scatter:  model.Scatter{Bands: bands, Spread: anchor(rng, bands, 1, 0), LeastSpread: 0.01},
		Calendar: model.Calendar{Hour: spec.Column("hour"), Quarter: spec.Column("quarter"), Weekday: spec.Column("weekday"), Holiday: -1, PerHour: 1},
		Yearday:  spec.Column("yearday"), Base: []int{1},
	}
	for i := range 3 {
		a.Inputs = append(a.Inputs, model.Input{Column: (i + 1) % spec.Len(), Reading: i, Knot: rng.Float64(), Centre: rng.Float64() / 4, PerUnit: 1 + rng.Float64()})
	}
	for over, size := range []int{24, 7 * 24, 366} {
		r := model.Round{Over: over, Values: make([]float64, size)}
		for i := range r.Values {
			r.Values[i] = rng.Float64() - 0.5
		}
		a.Rounds = append(a.Rounds, r)
	}
	a.Terms = []model.Term{
		{Part: model.Trend, Input: 0, Round: -1},
		{Part: model.Daily, Input: -1, Round: 0},
		{Part: model.Weekly, Input: -1, Round: 1},
		{Part: model.Yearly, Input: -1, Round: 2},
		{Part: model.Holidays, Input: 1, Round: -1},
		{Part: model.Weather, Input: 2, Round: 0},
	}
	for range bands.Count() * len(a.Terms) {
		a.Weights = append(a.Weights, rng.Float64()-0.5)
	}
	for _, name := range []string{"a energy-import", "b energy-import"} {
		own := model.Own{Point: name, Slope: rng.Float64() / 8}
		for range a.Terms {
			own.Weights = append(own.Weights, rng.Float32()/4)
		}
		a.Points = append(a.Points, own)
	}
	return model.NewAdditive(spec.Len(), a)
}

// sumOf returns an additive model over lead, base, temperature, hour, weekday, holiday and day of the year.
func sumOf() model.Additive {
	week := make([]float64, 7*24)
	week[5*24+8] = 1 // Saturdays at eight
	day, year := make([]float64, 24), make([]float64, 366)
	day[8], year[0], year[365] = 1, 1, 1
	return model.Additive{
		Scatter:  model.Scatter{Bands: model.Bands{Levels: []float64{0.5}, Z: []float64{0}}},
		Calendar: model.Calendar{Hour: 3, Quarter: -1, Weekday: 4, Holiday: 5, PerHour: 1}, Yearday: 6, Base: []int{1},
		Inputs: []model.Input{{Column: 2, Reading: model.Below, Knot: 15, PerUnit: 1}, {Column: 5, PerUnit: 1}},
		Rounds: []model.Round{{Over: model.OverDay, Values: day}, {Over: model.OverWeek, Values: week}, {Over: model.OverYear, Values: year}},
		Terms: []model.Term{
			{Part: model.Trend, Input: -1, Round: -1},
			{Part: model.Daily, Input: -1, Round: 0},
			{Part: model.Weekly, Input: -1, Round: 1},
			{Part: model.Yearly, Input: -1, Round: 2},
			{Part: model.Holidays, Input: 1, Round: 0}, // at eight on holidays
			{Part: model.Weather, Input: 0, Round: -1},
		},
		Weights: []float64{0.5, 1, 10, 100, -3, 0.25},
		Points:  []model.Own{{Point: "kiosk energy-import", Slope: 0.125, Weights: []float32{0, 0, 0, 0, 0, 0.25}}},
	}
}

func TestASumIsReadPartByPart(t *testing.T) {
	m, err := model.NewAdditive(7, sumOf())
	if err != nil {
		t.Fatal(err)
	}
	nan := feature.Missing
	for _, c := range []struct {
		name, point string
		row         []float32
		want        model.Parts
	}{
		{"an ordinary hour", "", []float32{0, 2, 20, 7, 1, 0, 100}, model.Parts{2, 0.5}},
		{"at eight", "", []float32{0, 2, 20, 8, 1, 0, 100}, model.Parts{2, 0.5, 1}},
		{"on Saturday at eight", "", []float32{0, 2, 20, 8, 5, 0, 100}, model.Parts{2, 0.5, 1, 10}},
		{"New Year's Eve", "", []float32{0, 2, 20, 7, 1, 0, 366}, model.Parts{2, 0.5, 0, 0, 100}},
		{"New Year", "", []float32{0, 2, 20, 7, 1, 0, 1}, model.Parts{2, 0.5, 0, 0, 100}},
		{"a holiday at eight", "", []float32{0, 2, 20, 8, 5, 1, 100}, model.Parts{2, 0.5, 1, 0, 0, -3}},
		{"cold", "", []float32{0, 2, 11, 7, 1, 0, 100}, model.Parts{2, 0.5, 0, 0, 0, 0, 1}},
		{"cold, and a point that heats more", "kiosk energy-import", []float32{0, 2, 11, 7, 1, 0, 100}, model.Parts{2, 0.625, 0, 0, 0, 0, 2}},
		{"a point never seen", "school energy-import", []float32{0, 2, 11, 7, 1, 0, 100}, model.Parts{2, 0.5, 0, 0, 0, 0, 1}},
		{"nothing known but the scale", "", []float32{0, nan, nan, nan, nan, nan, nan}, model.Parts{1, 0.5, 0, 0, 100}},
	} {
		if got := m.DecomposeFor(c.point, c.row); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		sum, out := 0.0, make([]float64, 1)
		for _, v := range c.want {
			sum += v
		}
		model.ForPoint(m, c.point).Predict(c.row, 1, out)
		if math.Abs(out[0]-sum) > 1e-12 {
			t.Errorf("%s: predicts %g, the parts add up to %g", c.name, out[0], sum)
		}
	}
	if n := testing.AllocsPerRun(10, func() { model.ForPoint(m, "kiosk energy-import") }); n != 0 {
		t.Errorf("%g allocations to find a point", n)
	}
	for p, want := range []string{"profile", "trend", "daily", "weekly", "yearly", "holidays", "weather"} {
		if got := model.Part(p).String(); got != want {
			t.Errorf("part %d is called %q", p, got)
		}
	}
}

// TestAnEnsembleAsksItsMembersForThePoint mixes a sum that knows the point with a baseline that does not.
func TestAnEnsembleAsksItsMembersForThePoint(t *testing.T) {
	sum, err := model.NewAdditive(7, sumOf())
	if err != nil {
		t.Fatal(err)
	}
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	plain, err := model.NewSeasonal(7, bands, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	members := []model.Member{{Family: model.FamilyAdditive, Model: sum}, {Family: model.FamilySeasonal, Model: plain}}
	m, err := model.NewMixture(7, bands, model.Parting{}, 0, members, []float64{0.5, 0.5})
	if err != nil {
		t.Fatal(err)
	}
	row := []float32{0, 2, 11, 7, 1, 0, 100}
	for point, want := range map[string]float64{"kiosk energy-import": (4.625 + 2) / 2, "school energy-import": (3.5 + 2) / 2} {
		out := make([]float64, 1)
		model.ForPoint(m, point).Predict(row, 1, out)
		if out[0] != want {
			t.Errorf("%s: got %g, want %g", point, out[0], want)
		}
	}
}

func TestSumsThatCouldOverrunAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(a *model.Additive){
		"bands":             func(a *model.Additive) { a.Lead = 7 },
		"calendar":          func(a *model.Additive) { a.Calendar.Hour = 7 },
		"day of the year":   func(a *model.Additive) { a.Yearday = 7 },
		"base":              func(a *model.Additive) { a.Base = []int{7} },
		"input":             func(a *model.Additive) { a.Inputs[0].Column = -1 },
		"round over what":   func(a *model.Additive) { a.Rounds[0].Over = 3 },
		"round too short":   func(a *model.Additive) { a.Rounds[1].Values = a.Rounds[1].Values[1:] },
		"round NaN":         func(a *model.Additive) { a.Rounds[2].Values[3] = math.NaN() },
		"part":              func(a *model.Additive) { a.Terms[0].Part = 7 },
		"term of a profile": func(a *model.Additive) { a.Terms[0].Part = model.Profile },
		"term's input":      func(a *model.Additive) { a.Terms[0].Input = 2 },
		"term's round":      func(a *model.Additive) { a.Terms[0].Round = 3 },
		"weights":           func(a *model.Additive) { a.Weights = a.Weights[1:] },
		"weight":            func(a *model.Additive) { a.Weights[0] = math.Inf(1) },
		"own weights":       func(a *model.Additive) { a.Points[0].Weights = nil },
		"own weight":        func(a *model.Additive) { a.Points[0].Weights[1] = float32(math.NaN()) },
		"slope":             func(a *model.Additive) { a.Points[0].Slope = math.NaN() },
		"points in order":   func(a *model.Additive) { a.Points = append(a.Points, a.Points[0]) },
	} {
		a := sumOf()
		spoil(&a)
		if _, err := model.NewAdditive(7, a); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
