package forest_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"syscall"
	"testing"

	"fluxora.dev/hub/internal/train/forest"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/model"
)

// friedman returns n rows of 30 features, five of which say something (Friedman, 1991), with noise of deviation 1.
func friedman(n int, seed uint64) (rows []float32, target []float64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	rows, target = make([]float32, 30*n), make([]float64, n)
	for r := range n {
		x := rows[30*r : 30*r+30]
		for f := range x {
			x[f] = rng.Float32()
		}
		d := float64(x[2]) - 0.5
		target[r] = 10*math.Sin(math.Pi*float64(x[0])*float64(x[1])) + 20*d*d + 10*float64(x[3]) + 5*float64(x[4]) + rng.NormFloat64()
	}
	return rows, target
}

// columns puts rows into bins.
func columns(t testing.TB, rows []float32, features int) []forest.Column {
	t.Helper()
	b, err := gbdt.Bin(rows, features, 2)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]forest.Column, features)
	for f := range out {
		out[f].Bins, out[f].UpTo = b.Column(f)
	}
	return out
}

func all(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

// asModel returns a model that predicts what the forest holds, without anchor or correction.
func asModel(t testing.TB, features int, r forest.Result, levels ...float64) *model.Forest {
	t.Helper()
	m, err := model.NewForest(features, model.Bands{Levels: levels, Z: make([]float64, len(levels))}, model.Anchor{Base: []int{0}}, 0, r.Grid, r.Trees)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func grow(t testing.TB, rows []float32, features int, target []float64, p forest.Params) forest.Result {
	t.Helper()
	r, err := forest.Fit(context.Background(), columns(t, rows, features), target, all(len(target)), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestForestLearnsAndItsQuantilesHold(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 5_000
	}
	rows, target := friedman(n, 1)
	fresh, actual := friedman(2000, 2)
	p := forest.Defaults()
	p.Trees, p.Threads = 50, 2
	r := grow(t, rows, 30, target, p)
	m := asModel(t, 30, r, 0.1, 0.5, 0.9)
	out := make([]float64, 3*len(actual))
	m.Predict(fresh, len(actual), out)
	covered, square, spread := 0, 0.0, 0.0
	for i, y := range actual {
		base := float64(fresh[30*i]) // the anchor
		e := y - (out[3*i+1] - base)
		square += e * e
		spread += (y - 14.4) * (y - 14.4)
		if y >= out[3*i]-base && y <= out[3*i+2]-base {
			covered++
		}
	}
	rmse := math.Sqrt(square / float64(len(actual)))
	t.Logf("median: RMSE %.3f, targets stray %.3f, out of bag %.3f; 80 %% band covers %.1f %%", rmse, math.Sqrt(spread/float64(len(actual))), math.Sqrt(r.OOB), float64(covered)/20)
	if rmse > 1.9 || math.Abs(math.Sqrt(r.OOB)-rmse) > 0.2 {
		t.Errorf("RMSE %.3f, out of bag %.3f", rmse, math.Sqrt(r.OOB))
	}
	if covered < 1500 {
		t.Errorf("the 80 %% band covers %.1f %%", float64(covered)/20)
	}
}

// TestADistributionThatIsKnown learns from noise alone, twice as wide where the feature is above a half.
func TestADistributionThatIsKnown(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	rows, target := make([]float32, 20_000), make([]float64, 20_000)
	for i := range rows {
		rows[i] = rng.Float32()
		target[i] = rng.NormFloat64()
		if rows[i] > 0.5 {
			target[i] *= 2
		}
	}
	p := forest.Defaults()
	p.Trees, p.MinLeaf = 60, 200
	m := asModel(t, 1, grow(t, rows, 1, target, p), 0.1, 0.25, 0.5, 0.75, 0.9)
	for _, c := range []struct {
		x     float32
		sigma float64
	}{{0.25, 1}, {0.75, 2}} {
		out := make([]float64, 5)
		m.Predict([]float32{c.x}, 1, out)
		for i, z := range []float64{-1.2816, -0.6745, 0, 0.6745, 1.2816} {
			if got := out[i] - float64(c.x); math.Abs(got-c.sigma*z) > 0.2*c.sigma {
				t.Errorf("at %g, level %g: got %.3f, want %.3f", c.x, m.Levels()[i], got, c.sigma*z)
			}
		}
	}
}

func TestSameTreesForAnyNumberOfThreads(t *testing.T) {
	rows, target := friedman(1000, 1)
	p := forest.Defaults()
	p.Trees = 12
	one := grow(t, rows, 30, target, p)
	p.Threads = 5
	if five := grow(t, rows, 30, target, p); !reflect.DeepEqual(one, five) {
		t.Error("five threads grow another forest than one")
	}
	p.Seed = 2
	if other := grow(t, rows, 30, target, p); reflect.DeepEqual(one, other) {
		t.Error("another seed grows the same forest")
	}
}

func TestMissingValuesAndLeastLeaves(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	nan := float32(math.NaN())
	rows, target := make([]float32, 0, 4000), []float64(nil)
	for range 2000 {
		x, y := rng.Float32(), 0.0
		switch {
		case rng.IntN(3) == 0:
			x, y = nan, 5
		case x > 0.5:
			y = 1
		}
		rows, target = append(rows, x, nan), append(target, y)
	}
	p := forest.Defaults()
	p.Trees, p.MinLeaf, p.FeatureShare = 20, 50, 1
	r := grow(t, rows, 2, target, p)
	for i, tree := range r.Trees {
		if len(tree.Nodes) > 2*2000/50 {
			t.Errorf("tree %d has %d nodes of at least 50 rows", i, len(tree.Nodes))
		}
	}
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	m, err := model.NewForest(2, bands, model.Anchor{Base: []int{1}}, 0, r.Grid, r.Trees)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, 3)
	m.Predict([]float32{0.2, nan, 0.9, nan, nan, nan}, 3, out)
	for i, want := range []float64{0, 1, 5} {
		if math.Abs(out[i]-1-want) > 0.1 { // the anchor is 1 where nothing is known
			t.Errorf("row %d: got %g, want %g", i, out[i]-1, want)
		}
	}
	p.MaxLeaves = 2
	for _, tree := range grow(t, rows, 2, target, p).Trees {
		if len(tree.Nodes) > 3 {
			t.Errorf("%d nodes for two leaves", len(tree.Nodes))
		}
	}
}

func TestWhatCannotBeGrown(t *testing.T) {
	rows, target := friedman(100, 1)
	cs := columns(t, rows, 30)
	for name, spoil := range map[string]func(p *forest.Params){
		"no trees":       func(p *forest.Params) { p.Trees = 0 },
		"no rows a leaf": func(p *forest.Params) { p.MinLeaf = 0 },
		"one leaf":       func(p *forest.Params) { p.MaxLeaves = 1 },
		"no features":    func(p *forest.Params) { p.FeatureShare = 0 },
		"share NaN":      func(p *forest.Params) { p.RowShare = math.NaN() },
		"clip":           func(p *forest.Params) { p.Clip = -1 },
		"threads":        func(p *forest.Params) { p.Threads = -1 },
	} {
		p := forest.Defaults()
		spoil(&p)
		if _, err := forest.Fit(context.Background(), cs, target, all(100), p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := forest.Fit(context.Background(), cs, target[1:], all(99), forest.Defaults()); err == nil {
		t.Error("fewer targets than rows: taken")
	}
	if _, err := forest.Fit(context.Background(), cs, target, nil, forest.Defaults()); err == nil {
		t.Error("no rows: taken")
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	cancel(why)
	if _, err := forest.Fit(ctx, cs, target, all(100), forest.Defaults()); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	constant := make([]float64, 100)
	if r, err := forest.Fit(context.Background(), cs, constant, all(100), forest.Defaults()); err != nil || len(r.Trees[0].Nodes) != 1 || r.OOB != 0 {
		t.Errorf("targets all the same: %v, %d nodes", err, len(r.Trees[0].Nodes))
	}
}

// BenchmarkFriedman measures what docs/benchmarks.md says of a forest on 100k rows.
func BenchmarkFriedman(b *testing.B) {
	rows, target := friedman(100_000, 42)
	fresh, actual := friedman(100_000, 44)
	began := cpu()
	p := forest.Defaults()
	r := grow(b, rows, 30, target, p)
	fitted := cpu() - began
	m := asModel(b, 30, r, 0.1, 0.5, 0.9)
	out := make([]float64, 3*len(actual))
	began = cpu()
	m.Predict(fresh, len(actual), out)
	predicted := cpu() - began
	square, covered := 0.0, 0
	for i, y := range actual {
		base := float64(fresh[30*i])
		e := y - (out[3*i+1] - base)
		square += e * e
		if y >= out[3*i]-base && y <= out[3*i+2]-base {
			covered++
		}
	}
	bytes := 0
	for _, tree := range r.Trees {
		bytes += 8*len(tree.Nodes) + len(tree.Samples)
	}
	b.ReportMetric(0, "ns/op")
	b.Logf("100 trees on 100k × 30: %.1f CPU s, RMSE of means out of bag %.3f, of medians on fresh rows %.3f, the 80 %% band covers %.1f %%, %.1f µs a row, %.1f MB",
		fitted, math.Sqrt(r.OOB), math.Sqrt(square/float64(len(actual))), float64(covered)/1000, 1e6*predicted/1e5, float64(bytes)/1e6)
}

// cpu returns the CPU seconds this process has used.
func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
