package model_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// forestOf returns so many random trees with samples on a random grid.
func forestOf(rng *rand.Rand, features int, bands model.Bands, line model.Anchor, trees int) (*model.Forest, error) {
	grid := make([]float64, 40)
	for i := range grid {
		grid[i] = rng.Float64() - 0.5
	}
	slices.Sort(grid)
	corrections := bands
	corrections.Z = nil
	for range bands.Z {
		corrections.Z = append(corrections.Z, rng.Float64()/4-0.125) // in no order
	}
	var out []model.SampleTree
	for _, tree := range ensemble(rng, features, trees, 0).Trees {
		t := model.SampleTree{Nodes: tree}
		leaves := 0
		for i, n := range tree {
			if n.Feature != model.Leaf {
				continue
			}
			tree[i] = model.Node{Feature: model.Leaf, Left: uint16(leaves)}
			leaves++
			var samples []uint8
			for range model.PerLeaf {
				samples = append(samples, uint8(rng.IntN(len(grid))))
			}
			slices.Sort(samples)
			t.Samples = append(t.Samples, samples...)
		}
		out = append(out, t)
	}
	return model.NewForest(features, corrections, line, 0.01, grid, out)
}

func TestAForestPoolsWhatItsLeavesHold(t *testing.T) {
	// Two stumps on column 1; together a row's leaves hold 16 samples.
	stump := func(at float32, left, right uint8) model.SampleTree {
		tree := model.SampleTree{Nodes: []model.Node{{Feature: 1, Left: 1, Value: at}, {Feature: model.Leaf, Left: 1}, {Feature: model.Leaf, Left: 0}}}
		for _, v := range []uint8{right, left} { // leaves are numbered the other way round
			for range model.PerLeaf {
				tree.Samples = append(tree.Samples, v)
			}
		}
		return tree
	}
	grid := []float64{0, 10, 20, 40}
	bands := model.Bands{Levels: []float64{0.1, 0.5, 0.75}, Z: make([]float64, 3)}
	make3 := func(b model.Bands) *model.Forest {
		m, err := model.NewForest(2, b, model.Anchor{Base: []int{0}}, 4, grid, []model.SampleTree{stump(5, 0, 2), stump(7, 1, 3)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	check := func(name string, m *model.Forest, row []float32, want ...float64) {
		t.Helper()
		out := make([]float64, 3)
		m.Predict(row, 1, out)
		for i := range want {
			if math.Abs(out[i]-want[i]) > 1e-12 {
				t.Errorf("%s: got %v, want %v", name, out, want)
				return
			}
		}
	}
	m := make3(bands)
	check("left of both", m, []float32{0, 4}, 0, 5, 10) // the median lies half-way between the eighth 0 and the first 10
	check("between", m, []float32{0, 6}, 10, 15, 20)
	check("right of both", m, []float32{0, 8}, 20, 30, 40)
	check("missing goes right", m, []float32{0, feature.Missing}, 20, 30, 40)
	check("on an anchor", m, []float32{100, 4}, 100, 105, 110)
	check("where the anchor knows nothing but the scale", m, []float32{feature.Missing, 4}, 1, 6, 11)

	bands.Z = []float64{-0.5, 0, 1}
	check("corrected by shares of the width", make3(bands), []float32{0, 4}, -5, 5, 20)
	bands.Z = []float64{1, 0, -1}
	check("in ascending order when corrections cross", make3(bands), []float32{0, 4}, 0, 5, 10)
}

func TestForestsThatCouldLoopOrOverrunAreRefused(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	leaf := make([]uint8, model.PerLeaf)
	good := func() ([]float64, []model.SampleTree) {
		return []float64{0, 1}, []model.SampleTree{{Nodes: []model.Node{{Feature: 0, Left: 1}, {Feature: model.Leaf}, {Feature: model.Leaf, Left: 1}}, Samples: append(leaf, leaf...)}}
	}
	take := func(grid []float64, trees []model.SampleTree) error {
		_, err := model.NewForest(3, bands, model.Anchor{}, 0, grid, trees)
		return err
	}
	if err := take(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(grid *[]float64, trees *[]model.SampleTree){
		"no grid":           func(g *[]float64, _ *[]model.SampleTree) { *g = nil },
		"grid not rising":   func(g *[]float64, _ *[]model.SampleTree) { *g = []float64{1, 1} },
		"grid NaN":          func(g *[]float64, _ *[]model.SampleTree) { (*g)[0] = math.NaN() },
		"no trees":          func(_ *[]float64, t *[]model.SampleTree) { *t = nil },
		"no nodes":          func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Nodes = nil },
		"child is itself":   func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Nodes[0].Left = 0 },
		"child outside":     func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Nodes[0].Left = 2 },
		"feature outside":   func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Nodes[0].Feature = 3 },
		"leaf without":      func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Nodes[2].Left = 2 },
		"leaf with a value": func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Nodes[2].Value = 1 },
		"too few samples":   func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Samples = (*t)[0].Samples[:12] },
		"sample off grid":   func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Samples[15] = 2 },
		"samples falling":   func(_ *[]float64, t *[]model.SampleTree) { (*t)[0].Samples[0] = 1 },
	} {
		grid, trees := good()
		trees[0].Samples = append([]uint8(nil), trees[0].Samples...)
		spoil(&grid, &trees)
		if take(grid, trees) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
