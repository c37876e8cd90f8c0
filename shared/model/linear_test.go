package model_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// lineOf returns a line with random weights over all readings of inputs.
func lineOf(rng *rand.Rand, spec feature.Spec, bands model.Bands) (*model.Linear, error) {
	s := model.Scatter{Bands: bands, Spread: anchor(rng, bands, 1, 0), LeastSpread: 0.01}
	c := model.Calendar{Hour: spec.Column("hour"), Quarter: spec.Column("quarter"), Weekday: spec.Column("weekday"), Holiday: -1, PerHour: 1}
	if c.Quarter >= 0 {
		c.PerHour = 4
	}
	var inputs []model.Input
	for i := range 5 {
		inputs = append(inputs, model.Input{Column: (i + 1) % spec.Len(), Reading: i, Knot: rng.Float64(), Centre: rng.Float64() / 4, PerUnit: 1 + rng.Float64()})
	}
	groups := make([]uint8, 8*24)
	for i := range groups {
		groups[i] = uint8(i / 24 % 2)
	}
	weights, slots := make([]float64, bands.Count()*2*len(inputs)), make([]float64, bands.Count()*8*c.Slots())
	for i := range weights {
		weights[i] = rng.Float64()/4 - 0.1
	}
	for i := range slots {
		slots[i] = rng.Float64()/8 - 1./16
	}
	return model.NewLinear(spec.Len(), s, c, []int{1}, inputs, groups, weights, slots)
}

func TestLineWeighsWhatItReads(t *testing.T) {
	nan := feature.Missing
	// Columns: lead, base, energy, temperature, hour, weekday, holiday.
	bands := model.Bands{Lead: 0, Edges: []float32{6}, Levels: []float64{0.5}, Z: []float64{0, 0}}
	c := model.Calendar{Hour: 4, Quarter: -1, Weekday: 5, Holiday: 6, PerHour: 1}
	inputs := []model.Input{
		{Column: 2, Reading: model.Relative, PerUnit: 2},
		{Column: 2, Reading: model.Absent, PerUnit: 1},
		{Column: 3, Reading: model.Plain, Centre: 10, PerUnit: 0.5},
		{Column: 3, Reading: model.Above, Knot: 15, PerUnit: 1},
		{Column: 3, Reading: model.Below, Knot: 15, PerUnit: 1},
	}
	groups := make([]uint8, 8*24)
	for h := range 24 {
		groups[7*24+h] = 1 // holidays have weights of their own
	}
	// By band, group and input; the far band is twice the near one.
	weights := []float64{1, 10, 0.5, 100, 0.25, 0, 0, 0, 0, 0, 2, 20, 1, 200, 0.5, 0, 0, 0, 0, 0}
	slots := make([]float64, 2*8*24)
	slots[1*24+7] = 1000  // Tuesday at seven, near
	slots[7*24+7] = -1000 // holidays at seven, near
	m, err := model.NewLinear(7, model.Scatter{Bands: bands}, c, []int{1}, inputs, groups, weights, slots)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		row  []float32
		want float64
	}{
		{"near", []float32{0, 3, 4, 12, 6, 1, 0}, 3 + 1*2 + 0.5*1 + 0.25*3},
		{"far", []float32{6, 3, 4, 12, 6, 1, 0}, 3 + 2*(1*2+0.5*1+0.25*3)},
		{"energy missing", []float32{0, 3, nan, 12, 6, 1, 0}, 3 + 10 + 0.5*1 + 0.25*3},
		{"temperature missing", []float32{0, 3, 4, nan, 6, 1, 0}, 3 + 2},
		{"warm", []float32{0, 3, 4, 16, 6, 1, 0}, 3 + 2 + 0.5*3 + 100},
		{"base missing", []float32{0, nan, 2, nan, 6, 1, 0}, 1 + 2},
		{"at seven", []float32{0, 3, 4, nan, 7, 1, 0}, 1005},
		{"holiday", []float32{0, 3, 4, 12, 6, 1, 1}, 3},
		{"holiday at seven", []float32{0, 3, 4, 12, 7, 1, 1}, -997},
		{"no such hour", []float32{0, 3, 4, nan, 99, nan, nan}, 5},
		{"far beyond all that was learnt from", []float32{0, 3, 1e6, nan, 6, 1, 0}, 3 + 8},
		{"infinite", []float32{0, 3, float32(math.Inf(-1)), nan, 6, 1, 0}, 3 - 8},
	} {
		out := make([]float64, 1)
		m.Predict(c.row, 1, out)
		if out[0] != c.want {
			t.Errorf("%s: got %g, want %g", c.name, out[0], c.want)
		}
	}
}

func TestLinesThatCouldOverrunAreRefused(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	calendar := model.Calendar{Hour: -1, Quarter: -1, Weekday: -1, Holiday: -1, PerHour: 1}
	type parts struct {
		s              model.Scatter
		c              model.Calendar
		base           []int
		inputs         []model.Input
		groups         []uint8
		weights, slots []float64
	}
	good := func() parts {
		return parts{model.Scatter{Bands: bands}, calendar, []int{0}, []model.Input{{Column: 2}}, make([]uint8, 192), []float64{1}, make([]float64, 192)}
	}
	take := func(p parts) error {
		_, err := model.NewLinear(3, p.s, p.c, p.base, p.inputs, p.groups, p.weights, p.slots)
		return err
	}
	if err := take(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(p *parts){
		"bands":              func(p *parts) { p.s.Lead = 3 },
		"spread":             func(p *parts) { p.s.Spread.Base = []int{3} },
		"least spread":       func(p *parts) { p.s.LeastSpread = -1 },
		"calendar column":    func(p *parts) { p.c.Hour = 3 },
		"slots in an hour":   func(p *parts) { p.c.PerHour = 2 },
		"base":               func(p *parts) { p.base = []int{-1} },
		"input column":       func(p *parts) { p.inputs[0].Column = 3 },
		"input reading":      func(p *parts) { p.inputs[0].Reading = 5 },
		"input centre":       func(p *parts) { p.inputs[0].Centre = math.NaN() },
		"groups":             func(p *parts) { p.groups = p.groups[1:] },
		"weights of a group": func(p *parts) { p.groups[5] = 1 },
		"weight":             func(p *parts) { p.weights[0] = math.Inf(1) },
		"slots":              func(p *parts) { p.slots = p.slots[1:] },
	} {
		p := good()
		spoil(&p)
		if take(p) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
