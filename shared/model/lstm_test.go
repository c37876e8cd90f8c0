package model_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

const lstmSpec = `fluxora-features 1
lead
weeks mean 4
drift day 1
stray 24h
hour
weekday
day 1
day 2
day 3
day 4
day 5
day 6
day 7
day 8
`

// network returns a network with random weights over the given past.
func network(rng *rand.Rand, levels int, past []int, cells, hidden int) model.Network {
	n := model.Network{
		Past: past, PastMean: 1, PastGain: 0.5, Patch: 2, Cells: cells, Hidden: hidden,
		Inputs: []model.NetworkInput{{Column: 0, Mean: 24, Gain: 1. / 24}, {Column: 1, Mean: 1, Gain: 1}},
		Tables: []model.NetworkTable{{Column: 1, Values: 3}},
	}
	n.Weights = make([]float32, n.Size(levels))
	for i := range n.Weights {
		n.Weights[i] = rng.Float32() - 0.5
	}
	return n
}

// madeLSTM returns an artifact built from a seed alone.
func madeLSTM(t testing.TB, seed uint64) *model.Artifact {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 5))
	spec, err := feature.ParseSpec(lstmSpec)
	if err != nil {
		t.Fatal(err)
	}
	bands := model.Bands{Edges: []float32{3, 24}, Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1.5, -2, 0.125, 2, -3, 0, 3}}
	a := &model.Artifact{
		Family: model.FamilyLSTM, Spec: spec, Levels: bands.Levels, Resolution: time.Hour, Horizon: 48 * time.Hour,
		TrainedFrom: 1_600_000_000_000, TrainedTo: 1_700_000_000_000, Points: 7, Rows: 12345,
	}
	net := network(rng, 3, []int{13, 12, 11, 10, 9, 8, 7, 6}, 5, 7)
	net.Tables = []model.NetworkTable{{Column: 4, Values: 24}, {Column: 5, Values: 7}}
	net.Weights = nil
	for range net.Size(3) {
		net.Weights = append(net.Weights, rng.Float32()-0.5)
	}
	if a.Model, err = model.NewLSTM(spec.Len(), bands, anchor(rng, bands, 1, 2), anchor(rng, bands, 3), 0.05, net); err != nil {
		t.Fatal(err)
	}
	a.AddVectors(someRows(rng, spec.Len(), 20), 20, 8)
	return a
}

// TestLSTMByHand follows one cell and one hidden unit by the textbook.
func TestLSTMByHand(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 2}}
	n := model.Network{Past: []int{1, 2}, PastGain: 1, Patch: 1, Cells: 1, Hidden: 1, Inputs: []model.NetworkInput{{Column: 0, Gain: 0.5}}}
	// Gates input, forget, candidate, output: weights of the value and of the share known, then of the state, then biases.
	n.Weights = []float32{
		0.5, 0, -0.5, 0.25, 1, 0, 0.75, 0, // read
		0.1, 0.2, 0.3, 0.4, // recur
		0, 1, 0, 0.5, // gates
		2, 3, 0.5, // state, input, bias
		1.5, -0.25, // deep
		0.25, 1, -1, 0, 0.5, 0, // head
	}
	spread := model.Anchor{Base: []int{3}}
	m, err := model.NewLSTM(4, bands, model.Anchor{Base: []int{2}}, spread, 0, n)
	if err != nil {
		t.Fatal(err)
	}
	sig := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	c, s := 0.0, 0.0
	for _, x := range []float64{0.8, 1.7} {
		i, f := sig(0.5*x+0.1*s), sig(-0.5*x+0.25+0.2*s+1)
		g, o := math.Tanh(x+0.3*s), sig(0.75*x+0.4*s+0.5)
		c = f*c + i*g
		s = o * math.Tanh(c)
	}
	deep := max(0, 1.5*max(0, 2*s+3*0.5*0.6+0.5)-0.25)
	plus := func(x float64) float64 { return (x + math.Sqrt(x*x+4)) / 2 }
	centre := deep + 0.5
	want := []float64{1.7 + 4*(centre-plus(0.25*deep)), 1.7 + 4*centre, 1.7 + 4*(centre+2*plus(-deep))}
	got := make([]float64, 3)
	m.Predict([]float32{0.6, 0.8, 1.7, 4}, 1, got)
	for i := range got {
		if math.Abs(got[i]-want[i]) > 1e-5 {
			t.Errorf("level %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestLSTMKeepsItsNumbersInBounds(t *testing.T) {
	a := madeLSTM(t, 3)
	inf := float32(math.Inf(1))
	out := make([]float64, 3)
	for _, v := range []float32{feature.Missing, 1e30, -1e30, inf, -inf} {
		row := make([]float32, a.Spec.Len())
		for c := range row {
			if c < 1 || c > 3 { // the anchors' columns follow whatever they are given
				row[c] = v
			}
		}
		a.Model.Predict(row, 1, out)
		if !(out[0] <= out[1] && out[1] <= out[2]) || math.Abs(out[1]) > 100 {
			t.Errorf("all %g: %v", v, out)
		}
	}
}

func TestLSTMRefusesWhatItCannotRun(t *testing.T) {
	bands := model.Bands{Levels: []float64{0.1, 0.9}, Z: []float64{-1, 1}}
	rng := rand.New(rand.NewPCG(1, 1))
	for name, spoil := range map[string]func(*model.Network){
		"no past":          func(n *model.Network) { n.Past = nil },
		"half a patch":     func(n *model.Network) { n.Past = n.Past[:1] },
		"no patch":         func(n *model.Network) { n.Patch = 0 },
		"past outside":     func(n *model.Network) { n.Past = []int{0, 2} },
		"no cells":         func(n *model.Network) { n.Cells = 0 },
		"too many cells":   func(n *model.Network) { n.Cells = 65 },
		"too many hidden":  func(n *model.Network) { n.Hidden = 129 },
		"input outside":    func(n *model.Network) { n.Inputs[0].Column = -1 },
		"gain NaN":         func(n *model.Network) { n.Inputs[0].Gain = feature.Missing },
		"past mean NaN":    func(n *model.Network) { n.PastMean = feature.Missing },
		"table outside":    func(n *model.Network) { n.Tables[0].Column = 2 },
		"table without":    func(n *model.Network) { n.Tables[0].Values = 0 },
		"weight too few":   func(n *model.Network) { n.Weights = n.Weights[1:] },
		"weight NaN":       func(n *model.Network) { n.Weights[3] = feature.Missing },
		"weight too large": func(n *model.Network) { n.Weights[3] = 2e4 },
	} {
		n := network(rng, 2, []int{0, 1}, 2, 3)
		if _, err := model.NewLSTM(2, bands, model.Anchor{}, model.Anchor{}, 0, n); err != nil {
			t.Fatal(err)
		}
		spoil(&n)
		if _, err := model.NewLSTM(2, bands, model.Anchor{}, model.Anchor{}, 0, n); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := model.NewLSTM(2, bands, model.Anchor{Base: []int{2}}, model.Anchor{}, 0, network(rng, 2, []int{0, 1}, 2, 3)); err == nil {
		t.Error("anchor outside: taken")
	}
}

// BenchmarkLSTM48Rows predicts two days from one origin with a network of the size that training makes.
func BenchmarkLSTM48Rows(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	var past []int
	for c := 50; c < 50+168; c++ {
		past = append(past, c)
	}
	bands := model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1, 0, 1}}
	n := network(rng, 3, past, 48, 64)
	n.Patch = 6
	n.Tables = []model.NetworkTable{{Column: 46, Values: 24}}
	n.Inputs = nil
	for c := range 50 {
		n.Inputs = append(n.Inputs, model.NetworkInput{Column: c, Gain: 1})
	}
	n.Weights = make([]float32, n.Size(3))
	for i := range n.Weights {
		n.Weights[i] = (rng.Float32() - 0.5) / 4
	}
	m, err := model.NewLSTM(218, bands, model.Anchor{}, model.Anchor{}, 1, n)
	if err != nil {
		b.Fatal(err)
	}
	row := someRows(rng, 218, 1)
	var rows []float32
	for range 48 {
		rows = append(rows, row...)
	}
	out := make([]float64, 3*48)
	b.ReportAllocs()
	for b.Loop() {
		m.Predict(rows, 48, out)
	}
}
