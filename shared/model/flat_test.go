package model

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomTrees returns trees of all shapes over so many features, with sets.
func randomTrees(rng *rand.Rand, features, count, most int) ([]Tree, []Set) {
	sets := make([]Set, 3)
	for i := range sets {
		for k := range sets[i] {
			sets[i][k] = rng.Uint32()
		}
	}
	var trees []Tree
	for range count {
		t := Tree{{Feature: Leaf}}
		for i := 0; i < len(t) && len(t) < most; i++ {
			if i > 0 && rng.IntN(4) == 0 && i+1 < len(t) {
				continue
			}
			t[i] = Node{Feature: uint16(rng.IntN(features)), Left: uint16(len(t)), Value: odd(rng)}
			for t[i].Value != t[i].Value || math.IsInf(float64(t[i].Value), 0) {
				t[i].Value = odd(rng)
			}
			if rng.IntN(4) == 0 {
				t[i].Feature |= InSet
				t[i].Value = float32(rng.IntN(len(sets)))
			}
			if rng.IntN(2) == 0 {
				t[i].Feature |= MissingLeft
			}
			t = append(t, Node{Feature: Leaf}, Node{Feature: Leaf})
		}
		for i := range t {
			if t[i].Feature == Leaf {
				t[i].Value = rng.Float32() - 0.5
			}
		}
		trees = append(trees, t)
	}
	return trees, sets
}

// odd returns a number of a kind that comparisons go wrong on.
func odd(rng *rand.Rand) float32 {
	few := []float32{
		0, float32(math.Copysign(0, -1)), 1, -1, 2, 3.5, 200, 255, 256, -7, math.MaxFloat32, -math.MaxFloat32,
		math.SmallestNonzeroFloat32, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)),
	}
	if rng.IntN(3) == 0 {
		return float32(rng.NormFloat64())
	}
	return few[rng.IntN(len(few))]
}

func TestFastWalksGoWhereThePlainOnesGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for round := range 60 {
		features := 1 + rng.IntN(40)
		trees, sets := randomTrees(rng, features, 1+rng.IntN(30), 2+rng.IntN(120))
		e := Ensemble{Base: 0.25, Trees: trees, Sets: sets}
		if err := e.Check(features); err != nil {
			t.Fatal(err)
		}
		levels := LevelTrees{Bases: []float64{1, 2, 3}, Sets: sets}
		for _, tree := range trees {
			tree = append(Tree(nil), tree...)
			var values []float32
			for i := range tree {
				if tree[i].Feature == Leaf {
					tree[i].Value = 0
					values = append(values, rng.Float32(), rng.Float32(), rng.Float32())
				}
			}
			levels.Trees, levels.Values = append(levels.Trees, tree), append(levels.Values, values)
		}
		if err := levels.Check(features, 3); err != nil {
			t.Fatal(err)
		}
		fast := flatten(trees, sets, false)
		if fast == nil {
			t.Fatal("no fast form")
		}
		for _, n := range []int{1, 2, 5, 6, 7, 24, 48, 55} {
			rows := make([]float32, n*features)
			for i := range rows {
				rows[i] = odd(rng)
			}
			want, got := make([]float64, n), make([]float64, n)
			e.walk(rows, features, want)
			e.sum(fast, rows, features, got)
			same(t, round, want, got)
			want, got = make([]float64, 3*n), make([]float64, 3*n)
			levels.sum(nil, rows, features, n, want)
			levels.sum(levels.flatten(), rows, features, n, got)
			same(t, round, want, got)
		}
	}
}

func same(t *testing.T, round int, want, got []float64) {
	t.Helper()
	for i := range want {
		if math.Float64bits(want[i]) != math.Float64bits(got[i]) {
			t.Fatalf("round %d of %d values, value %d: fast %v, plain %v", round, len(want), i, got[i], want[i])
		}
	}
}

// TestTreesTooLargeForTheFastForm are walked plainly.
func TestTreesTooLargeForTheFastForm(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	trees, sets := randomTrees(rng, 5, 3, 400)
	if flatten(trees, sets, false) != nil {
		t.Error("a tree of 401 nodes has a fast form")
	}
	wide, sets := randomTrees(rng, 500, 100, 61)
	if flatten(wide, sets, false) != nil {
		t.Error("trees over hundreds of columns have a fast form")
	}
	e := Ensemble{Trees: trees, Sets: sets}
	out := make([]float64, 30)
	e.Sum(make([]float32, 150), 5, out)
	if out[0] == 0 {
		t.Error("nothing was summed")
	}
}
