package lstm

import (
	"math"
	"math/rand/v2"
	"testing"

	"fluxora.dev/shared/model"
)

// example returns a small network, data of three origins of two rows, and random weights.
func example() (*model.Network, *Data, []float64, []float64) {
	rng := rand.New(rand.NewPCG(11, 11))
	net := &model.Network{
		Past: []int{7, 6, 5, 4, 3, 2}, PastMean: 0.1, PastGain: 1.5, Patch: 2, Cells: 3, Hidden: 5,
		Inputs: []model.NetworkInput{{Column: 0, Gain: 1}, {Column: 1, Mean: 1, Gain: 0.5}}, Tables: []model.NetworkTable{{Column: 8, Values: 3}, {Column: 0, Values: 2}},
	}
	levels := []float64{0.05, 0.1, 0.5, 0.9, 0.95}
	d := &Data{Width: 9}
	for range 3 {
		past := make([]float32, 6)
		for i := range past {
			past[i] = float32(rng.NormFloat64())
		}
		past[rng.IntN(6)] = float32(math.NaN())
		for range 2 {
			d.Fit = append(d.Fit, int32(len(d.Target)))
			d.Rows = append(d.Rows, float32(rng.IntN(3)), rng.Float32())
			d.Rows = append(d.Rows, past...)
			d.Rows = append(d.Rows, float32(rng.IntN(4)))
			d.Target = append(d.Target, rng.NormFloat64())
		}
	}
	w := begin(net, levels, 4)
	for i := range w {
		w[i] += 0.3 * (rng.Float64() - 0.5)
	}
	return net, d, levels, w
}

func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	net, d, levels, w := example()
	s := newShard(net, levels)
	groups := d.groups(net, d.Fit)
	if len(groups) != 3 {
		t.Fatalf("%d groups, want 3", len(groups))
	}
	for _, dropout := range []float64{0, 0.3} {
		loss := func(learn bool) float64 {
			s.run(d, model.Split(net, len(levels), w), groups, learn, dropout, rand.New(rand.NewPCG(1, 1)))
			return s.loss
		}
		loss(true)
		got := append([]float64(nil), s.grad...)
		const h = 1e-6
		moved := 0
		for i := range w {
			was := w[i]
			w[i] = was + h
			up := loss(false)
			w[i] = was - h
			down := loss(false)
			w[i] = was
			want := (up - down) / (2 * h)
			if math.Abs(got[i]-want) > 1e-6+1e-5*math.Abs(want) {
				t.Errorf("dropout %g, weight %d: slope %.8f, finite difference %.8f", dropout, i, got[i], want)
			}
			if want != 0 {
				moved++
			}
		}
		if moved < len(w)/2 {
			t.Errorf("dropout %g: only %d of %d weights matter in this example", dropout, moved, len(w))
		}
	}
}

// TestWhatIsFittedIsWhatIsServed compares a batch with the model that agents run.
func TestWhatIsFittedIsWhatIsServed(t *testing.T) {
	net, d, levels, w := example()
	for i := range w {
		w[i] = float64(float32(w[i]))
		net.Weights = append(net.Weights, float32(w[i]))
	}
	s := newShard(net, levels)
	groups := d.groups(net, d.Fit)
	for _, g := range groups {
		s.rows += len(g)
	}
	split := model.Split(net, len(levels), w)
	s.encode(d, split, groups)
	s.decode(d, split, groups, 0, nil)
	m, err := model.NewLSTM(d.Width, model.Bands{Levels: levels, Z: s.unit}, model.Anchor{}, model.Anchor{}, 1, *net)
	if err != nil {
		t.Fatal(err)
	}
	n := len(levels)
	served := make([]float64, n*len(d.Target))
	m.Predict(d.Rows, len(d.Target), served)
	for r := range d.Target {
		fitted := s.out[r*n : (r+1)*n]
		model.Fan(fitted, model.Middle(levels), s.unit)
		for i, v := range fitted {
			if got := served[r*n+i] - 1; math.Abs(got-v) > 2e-6 {
				t.Errorf("row %d level %d: fitted %.8f, served %.8f", r, i, v, got)
			}
		}
	}
}
