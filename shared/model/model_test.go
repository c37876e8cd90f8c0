package model_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

var update = flag.Bool("update", false, "write the golden artifacts anew")

// goldenSpec returns the spec of the golden artifacts: the default one of when they were made.
func goldenSpec(t testing.TB) feature.Spec {
	t.Helper()
	text, err := os.ReadFile("testdata/spec-v1.txt")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := feature.ParseSpec(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// made returns an artifact of a family, built from a seed alone.
func made(t testing.TB, family string, seed uint64) *model.Artifact {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	spec := goldenSpec(t)
	levels := []float64{0.1, 0.5, 0.9}
	bands := model.Bands{Lead: spec.Column("lead"), Edges: []float32{3, 24}, Levels: levels}
	for range 3 {
		bands.Z = append(bands.Z, -1-rng.Float64(), rng.Float64()/8, 1+rng.Float64())
	}
	a := &model.Artifact{
		Family: family, Spec: spec, Levels: levels, Resolution: time.Hour, Horizon: 48 * time.Hour,
		TrainedFrom: 1_600_000_000_000, TrainedTo: 1_700_000_000_000, Points: 7, Rows: 12345,
	}
	var err error
	switch family {
	case model.FamilyQuantiles:
		a.Model, err = model.NewQuantiles(spec.Len(), bands, anchor(rng, bands, 1, 9, 17), levelTrees(rng, spec.Len(), 40, levels), anchor(rng, bands, 18, 20), 0.01)
	case model.FamilyLSTM:
		return madeLSTM(t, seed)
	case model.FamilyGBDT:
		a.Model, err = model.NewGBDT(spec.Len(), bands, anchor(rng, bands, 1, 9, 17), ensemble(rng, spec.Len(), 40, 0), anchor(rng, bands, 18, 20), 0.01)
	case model.FamilySeasonal:
		a.Model, err = model.NewSeasonal(spec.Len(), bands, []int{spec.Column("weeks mean 4"), spec.Column("days mean 7")})
	case model.FamilyLinear:
		a.Model, err = lineOf(rng, spec, bands)
	case model.FamilyBoosted:
		var line *model.Linear
		if line, err = lineOf(rng, spec, bands); err == nil {
			a.Model, err = model.NewBoosted(spec.Len(), line, ensemble(rng, spec.Len(), 40, 0.1))
		}
	case model.FamilyEnsemble:
		a.Model, err = mixtureOf(t, seed, bands, model.FamilyGBDT, model.FamilySeasonal, model.FamilyLinear)
	case model.FamilyByPoint:
		a.Model, err = byPointOf(t, seed, model.FamilyGBDT, "school energy-import", "house energy-import")
	case model.FamilyAdditive:
		a.Model, err = additiveOf(rng, spec, bands)
	case model.FamilyWeeks:
		a.Model, err = weeksOf(rng, spec.Len(), bands)
	case model.FamilyForest:
		a.Model, err = forestOf(rng, spec.Len(), bands, anchor(rng, bands, 1, 9, 17), 20)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.AddVectors(someRows(rng, spec.Len(), 20), 20, 8)
	return a
}

// anchor returns a line with random weights from a base column over some terms.
func anchor(rng *rand.Rand, b model.Bands, base int, terms ...int) model.Anchor {
	a := model.Anchor{Base: []int{base}, Terms: terms}
	for range b.Count() * len(terms) {
		a.Weights = append(a.Weights, rng.Float64()-0.3)
	}
	return a
}

// ensemble returns random trees.
func ensemble(rng *rand.Rand, features, trees int, base float64) model.Ensemble {
	e := model.Ensemble{Base: base}
	for range trees {
		tree := model.Tree{{Feature: model.Leaf}}
		for i := 0; i < len(tree) && len(tree) < 61; i++ {
			tree[i] = model.Node{Feature: uint16(rng.IntN(features)), Left: uint16(len(tree)), Value: rng.Float32() * 2}
			if rng.IntN(2) == 0 {
				tree[i].Feature |= model.MissingLeft
			}
			tree = append(tree, model.Node{Feature: model.Leaf, Value: rng.Float32()/8 - 1./16}, model.Node{Feature: model.Leaf, Value: rng.Float32()/8 - 1./16})
		}
		e.Trees = append(e.Trees, tree)
	}
	return e
}

// someRows returns random rows with missing values, leads first.
func someRows(rng *rand.Rand, features, n int) []float32 {
	rows := make([]float32, n*features)
	for i := range rows {
		rows[i] = rng.Float32() * 2
		if rng.IntN(10) == 0 {
			rows[i] = feature.Missing
		}
		if i%features == 0 {
			rows[i] = float32(rng.IntN(48))
		}
	}
	return rows
}

var families = []string{model.FamilyGBDT, model.FamilyQuantiles, model.FamilySeasonal, model.FamilyLinear, model.FamilyForest, model.FamilyAdditive, model.FamilyLSTM, model.FamilyWeeks, model.FamilyBoosted, model.FamilyEnsemble, model.FamilyByPoint}

func encode(t testing.TB, a *model.Artifact) []byte {
	t.Helper()
	b, err := model.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, f := range families {
		t.Run(f, func(t *testing.T) {
			a := made(t, f, 1)
			b := encode(t, a)
			back, err := model.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encode(t, back), b) {
				t.Error("encoding is not canonical")
			}
			if err := back.SelfTest(); err != nil {
				t.Error(err)
			}
			if back.Family != f || back.Spec.Hash() != a.Spec.Hash() || back.Resolution != a.Resolution || back.Horizon != a.Horizon ||
				back.TrainedFrom != a.TrainedFrom || back.TrainedTo != a.TrainedTo || back.Points != 7 || back.Rows != 12345 || len(back.ID) != 16 {
				t.Errorf("came back as %+v", back)
			}
			rng := rand.New(rand.NewPCG(9, 9))
			rows := someRows(rng, a.Spec.Len(), 200)
			x, y := make([]float64, 600), make([]float64, 600)
			a.Model.Predict(rows, 200, x)
			back.Model.Predict(rows, 200, y)
			for i := range x {
				if math.Float64bits(x[i]) != math.Float64bits(y[i]) {
					t.Fatalf("value %d: %v before, %v after", i, x[i], y[i])
				}
				if i%3 > 0 && x[i] < x[i-1] {
					t.Fatalf("levels cross at value %d", i)
				}
			}
		})
	}
}

// TestGolden keeps old artifacts readable: go test -run TestGolden -update writes them, once for each format version.
func TestGolden(t *testing.T) {
	for _, f := range families {
		path := filepath.Join("testdata", f+"-v1.model")
		if *update {
			if err := os.WriteFile(path, encode(t, made(t, f, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a, err := model.Decode(b)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if err := a.SelfTest(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if !bytes.Equal(b, encode(t, made(t, f, 1))) {
			t.Errorf("%s: the codec writes other bytes than it did", path)
		}
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	good := encode(t, made(t, model.FamilyGBDT, 1))
	for n := 0; n < len(good); n += 1 + n/50 {
		if _, err := model.Decode(good[:n]); !errors.Is(err, model.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for i := 0; i < len(good); i += 1 + i/100 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if _, err := model.Decode(bad); err == nil {
			t.Fatalf("a flipped bit in byte %d was taken", i)
		}
	}
	if _, err := model.Decode(append(bytes.Clone(good), 0)); !errors.Is(err, model.ErrDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
	newer := bytes.Clone(good)
	newer[8] = 3
	if _, err := model.Decode(newer); !errors.Is(err, model.ErrVersion) {
		t.Errorf("format 3: %v", err)
	}
	unknown := bytes.Replace(good, []byte("fluxora-features 1\n"), []byte("fluxora-features 9\n"), 1)
	if _, err := model.Decode(reseal(unknown)); err == nil {
		t.Error("a spec of another version was taken")
	}
}

// TestWrongSpecIsNamed asks for a feature that this build does not have, in an otherwise sound artifact.
func TestWrongSpecIsNamed(t *testing.T) {
	good := encode(t, made(t, model.FamilySeasonal, 1))
	text := made(t, model.FamilySeasonal, 1).Spec.String()
	other := bytes.Replace([]byte(text), []byte("weekday"), []byte("sunspot"), 1)
	bad := bytes.Replace(good, []byte(text), other, 1)
	was, is := sha256.Sum256([]byte(text)), sha256.Sum256(other)
	bad = bytes.Replace(bad, was[:], is[:], 1)
	if _, err := model.Decode(reseal(bad)); !errors.Is(err, feature.ErrSpec) {
		t.Errorf("got %v, want ErrSpec", err)
	}
}

// reseal sets length and checksum right, as a hostile hub would.
func reseal(b []byte) []byte {
	if len(b) < 48 {
		return b
	}
	b = bytes.Clone(b)
	n := len(b) - sha256.Size
	binary.LittleEndian.PutUint32(b[12:], uint32(n-16))
	sum := sha256.Sum256(b[:n])
	copy(b[n:], sum[:])
	return b
}

func TestSelfTestFails(t *testing.T) {
	a := made(t, model.FamilyGBDT, 1)
	a.Vectors[2].Want[1] = math.Nextafter(a.Vectors[2].Want[1], 9)
	if err := a.SelfTest(); !errors.Is(err, model.ErrSelfTest) {
		t.Errorf("a difference in the last bit: %v", err)
	}
	a.Vectors = nil
	if err := a.SelfTest(); !errors.Is(err, model.ErrSelfTest) {
		t.Errorf("no vectors: %v", err)
	}
}

func TestTreesThatCouldLoopOrOverrunAreRefused(t *testing.T) {
	ok := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	leaf := model.Node{Feature: model.Leaf}
	for name, tree := range map[string]model.Tree{
		"no nodes":         {},
		"child is itself":  {{Feature: 0, Left: 0}, leaf, leaf},
		"child before":     {{Feature: 0, Left: 1}, {Feature: 0, Left: 1}, leaf},
		"child outside":    {{Feature: 0, Left: 2}, leaf, leaf},
		"feature outside":  {{Feature: 3, Left: 1}, leaf, leaf},
		"leaf with child":  {{Feature: model.Leaf, Left: 1}, leaf, leaf},
		"value not finite": {{Feature: model.Leaf, Value: float32(math.Inf(1))}},
		"threshold NaN":    {{Feature: 0, Left: 1, Value: float32(math.NaN())}, leaf, leaf},
	} {
		if _, err := model.NewGBDT(3, ok, model.Anchor{}, model.Ensemble{Trees: []model.Tree{tree}}, model.Anchor{}, 0); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, a := range map[string]model.Anchor{
		"base outside":    {Base: []int{3}},
		"base negative":   {Base: []int{-1}},
		"term outside":    {Terms: []int{3}, Weights: []float64{1}},
		"too few weights": {Terms: []int{1, 2}, Weights: []float64{1}},
		"no weights":      {Terms: []int{1}},
		"weight NaN":      {Terms: []int{1}, Weights: []float64{math.NaN()}},
		"too many terms":  {Terms: make([]int, 17), Weights: make([]float64, 17)},
	} {
		if _, err := model.NewGBDT(3, ok, a, model.Ensemble{}, model.Anchor{}, 0); err == nil {
			t.Errorf("anchor, %s: taken", name)
		}
		if _, err := model.NewGBDT(3, ok, model.Anchor{}, model.Ensemble{}, a, 0); err == nil {
			t.Errorf("spread, %s: taken", name)
		}
	}
	for name, b := range map[string]model.Bands{
		"lead outside":     {Lead: 3, Levels: []float64{0.5}, Z: []float64{0}},
		"too few z":        {Levels: []float64{0.5}, Edges: []float32{1}, Z: []float64{0}},
		"crossing":         {Levels: []float64{0.1, 0.9}, Z: []float64{1, 0}},
		"edges descending": {Levels: []float64{0.5}, Edges: []float32{2, 1}, Z: []float64{0, 0, 0}},
		"z NaN":            {Levels: []float64{0.5}, Z: []float64{math.NaN()}},
	} {
		if _, err := model.NewSeasonal(3, b, []int{0}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := model.NewSeasonal(3, ok, []int{3}); err == nil {
		t.Error("column outside: taken")
	}
}

func TestMissingGoesWhereTheTreeSays(t *testing.T) {
	tree := func(mark uint16) model.Ensemble {
		return model.Ensemble{Trees: []model.Tree{{{Feature: 1 | mark, Left: 1, Value: 5}, {Feature: model.Leaf, Value: -1}, {Feature: model.Leaf, Value: 1}}}}
	}
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	for _, c := range []struct {
		x    float32
		mark uint16
		want float64
	}{{5, 0, -1}, {5.1, 0, 1}, {feature.Missing, 0, 1}, {feature.Missing, model.MissingLeft, -1}, {6, model.MissingLeft, 1}} {
		m, err := model.NewGBDT(2, bands, model.Anchor{Base: []int{0}}, tree(c.mark), model.Anchor{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float64, 1)
		m.Predict([]float32{0, c.x}, 1, out)
		if out[0] != c.want {
			t.Errorf("%v, mark %x: got %g, want %g", c.x, c.mark, out[0], c.want)
		}
	}
}

func TestAnchorFollowsWhatIsKnown(t *testing.T) {
	nan := feature.Missing
	bands := model.Bands{Lead: 0, Edges: []float32{6}, Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1, -1, 0, 1}}
	centre := model.Anchor{Base: []int{1, 2}, Terms: []int{3, 4}, Weights: []float64{0.5, 0.25, 0.125, 2}}
	spread := model.Anchor{Base: []int{5}, Terms: []int{3}, Weights: []float64{1, -1}}
	m, err := model.NewGBDT(6, bands, centre, model.Ensemble{Base: 0.0625}, spread, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		row            []float32
		centre, spread float64
	}{
		{"near", []float32{0, 2, 9, 4, 8, 1}, 2 + 2 + 2, 5},
		{"far", []float32{6, 2, 9, 4, 0.5, 8}, 2 + 0.5 + 1, 4},
		{"never below the least spread", []float32{6, 2, 9, 4, 0, 1}, 2 + 0.5, 0.5},
		{"second base", []float32{0, nan, 9, 0, 0, 1}, 9, 1},
		{"a term missing", []float32{0, 2, 9, nan, 8, 2}, 2 + 2, 2},
		{"nothing known but the scale", []float32{0, nan, nan, nan, nan, nan}, 1, 1},
		{"a level never seen", []float32{0, 1000, 9, 400, 0, 1}, 1200, 401},
	} {
		out := make([]float64, 3)
		m.Predict(c.row, 1, out)
		c.centre += 0.0625
		if out[0] != c.centre-c.spread || out[1] != c.centre || out[2] != c.centre+c.spread {
			t.Errorf("%s: got %v, want %g ± %g", c.name, out, c.centre, c.spread)
		}
	}
}

func TestPredictAllocatesNothingAndMayBeShared(t *testing.T) {
	for _, f := range families {
		a := made(t, f, 4)
		rows := someRows(rand.New(rand.NewPCG(1, 1)), a.Spec.Len(), 100)
		want := make([]float64, 300)
		a.Model.Predict(rows, 100, want)
		out := make([]float64, 300)
		if n := testing.AllocsPerRun(10, func() { a.Model.Predict(rows, 100, out) }); n != 0 {
			t.Errorf("%s: %g allocations", f, n)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got := make([]float64, 3)
				for r := range 100 {
					a.Model.Predict(rows[r*a.Spec.Len():(r+1)*a.Spec.Len()], 1, got)
					for i := range got {
						if math.Float64bits(got[i]) != math.Float64bits(want[3*r+i]) {
							t.Errorf("%s: row %d alone gives %v, among others %v", f, r, got[i], want[3*r+i])
							return
						}
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestDecodeIsBounded gives lengths and counts that promise far more than there is.
func TestDecodeIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, f := range families {
		good := encode(t, made(t, f, 1))
		for range 300 {
			bad := bytes.Clone(good)
			for range 1 + rng.IntN(3) {
				i := 16 + rng.IntN(len(bad)-60)
				copy(bad[i:], [][]byte{{0xff, 0xff, 0xff, 0x7f}, {0xff, 0xff, 0xff, 0xff}, {0xff, 0xff}, {0, 0, 0, 0x80}}[rng.IntN(4)])
			}
			bad = reseal(bad)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = model.Decode(bad)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > uint64(64*len(bad)+1<<20) {
				t.Fatalf("%d bytes allocated for %d", got, len(bad))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	const spec = "fluxora-features 1\nlead\nday 1\n"
	for _, fam := range families {
		f.Add(encode(f, small(f, fam, spec)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = reseal(b) // or the checksum would hide everything behind it
		a, err := model.Decode(b)
		if err != nil {
			return
		}
		again, err := model.Encode(a)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("decodes but does not come back: %v", err)
		}
		a.Model.Predict(make([]float32, a.Spec.Len()), 1, make([]float64, len(a.Levels)))
		_ = a.SelfTest()
	})
}

// small returns an artifact of a few hundred bytes.
func small(t testing.TB, family, text string) *model.Artifact {
	t.Helper()
	spec, err := feature.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	bands := model.Bands{Edges: []float32{6}, Levels: []float64{0.1, 0.9}, Z: []float64{-1, 1, -2, 2}}
	a := &model.Artifact{Family: family, Spec: spec, Levels: bands.Levels, Resolution: time.Hour, Horizon: time.Hour}
	switch family {
	case model.FamilySeasonal:
		a.Model, err = model.NewSeasonal(spec.Len(), bands, []int{1})
	case model.FamilyLinear:
		a.Model, err = lineOf(rand.New(rand.NewPCG(1, 1)), spec, bands)
	case model.FamilyByPoint:
		one := small(t, model.FamilySeasonal, text).Model
		a.Model, err = model.NewByPoint(model.FamilySeasonal, one, []model.OwnModel{{Point: 1, Model: one}})
	case model.FamilyAdditive:
		a.Model, err = additiveOf(rand.New(rand.NewPCG(1, 1)), spec, bands)
	case model.FamilyForest:
		rng := rand.New(rand.NewPCG(1, 1))
		a.Model, err = forestOf(rng, spec.Len(), bands, anchor(rng, bands, 1, 0), 1)
	case model.FamilyGBDT:
		e := ensemble(rand.New(rand.NewPCG(1, 1)), 2, 1, 1)
		e.Trees[0] = model.Tree{{Feature: 1, Left: 1, Value: 1}, {Feature: model.Leaf, Value: 1}, {Feature: model.Leaf, Value: 2}}
		line := model.Anchor{Base: []int{1}, Terms: []int{0}, Weights: []float64{0.5, -0.5}}
		a.Model, err = model.NewGBDT(spec.Len(), bands, line, e, line, 0.1)
	case model.FamilyQuantiles:
		e := levelTrees(rand.New(rand.NewPCG(1, 1)), 2, 0, bands.Levels)
		e.Trees = []model.Tree{{{Feature: 1, Left: 1, Value: 1}, {Feature: model.Leaf}, {Feature: model.Leaf}}}
		e.Values = [][]float32{{1, 2, 3, 4}}
		a.Model, err = model.NewQuantiles(spec.Len(), bands, model.Anchor{Base: []int{1}}, e, model.Anchor{}, 0.1)
	case model.FamilyBoosted:
		var line *model.Linear
		if line, err = lineOf(rand.New(rand.NewPCG(1, 1)), spec, bands); err == nil {
			e := model.Ensemble{Trees: []model.Tree{{{Feature: 1, Left: 1, Value: 1}, {Feature: model.Leaf, Value: 1}, {Feature: model.Leaf, Value: 2}}}}
			a.Model, err = model.NewBoosted(spec.Len(), line, e)
		}
	case model.FamilyEnsemble:
		var members []model.Member
		for _, fam := range []string{model.FamilySeasonal, model.FamilyGBDT} {
			members = append(members, model.Member{Family: fam, Model: small(t, fam, text).Model})
		}
		a.Model, err = model.NewMixture(spec.Len(), bands, model.Parting{Column: 1, Edges: []float32{1}}, 0.1, members, []float64{1, 2, 3, 4, 5, 6, 7, 8})
	case model.FamilyLSTM:
		net := network(rand.New(rand.NewPCG(1, 1)), 2, []int{1, 0}, 1, 2)
		a.Model, err = model.NewLSTM(spec.Len(), bands, model.Anchor{Base: []int{1}}, model.Anchor{}, 0.1, net)
	case model.FamilyWeeks:
		s := model.Scatter{Bands: bands, LeastSpread: 0.1}
		a.Model, err = model.NewWeeks(spec.Len(), s, []int{1, 0}, 1, []model.PastLine{{Hours: 2, Steps: 1, Weights: []float32{1, 2, 3}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	a.AddVectors([]float32{1, 1, 9, 2}, 2, 2)
	return a
}

func BenchmarkPredict48Rows(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	spec := feature.Default()
	bands := model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1}}
	m, err := model.NewGBDT(spec.Len(), bands, anchor(rng, bands, 1, 2, 3, 4, 5, 6, 7, 8, 9), ensemble(rng, spec.Len(), 300, 0), anchor(rng, bands, 10, 11, 12), 0)
	if err != nil {
		b.Fatal(err)
	}
	rows, out := someRows(rng, spec.Len(), 48), make([]float64, 3*48)
	b.ReportAllocs()
	for b.Loop() {
		m.Predict(rows, 48, out)
	}
}

func BenchmarkPredict1Row(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	spec := feature.Default()
	bands := model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1}}
	m, err := model.NewGBDT(spec.Len(), bands, anchor(rng, bands, 1, 2, 3, 4, 5, 6, 7, 8, 9), ensemble(rng, spec.Len(), 300, 0), anchor(rng, bands, 10, 11, 12), 0)
	if err != nil {
		b.Fatal(err)
	}
	f := spec.Len()
	rows, out := someRows(rng, spec.Len(), 48), make([]float64, 3)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Predict(rows[i*f:(i+1)*f], 1, out)
		i = (i + 1) % 48
	}
}

// BenchmarkFamilies asks what a forecast of two days costs with the golden model of each family.
func BenchmarkFamilies(b *testing.B) {
	for _, f := range families {
		b.Run(f, func(b *testing.B) {
			a := made(b, f, 1)
			rows, out := someRows(rand.New(rand.NewPCG(1, 1)), a.Spec.Len(), 48), make([]float64, 3*48)
			m := model.ForPoint(a.Model, "school energy-import")
			b.ReportAllocs()
			for b.Loop() {
				m.Predict(rows, 48, out)
			}
		})
	}
}
