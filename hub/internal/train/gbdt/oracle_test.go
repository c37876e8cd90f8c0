package gbdt_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fluxora.dev/hub/internal/train/gbdt"
)

// oracle grows trees as slowly and plainly as can be: every split of every leaf is tried on the raw values, every set of
// categories, missing values on both sides.
type oracle struct {
	p        gbdt.Params
	rows     []float32
	features int
	columns  []gbdt.Column
}

// way says which rows go left.
type way func(row []float32) bool

// ways returns every split of feature f that some rows give.
func (o *oracle) ways(f int, rows []int) []way {
	values := map[float32]bool{}
	for _, r := range rows {
		if v := o.rows[r*o.features+f]; v == v {
			values[v] = true
		}
	}
	var present []float32
	for v := range values {
		present = append(present, v)
	}
	slices.Sort(present)
	var out []way
	for _, missing := range []bool{false, true} {
		if !o.columns[f].Category {
			for _, cut := range present {
				out = append(out, func(row []float32) bool { return row[f] <= cut || row[f] != row[f] && missing })
			}
			continue
		}
		for set := range 1 << len(present) {
			out = append(out, func(row []float32) bool {
				i := slices.Index(present, row[f])
				return i >= 0 && set>>i&1 == 1 || row[f] != row[f] && missing
			})
		}
	}
	return out
}

func (o *oracle) sum(rows []int, gradient []float64) (sum, n float64) {
	for _, r := range rows {
		sum += gradient[r]
	}
	return sum, float64(len(rows))
}

func (o *oracle) value(sum, n float64) float64 {
	return math.Copysign(max(math.Abs(sum)-o.p.L1, 0), sum) / (n + o.p.L2)
}

func (o *oracle) worth(sum, n float64) float64 {
	s := max(math.Abs(sum)-o.p.L1, 0)
	return s * s / (n + o.p.L2)
}

// best returns the best split of some rows.
func (o *oracle) best(rows []int, gradient []float64) (gain float64, left, right []int) {
	s, n := o.sum(rows, gradient)
	for f := range o.features {
		for _, goes := range o.ways(f, rows) {
			var a, b []int
			for _, r := range rows {
				if goes(o.rows[r*o.features : (r+1)*o.features]) {
					a = append(a, r)
				} else {
					b = append(b, r)
				}
			}
			if len(a) < o.p.MinLeaf || len(b) < o.p.MinLeaf {
				continue
			}
			sa, na := o.sum(a, gradient)
			sb, nb := o.sum(b, gradient)
			if d := (o.value(sb, nb) - o.value(sa, na)) * float64(o.columns[f].Monotone); d < 0 {
				continue
			}
			if g := o.worth(sa, na) + o.worth(sb, nb) - o.worth(s, n); g > gain+1e-9 && g > o.p.MinGain {
				gain, left, right = g, a, b
			}
		}
	}
	return gain, left, right
}

// fit returns what the trees say of each row, with squared loss.
func (o *oracle) fit(target []float64) []float64 {
	type leaf struct {
		rows  []int
		depth int
	}
	at := make([]float64, len(target))
	mean := 0.0
	for _, y := range target {
		mean += y / float64(len(target))
	}
	for r := range at {
		at[r] = mean
	}
	gradient := make([]float64, len(target))
	for range o.p.Trees {
		var all []int
		for r := range target {
			gradient[r] = target[r] - at[r]
			all = append(all, r)
		}
		leaves := []leaf{{rows: all}}
		for len(leaves) < o.p.Leaves {
			best, which := 0.0, -1
			var left, right []int
			for i, l := range leaves {
				if l.depth < o.p.Depth {
					if g, a, b := o.best(l.rows, gradient); g > best+1e-9 {
						best, which, left, right = g, i, a, b
					}
				}
			}
			if which < 0 {
				break
			}
			d := leaves[which].depth + 1
			leaves[which] = leaf{left, d}
			leaves = append(leaves, leaf{right, d})
		}
		for _, l := range leaves {
			v := o.p.LearningRate * o.value(o.sum(l.rows, gradient))
			for _, r := range l.rows {
				at[r] += v
			}
		}
	}
	return at
}

func TestTreesAreThoseOfAnExhaustiveSearch(t *testing.T) {
	for seed := range uint64(24) {
		rng := rand.New(rand.NewPCG(seed, 11))
		n := 40 + rng.IntN(60)
		columns := []gbdt.Column{{}, {}, {Category: seed%2 == 0}}
		if seed%3 == 0 { // only without bounds from above is the oracle's plain rule the whole rule
			columns[1].Monotone = 1 - 2*rng.IntN(2)
		}
		rows, target := make([]float32, 0, 3*n), make([]float64, n)
		for i := range n {
			row := []float32{rng.Float32(), float32(rng.NormFloat64()), float32(rng.IntN(5))}
			for f := range row {
				if rng.IntN(9) == 0 {
					row[f] = float32(math.NaN())
				}
			}
			target[i] = rng.NormFloat64()
			if row[2] == 1 || row[2] == 4 {
				target[i] += 2
			}
			if row[0] > 0.4 {
				target[i] += float64(3 * row[0])
			}
			rows = append(rows, row...)
		}
		p := gbdt.Params{Trees: 4, Leaves: 2 + rng.IntN(6), Depth: 1 + rng.IntN(4), MinLeaf: 1 + rng.IntN(5), LearningRate: 0.5, RowShare: 1, FeatureShare: 1}
		if seed%4 > 1 {
			p.L1, p.L2, p.MinGain = rng.Float64(), 3*rng.Float64(), 2*rng.Float64()
		}
		if columns[1].Monotone != 0 {
			p.Depth = 1
		}
		b, err := gbdt.Bin(rows, 3, 1, columns...)
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := b.Fit(t.Context(), target, numbers(0, n), nil, p)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, n)
		e.Sum(rows, 3, got)
		want := (&oracle{p: p, rows: rows, features: 3, columns: columns}).fit(target)
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-5 {
				t.Fatalf("seed %d, %+v: row %d %v: trees say %g, the oracle %g", seed, p, i, rows[3*i:3*i+3], got[i], want[i])
			}
		}
	}
}
