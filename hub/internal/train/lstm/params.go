package lstm

import "fmt"

// Params are the settings of a fit.
type Params struct {
	Patch    int     // hours of the past that the encoder reads at a time
	Cells    int     // of the encoder's memory
	Hidden   int     // units in each of the decoder's two layers
	Epochs   int     // at most so many times through all rows; the rate falls to zero over them
	Patience int     // epochs without a gain on held-out rows after which it stops; 0 goes on to the end
	Origins  int     // in a mini-batch
	Rate     float64 // of learning, at its height
	Decay    float64 // share of the rate by which weights shrink at each step (Loshchilov and Hutter, 2019)
	Clip     float64 // the gradient is made no longer than this
	Dropout  float64 // share of the hidden units that each row does without while learning
	Seed     uint64
	Threads  int // how many shards are computed at a time; does not change the result
}

// Defaults returns settings of a usual size for such data. They were not searched for.
func Defaults() Params {
	return Params{Patch: 6, Cells: 32, Hidden: 64, Epochs: 16, Patience: 6, Origins: 64, Rate: 3e-3, Decay: 0.01, Clip: 1, Dropout: 0.1, Seed: 1, Threads: 1}
}

// Check returns an error that names the setting that makes no sense.
func (p Params) Check() error {
	for _, c := range []struct {
		name     string
		v        float64
		from, to float64
	}{
		{"patch", float64(p.Patch), 1, 48},
		{"cells", float64(p.Cells), 1, 64},
		{"hidden", float64(p.Hidden), 1, 128},
		{"epochs", float64(p.Epochs), 1, 1000},
		{"patience", float64(p.Patience), 0, 1000},
		{"origins", float64(p.Origins), 1, 4096},
		{"rate", p.Rate, 1e-8, 1},
		{"decay", p.Decay, 0, 1},
		{"clip", p.Clip, 1e-6, 1e6},
		{"dropout", p.Dropout, 0, 0.9},
		{"threads", float64(p.Threads), 1, 1024},
	} {
		if !(c.v >= c.from && c.v <= c.to) {
			return fmt.Errorf("lstm: %s %g: want %g to %g", c.name, c.v, c.from, c.to)
		}
	}
	return nil
}
