package model_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"fluxora.dev/shared/model"
)

// mixtureOf returns an ensemble of artifacts of made, with random weights in two groups.
func mixtureOf(t testing.TB, seed uint64, bands model.Bands, families ...string) (*model.Mixture, error) {
	rng := rand.New(rand.NewPCG(seed, 3))
	var members []model.Member
	for _, f := range families {
		members = append(members, model.Member{Family: f, Model: made(t, f, seed).Model})
	}
	groups := model.Parting{Column: 1, Edges: []float32{1}}
	var weights []float64
	for range bands.Count() * groups.Count() * len(members) {
		weights = append(weights, rng.Float64())
	}
	return model.NewMixture(goldenSpec(t).Len(), bands, groups, 0.01, members, weights)
}

// constant says the same of every row.
type constant []float64

func (constant) Levels() []float64 { return []float64{0.1, 0.5, 0.9} }

func (c constant) Predict(_ []float32, n int, out []float64) {
	for r := range n {
		copy(out[3*r:], c)
	}
}

func TestMixtureWeighsByBandAndGroup(t *testing.T) {
	nan := math.NaN()
	bands := model.Bands{Lead: 0, Edges: []float32{24}, Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1, -2, 0, 0.5}}
	groups := model.Parting{Column: 1, Edges: []float32{10}}
	members := []model.Member{{Model: constant{1, 2, 4}}, {Model: constant{9, 10, 14}}, {Model: constant{nan, nan, nan}}}
	m, err := model.NewMixture(2, bands, groups, 0.5, members, []float64{1, 0, 0, 0, 1, 0, 0.5, 0.5, 0, 0, 1, 3})
	if err != nil {
		t.Fatal(err)
	}
	nan32 := float32(nan)
	rows := []float32{0, 5, 0, 15, 0, nan32, 30, 5, 30, 15}
	want := []float64{1, 2, 4, 9, 10, 14, 9, 10, 14, 4, 6, 7.5, 8, 10, 12}
	got := make([]float64, len(want))
	m.Predict(rows, 5, got)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestMixtureRefusesWhatCannotWeigh(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1}}
	member := []model.Member{{Model: constant{1, 2, 3}}}
	for name, tc := range map[string]struct {
		groups  model.Parting
		least   float64
		members []model.Member
		weights []float64
	}{
		"no members":        {members: nil, weights: nil},
		"no weight":         {members: member, weights: []float64{0}},
		"a negative weight": {members: member, weights: []float64{-1}},
		"too few weights":   {members: member, groups: model.Parting{Edges: []float32{1}}, weights: []float64{1}},
		"NaN":               {members: member, weights: []float64{math.NaN()}},
		"negative breadth":  {members: member, least: -1, weights: []float64{1}},
		"column beyond":     {members: member, groups: model.Parting{Column: 3}, weights: []float64{1}},
		"edges that fall":   {members: member, groups: model.Parting{Edges: []float32{2, 1}}, weights: []float64{1, 1, 1}},
	} {
		if _, err := model.NewMixture(3, bands, tc.groups, tc.least, tc.members, tc.weights); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
