package model_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// levelTrees returns random trees with ascending values for some levels.
func levelTrees(rng *rand.Rand, features, trees int, levels []float64) model.LevelTrees {
	e := ensemble(rng, features, trees, 0)
	out := model.LevelTrees{Bases: make([]float64, len(levels)), Trees: e.Trees}
	for _, t := range e.Trees {
		var values []float32
		for i := range t {
			if t[i].Feature == model.Leaf {
				for l := range levels {
					values = append(values, t[i].Value+float32(l)/64)
				}
				t[i].Value = 0
			}
		}
		out.Values = append(out.Values, values)
	}
	return out
}

// withSets returns an artifact whose trees split by categories and whose value is a factor on the anchor.
func withSets(t testing.TB) *model.Artifact {
	a := made(t, model.FamilyGBDT, 5)
	m := a.Model.(*model.GBDT)
	e := m.Trees
	e.Log, e.Sets = true, []model.Set{{1 << 3, 0, 0, 0, 0, 0, 0, 1 << 31}, {0x00ff00ff}}
	for i, t := range e.Trees {
		if i%2 == 0 {
			t[0].Feature |= model.InSet
			t[0].Value = float32(i / 2 % 2)
		}
	}
	var err error
	if a.Model, err = model.NewGBDT(a.Spec.Len(), m.Bands, m.Anchor, e, m.Spread, m.LeastSpread); err != nil {
		t.Fatal(err)
	}
	a.Vectors = nil
	a.AddVectors(someRows(rand.New(rand.NewPCG(4, 4)), a.Spec.Len(), 20), 20, 8)
	return a
}

// TestGoldenWithSets keeps trees with sets of categories readable, as TestGolden does the others.
func TestGoldenWithSets(t *testing.T) {
	const path = "testdata/gbdt-sets-v1.model"
	a := withSets(t)
	if *update {
		if err := os.WriteFile(path, encode(t, a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	back, err := model.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := back.SelfTest(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(b, encode(t, a)) || !bytes.Equal(b, encode(t, back)) {
		t.Error("the codec writes other bytes than it did")
	}
}

func TestCategoriesGoWhereTheSetSays(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	for _, mark := range []uint16{0, model.MissingLeft} {
		e := model.Ensemble{Sets: []model.Set{{1 << 5, 0, 0, 0, 0, 0, 0, 1 << 31}}}
		e.Trees = []model.Tree{{{Feature: 1 | model.InSet | mark, Left: 1}, {Feature: model.Leaf, Value: -1}, {Feature: model.Leaf, Value: 1}}}
		m, err := model.NewGBDT(2, bands, model.Anchor{Base: []int{0}}, e, model.Anchor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		other := 1.0
		if mark != 0 {
			other = -1
		}
		for x, want := range map[float32]float64{5: -1, 255: -1, 4: 1, 0: 1, 256: other, -1: other, 5.5: other, feature.Missing: other, float32(math.Inf(1)): other} {
			out := []float64{0}
			m.Predict([]float32{0, x}, 1, out)
			if out[0] != want {
				t.Errorf("mark %x, category %v: got %g, want %g", mark, x, out[0], want)
			}
		}
	}
}

func TestLevelsThatCrossChangePlaces(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{1, 0, -1}}
	trees := model.LevelTrees{Bases: []float64{0, 2, 1}, Trees: []model.Tree{{{Feature: model.Leaf}}}, Values: [][]float32{{5, 0, 0}}}
	m, err := model.NewQuantiles(2, bands, model.Anchor{Base: []int{0}}, trees, model.Anchor{Base: []int{0}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, 3)
	m.Predict([]float32{2, 0}, 1, out) // 2+5+2, 2+2, 2+1-2
	if out[0] != 1 || out[1] != 4 || out[2] != 9 {
		t.Errorf("got %v, want 1, 4, 9", out)
	}
}

func TestBadTreesAreRefused(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	leaf, set := model.Node{Feature: model.Leaf}, model.Node{Feature: model.InSet, Left: 1, Value: 1}
	for name, e := range map[string]model.Ensemble{
		"set outside": {Trees: []model.Tree{{set, leaf, leaf}}, Sets: make([]model.Set, 1)},
		"half a set":  {Trees: []model.Tree{{{Feature: model.InSet, Left: 1, Value: 0.5}, leaf, leaf}}, Sets: make([]model.Set, 2)},
	} {
		if _, err := model.NewGBDT(3, bands, model.Anchor{}, e, model.Anchor{}, 0); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	one := []model.Tree{{leaf}}
	for name, e := range map[string]model.LevelTrees{
		"no base":             {Trees: one, Values: [][]float32{{1}}},
		"no values":           {Bases: []float64{0}, Trees: one},
		"values of more":      {Bases: []float64{0}, Trees: one, Values: [][]float32{{1, 2}}},
		"value NaN":           {Bases: []float64{0}, Trees: one, Values: [][]float32{{float32(math.NaN())}}},
		"leaf with own value": {Bases: []float64{0}, Trees: []model.Tree{{{Feature: model.Leaf, Value: 1}}}, Values: [][]float32{{1}}},
	} {
		if _, err := model.NewQuantiles(3, bands, model.Anchor{}, e, model.Anchor{}, 0); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
