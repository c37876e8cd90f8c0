package gbdt_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/model"
)

// meterRows returns hours of a meter that reads zero until the given hour of each day and a noisy 2 from then on, with a
// column of noise.
func meterRows(rng *rand.Rand, n, from int) (rows []float32, target []float64) {
	for i := range n {
		y := 0.0
		if i%24 >= from {
			y = 2 + rng.NormFloat64()/5
		}
		rows, target = append(rows, float32(i%24), rng.Float32()), append(target, y)
	}
	return rows, target
}

// TestMediansOfMetersThatAreOftenZero is the trap of losses on the median: the median of all is zero, that of every leaf too,
// and nothing is ever learnt.
func TestMediansOfMetersThatAreOftenZero(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	zero := []int{10, 12, 14, 20}
	if testing.Short() {
		zero = zero[1:2] // half of the time, the median between
	}
	for _, from := range zero {
		rows, target := meterRows(rng, 4800, from)
		for _, loss := range []gbdt.Loss{gbdt.Absolute, gbdt.Quantile} {
			p := gbdt.Defaults()
			p.RowShare, p.FeatureShare, p.Loss, p.Trees = 1, 1, loss, 100
			e, _ := fit(t, rows, target, numbers(0, len(target)), nil, p)
			if got := rmse(e, rows, target); got > 0.25 {
				t.Errorf("%s loss, zero until %d: RMSE %g", loss, from, got)
			}
		}
		b, err := gbdt.Bin(rows, 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		p := gbdt.Defaults()
		p.Trees = 150
		e, _, err := b.FitLevels(t.Context(), target, numbers(0, len(target)), nil, []float64{0.1, 0.5, 0.9}, p)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float64, 3*24)
		e.Sum(rows, 2, 24, out)
		for h := range 24 {
			for l, z := range []float64{-1.28, 0, 1.28} {
				want := 0.0
				if h >= from {
					want = 2 + z/5
				}
				if got := out[3*h+l]; math.Abs(got-want) > 0.2 {
					t.Errorf("zero until %d, hour %d, level %d: %g, want about %g", from, h, l, got, want)
				}
			}
		}
	}
}

// TestQuantilesCover fits levels to noise that grows with a feature.
func TestQuantilesCover(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 9))
	levels := []float64{0.05, 0.25, 0.5, 0.75, 0.95}
	table := func(n int) (rows []float32, target []float64) {
		for range n {
			x := rng.Float32()
			rows = append(rows, x, rng.Float32())
			target = append(target, 3*float64(x)+float64(x)*rng.NormFloat64())
		}
		return rows, target
	}
	rows, target := table(8000)
	b, err := gbdt.Bin(rows, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := gbdt.Defaults()
	p.Leaves, p.MinLeaf = 8, 100
	e, r, err := b.FitLevels(t.Context(), target, numbers(0, 6000), numbers(6000, 8000), levels, p)
	if err != nil {
		t.Fatal(err)
	}
	test, actual := table(20_000)
	out := make([]float64, len(levels)*len(actual))
	e.Sum(test, 2, len(actual), out)
	for half := range 2 { // of the feature's range: coverage must hold in both
		for l, level := range levels {
			below, n := 0.0, 0.0
			for i, y := range actual {
				if int(2*test[2*i]) != half {
					continue
				}
				n++
				if y < out[i*len(levels)+l] {
					below++
				}
			}
			if got := below / n; math.Abs(got-level) > 0.04 {
				t.Errorf("half %d: %.3f of the actuals lie below the quantile at %.2f", half, got, level)
			}
		}
	}
	crossed := 0
	for i := range actual {
		if !slices.IsSorted(out[i*len(levels) : (i+1)*len(levels)]) {
			crossed++
		}
	}
	t.Logf("%d trees, held-out pinball %.4f, levels cross in %.2f %% of the rows before they change places", r.Trees, r.Loss, 100*float64(crossed)/float64(len(actual)))
	if crossed > len(actual)/20 {
		t.Errorf("levels cross in %d of %d rows", crossed, len(actual))
	}
}

func TestTweedieLearnsAMeanThatIsOftenZero(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var rows []float32
	var target []float64
	for range 12_000 {
		x, sum := rng.Float32(), 0.0
		for range int(3 * float64(x) * rng.ExpFloat64()) { // none for small x
			sum += rng.ExpFloat64()
		}
		rows, target = append(rows, x), append(target, sum)
	}
	p := gbdt.Defaults()
	p.Loss, p.Trees, p.Leaves, p.MinLeaf = gbdt.Tweedie, 80, 8, 200
	e, _ := fit(t, rows, target, numbers(0, len(target)), nil, p)
	if !e.Log {
		t.Fatal("not on a logarithmic scale")
	}
	out := make([]float64, len(target))
	e.Sum(rows, 1, out)
	for q := range 4 { // quarters of the feature's range
		is, said, n := 0.0, 0.0, 0.0
		for i, x := range rows {
			if int(4*x) == q {
				is, said, n = is+target[i], said+out[i], n+1
			}
		}
		if math.Abs(said-is) > 0.06*is+0.01*n {
			t.Errorf("quarter %d: the mean is %.3f, said %.3f", q, is/n, said/n)
		}
	}
	for i, y := range out {
		if !(y > 0) {
			t.Fatalf("row %d: %g, want a positive number", i, y)
		}
	}
	target[5] = -1
	b, _ := gbdt.Bin(rows, 1, 1)
	if _, _, err := b.Fit(t.Context(), target, numbers(0, len(target)), nil, p); err == nil {
		t.Error("a negative target was taken")
	}
	if _, _, err := b.Fit(t.Context(), make([]float64, len(target)), numbers(0, len(target)), nil, p); err == nil {
		t.Error("targets that are all zero were taken")
	}
}

// TestMonotoneFeaturesStayMonotone walks every constrained feature through its range at random places, for all losses.
func TestMonotoneFeaturesStayMonotone(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 5))
	n := 3000
	var rows []float32
	var target []float64
	for range n {
		x := []float32{rng.Float32(), rng.Float32(), rng.Float32()}
		y := 2 + math.Sin(9*float64(x[0])) + 2*float64(x[0]) - float64(x[1]) + float64(x[2]*x[0]) + rng.NormFloat64()/2
		rows, target = append(rows, x...), append(target, max(y, 0))
	}
	b, err := gbdt.Bin(rows, 3, 2, gbdt.Column{Monotone: 1}, gbdt.Column{Monotone: -1}, gbdt.Column{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, levels int, sum func(rows []float32, n int, out []float64)) {
		t.Helper()
		const steps = 60
		for range 100 {
			at := []float32{rng.Float32(), rng.Float32(), rng.Float32()}
			for f, sign := range []float64{1, -1} {
				var walk []float32
				for s := range steps {
					row := slices.Clone(at)
					row[f] = float32(s) / steps
					walk = append(walk, row...)
				}
				out := make([]float64, steps*levels)
				sum(walk, steps, out)
				for i := levels; i < len(out); i++ {
					if (out[i]-out[i-levels])*sign < -1e-9 {
						t.Fatalf("%s: feature %d at %v: %g after %g", name, f, at, out[i], out[i-levels])
					}
				}
			}
		}
	}
	p := gbdt.Defaults()
	p.Trees, p.Leaves = 60, 16
	for _, loss := range []gbdt.Loss{gbdt.Squared, gbdt.Absolute, gbdt.Quantile, gbdt.Tweedie} {
		p.Loss, p.Level = loss, 0.8
		e, _, err := b.Fit(t.Context(), target, numbers(0, n), nil, p)
		if err != nil {
			t.Fatal(err)
		}
		check(loss.String(), 1, func(rows []float32, n int, out []float64) { e.Sum(rows, 3, out[:n]) })
		if loss == gbdt.Squared {
			if got := rmse(e, rows, target); got > 0.9 {
				t.Errorf("RMSE %g", got)
			}
		}
	}
	levels, _, err := b.FitLevels(t.Context(), target, numbers(0, n), nil, []float64{0.1, 0.5, 0.9}, p)
	if err != nil {
		t.Fatal(err)
	}
	check("levels", 3, func(rows []float32, n int, out []float64) { levels.Sum(rows, 3, n, out) })
}

func TestContinueIsWhatOneFitWouldHaveDone(t *testing.T) {
	rows, target := friedman(3000, 5)
	p := gbdt.Defaults()
	p.RowShare, p.FeatureShare, p.Trees = 1, 1, 30
	b, err := gbdt.Bin(rows, features, 1)
	if err != nil {
		t.Fatal(err)
	}
	all := numbers(0, 3000)
	want, _, err := b.Fit(t.Context(), target, all, nil, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Trees = 10
	got, _, _ := b.Fit(t.Context(), target, all, nil, p)
	p.Trees = 20
	got, _, err = b.Continue(t.Context(), got, rows, target, all, nil, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Trees) != 30 || !slices.EqualFunc(got.Trees, want.Trees, func(a, b model.Tree) bool { return slices.Equal(a, b) }) {
		t.Errorf("%d trees, not those of one fit", len(got.Trees))
	}
	other := model.Ensemble{Trees: []model.Tree{{{Feature: 99, Left: 1}, {Feature: model.Leaf}, {Feature: model.Leaf}}}}
	if _, _, err := b.Continue(t.Context(), other, rows, target, all, nil, p); err == nil {
		t.Error("trees over features that the table does not have were taken")
	}
	p.Loss = gbdt.Tweedie
	if _, _, err := b.Continue(t.Context(), got, rows, target, all, nil, p); err == nil {
		t.Error("trees of a sum were continued as those of a factor")
	}
}

func TestImportanceNamesWhatMatters(t *testing.T) {
	rows, target := friedman(4000, 8)
	p := gbdt.Defaults()
	_, r := fit(t, rows, target, numbers(0, 3000), numbers(3000, 4000), p)
	if len(r.Gain) != features || len(r.Splits) != features {
		t.Fatalf("importance of %d and %d features", len(r.Gain), len(r.Splits))
	}
	for f := range 5 {
		if r.Gain[f] < 5*r.Gain[5] {
			t.Errorf("feature %d gains %g, the column of noise %g", f, r.Gain[f], r.Gain[5])
		}
	}
	sum := 0
	for _, s := range r.Splits {
		sum += s
	}
	if sum < r.Trees || sum > r.Trees*(p.Leaves-1) {
		t.Errorf("%d splits in %d trees", sum, r.Trees)
	}
}
