package model

import (
	"math"
	"testing"
)

func TestSmoothFunctionsAreAsNearAsTheySay(t *testing.T) {
	for x := -60.0; x < 60; x += 0.0137 {
		if got, want := exp(x), math.Exp(x); math.Abs(got/want-1) > 2e-11 {
			t.Fatalf("exp(%g) = %g, want %g", x, got, want)
		}
		f := float32(x)
		if got, want := float64(sigmoid(f)), 1/(1+math.Exp(-float64(f))); math.Abs(got-want) > 1e-7 {
			t.Fatalf("sigmoid(%g) = %g, want %g", x, got, want)
		}
		if got, want := float64(tanh(f)), math.Tanh(float64(f)); math.Abs(got-want) > 1e-7 {
			t.Fatalf("tanh(%g) = %g, want %g", x, got, want)
		}
		if got, want := squareplus(x), (x+math.Hypot(x, 2))/2; math.Abs(got-want) > 1e-11 || got <= 0 {
			t.Fatalf("squareplus(%g) = %g, want %g", x, got, want)
		}
	}
	if sigmoid(1e9) != 1 || sigmoid(-1e9) > 1e-30 || tanh(1e9) != 1 || tanh(-1e9) != -1 {
		t.Errorf("far out: %g %g %g %g", sigmoid(1e9), sigmoid(-1e9), tanh(1e9), tanh(-1e9))
	}
}

// TestSmoothFunctionsGiveTheSameBits holds sums over many values, found on amd64, against those of this machine.
func TestSmoothFunctionsGiveTheSameBits(t *testing.T) {
	e, s := uint64(0), uint64(0)
	for i := range 4000 {
		x := float64(i-2000) / 64
		e = e*31 + math.Float64bits(exp(x)) + math.Float64bits(squareplus(x))
		s = s*31 + uint64(math.Float32bits(sigmoid(float32(x)))) + uint64(math.Float32bits(tanh(float32(x))))
	}
	if e != wantExp || s != wantSigmoid {
		t.Errorf("got %#x and %#x, want %#x and %#x", e, s, uint64(wantExp), uint64(wantSigmoid))
	}
}

const (
	wantExp     = 0x21538e08d0dde622
	wantSigmoid = 0xfec09714bc7eb587
)
