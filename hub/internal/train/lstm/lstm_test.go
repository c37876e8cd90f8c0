package lstm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

var levels = []float64{0.1, 0.5, 0.9}

const width = 14

// shape returns a small network over rows of: lead, a number, a code, then 11 hours, of which the newest ten are read.
func shape() model.Network {
	n := model.Network{Patch: 2, Cells: 4, Hidden: 6, Inputs: []model.NetworkInput{{Column: 0}, {Column: 1}}, Tables: []model.NetworkTable{{Column: 2, Values: 5}}}
	for c := 13; c > 3; c-- {
		n.Past = append(n.Past, c)
	}
	return n
}

// problem returns rows of some origins whose target needs the order of the past, the number and the code.
func problem(origins int, seed uint64) lstm.Data {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := lstm.Data{Width: width}
	for range origins {
		var past [11]float32
		for i := range past {
			past[i] = float32(rng.NormFloat64())
			if rng.IntN(20) == 0 {
				past[i] = feature.Missing
			}
		}
		for step := range 6 {
			row := append([]float32{float32(step), float32(rng.NormFloat64()), float32(rng.IntN(6))}, past[:]...)
			y := 0.5*float64(row[1]) + 0.3*math.Sin(float64(row[2]))
			for i, v := range past[1:4] { // the newest are read last
				if v == v {
					y += float64(v) * []float64{1, -0.5, 0.25}[i]
				}
			}
			d.Rows = append(d.Rows, row...)
			d.Target = append(d.Target, y+0.2*rng.NormFloat64())
		}
	}
	for i := range d.Target {
		if i < len(d.Target)*4/5 {
			d.Fit = append(d.Fit, int32(i))
		} else {
			d.Held = append(d.Held, int32(i))
		}
	}
	return d
}

func quick() lstm.Params {
	p := lstm.Defaults()
	p.Epochs, p.Patience, p.Origins, p.Rate, p.Dropout = 12, 0, 16, 1e-2, 0.1
	return p
}

func fit(t testing.TB, d lstm.Data, p lstm.Params, c lstm.Checkpoint) (model.Network, lstm.Result) {
	t.Helper()
	n := shape()
	lstm.Measure(&n, &d, d.Fit)
	n, r, err := lstm.Fit(context.Background(), d, n, levels, p, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n, r
}

// serve returns a model of the network alone: no anchor to speak of, spread one.
func serve(t testing.TB, n model.Network) *model.LSTM {
	t.Helper()
	bands := model.Bands{Levels: levels, Z: []float64{-1, 0, 1}}
	m, err := model.NewLSTM(width, bands, model.Anchor{}, model.Anchor{}, 1, n)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLearnsWhatOnlyTheOrderOfThePastTells(t *testing.T) {
	d := problem(600, 1)
	n, r := fit(t, d, quick(), nil)
	m := serve(t, n)
	out := make([]float64, 3)
	covered, off, plain := 0, 0.0, 0.0
	for _, i := range d.Held {
		m.Predict(d.Rows[int(i)*width:(int(i)+1)*width], 1, out)
		y := d.Target[i] + 1 // the anchor of a model without columns is 1
		off += math.Abs(out[1] - y)
		plain += math.Abs(d.Target[i])
		if out[0] <= y && y <= out[2] {
			covered++
		}
	}
	share := float64(covered) / float64(len(d.Held))
	t.Logf("error %.2f of that of the mean, the 80 %% band covers %.2f, curve %.3f", off/plain, share, r.Curve)
	if off > 0.45*plain || share < 0.65 || share > 0.96 {
		t.Errorf("error %.2f of that of the mean, the 80 %% band covers %.2f", off/plain, share)
	}
	if r.Loss != r.Curve[r.Best-1] || r.Epochs != len(r.Curve) {
		t.Errorf("result %+v", r)
	}
}

func TestSameWeightsForAnyNumberOfThreads(t *testing.T) {
	d := problem(100, 2)
	p := quick()
	p.Epochs = 3
	one, _ := fit(t, d, p, nil)
	p.Threads = 5
	five, _ := fit(t, d, p, nil)
	if !bytes.Equal(bits(one), bits(five)) {
		t.Error("five threads fit other weights than one")
	}
	p.Seed = 2
	if other, _ := fit(t, d, p, nil); bytes.Equal(bits(one), bits(other)) {
		t.Error("another seed fits the same weights")
	}
}

func bits(n model.Network) []byte {
	var b []byte
	for _, w := range n.Weights {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(w))
	}
	return b
}

// shelf is a checkpoint in memory that ends the fit after so many saves.
type shelf struct {
	b     []byte
	saves int
	stop  func()
}

func (s *shelf) Load(string) ([]byte, error) { return s.b, nil }

func (s *shelf) Save(_ string, b []byte) error {
	s.b = bytes.Clone(b)
	if s.saves--; s.saves == 0 && s.stop != nil {
		s.stop()
	}
	return nil
}

var errStopped = errors.New("stopped")

func TestAStoppedFitGoesOnToTheSameWeights(t *testing.T) {
	d := problem(100, 3)
	p := quick()
	p.Epochs = 6
	want, whole := fit(t, d, p, nil)
	for _, after := range []int{1, 4} {
		ctx, cancel := context.WithCancelCause(context.Background())
		s := &shelf{saves: after, stop: func() { cancel(errStopped) }}
		n := shape()
		lstm.Measure(&n, &d, d.Fit)
		if _, _, err := lstm.Fit(ctx, d, n, levels, p, s, nil); !errors.Is(err, errStopped) {
			t.Fatalf("got %v, want errStopped", err)
		}
		p.Threads = 3 // the next machine has more processors
		got, r := fit(t, d, p, s)
		if r.Resumed != after || r.Epochs != whole.Epochs || r.Loss != whole.Loss {
			t.Errorf("stopped after %d: %+v, want the end of %+v", after, r, whole)
		}
		if !bytes.Equal(bits(got), bits(want)) {
			t.Errorf("stopped after %d epochs it ends with other weights", after)
		}
	}
}

func TestACheckpointOfAnotherFitIsLeftAlone(t *testing.T) {
	d := problem(60, 4)
	p := quick()
	p.Epochs = 2
	s := &shelf{}
	want, _ := fit(t, d, p, s)
	good := bytes.Clone(s.b)
	for name, spoil := range map[string]func(b []byte, d *lstm.Data, p *lstm.Params) []byte{
		"cut short":     func(b []byte, _ *lstm.Data, _ *lstm.Params) []byte { return b[:len(b)-9] },
		"a flipped bit": func(b []byte, _ *lstm.Data, _ *lstm.Params) []byte { b[100] ^= 1; return b },
		"nothing":       func([]byte, *lstm.Data, *lstm.Params) []byte { return nil },
		"other rows": func(b []byte, d *lstm.Data, _ *lstm.Params) []byte {
			d.Target[3]++
			return b
		},
		"other settings": func(b []byte, _ *lstm.Data, p *lstm.Params) []byte { p.Rate *= 2; return b },
	} {
		d, p := problem(60, 4), p
		s := &shelf{b: spoil(bytes.Clone(good), &d, &p)}
		if _, r := fit(t, d, p, s); r.Resumed != 0 {
			t.Errorf("%s: resumed after %d epochs", name, r.Resumed)
		}
	}
	if got, r := fit(t, d, p, &shelf{b: good}); r.Resumed != 2 || !bytes.Equal(bits(got), bits(want)) {
		t.Errorf("a finished fit is done again: %+v", r)
	}
}

type full struct{ shelf }

func (*full) Save(string, []byte) error { return errors.New("no space left on device") }

func TestTroubleIsNamed(t *testing.T) {
	ctx := context.Background()
	try := func(d lstm.Data, p lstm.Params, c lstm.Checkpoint) error {
		_, _, err := lstm.Fit(ctx, d, shape(), levels, p, c, nil)
		return err
	}
	if try(problem(20, 1), quick(), &full{}) == nil {
		t.Error("a checkpoint that could not be saved went unnoticed")
	}
	for name, spoil := range map[string]func(d *lstm.Data, p *lstm.Params){
		"no rows":       func(d *lstm.Data, _ *lstm.Params) { d.Fit = nil },
		"target NaN":    func(d *lstm.Data, _ *lstm.Params) { d.Target[2] = math.NaN() },
		"target Inf":    func(d *lstm.Data, _ *lstm.Params) { d.Target[len(d.Target)-1] = math.Inf(1) },
		"half a row":    func(d *lstm.Data, _ *lstm.Params) { d.Rows = d.Rows[1:] },
		"no epochs":     func(_ *lstm.Data, p *lstm.Params) { p.Epochs = 0 },
		"rate NaN":      func(_ *lstm.Data, p *lstm.Params) { p.Rate = math.NaN() },
		"all dropped":   func(_ *lstm.Data, p *lstm.Params) { p.Dropout = 1 },
		"no threads":    func(_ *lstm.Data, p *lstm.Params) { p.Threads = 0 },
		"no mini-batch": func(_ *lstm.Data, p *lstm.Params) { p.Origins = 0 },
	} {
		d, p := problem(20, 1), quick()
		spoil(&d, &p)
		if try(d, p, nil) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestHalfOfAllAreZero learns targets that are zero half of the time, which leave boosted trees with pinball loss stuck.
func TestHalfOfAllAreZero(t *testing.T) {
	d := problem(300, 5)
	for i := range d.Target {
		if d.Rows[i*width+2] < 3 {
			d.Target[i] = 0
		} else {
			d.Target[i] = 2 + 0.1*d.Target[i]
		}
	}
	p := quick()
	p.Epochs = 30
	n, _ := fit(t, d, p, nil)
	m := serve(t, n)
	out, off, size := make([]float64, 3), 0.0, 0.0
	for _, i := range d.Held {
		m.Predict(d.Rows[int(i)*width:(int(i)+1)*width], 1, out)
		off += math.Abs(out[1] - 1 - d.Target[i])
		size += math.Abs(d.Target[i])
	}
	if off > 0.2*size {
		t.Errorf("error %.0f %%", 100*off/size)
	}
}
