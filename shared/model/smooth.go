package model

import "math"

// The smooth functions below give the same bits on every architecture: those of package math are written in assembly on
// some and fuse products on others. Only additions, unfused products, divisions, square roots and whole powers of two are
// used, all of which IEEE 754 fixes to the last bit.

// The parts of ln 2: the first has zeros at its end, so that small whole multiples of it are exact.
const (
	ln2High = 6.93147180369123816490e-01
	ln2Low  = 1.90821492927058770002e-10
)

// maxExp bounds the argument of exp: beyond, the sigmoid is 0 or 1 to the last bit of a float32.
const maxExp = 100

// taylor holds 1/n!, the highest first.
var taylor = [...]float64{1. / 362880, 1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1}

// exp returns e to the x, to a relative error below 2e-11; x counts as ±100 beyond. It takes out the nearest whole power
// of two, which leaves at most 0.35 for a Taylor series of degree nine.
func exp(x float64) float64 {
	x = max(-maxExp, min(maxExp, x))
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	r := (x - float64(k*ln2High)) - float64(k*ln2Low)
	p := 0.0
	for _, c := range taylor {
		p = c + float64(p*r) // the conversion forbids a fused multiply-add
	}
	return p * math.Float64frombits(uint64(int64(k)+1023)<<52)
}

// sigmoid returns 1/(1+e^-x), to an absolute error below 1e-7: it is rounded to a float32.
func sigmoid(x float32) float32 { return float32(1 / (1 + exp(-float64(x)))) }

// tanh returns the hyperbolic tangent, to an absolute error below 1e-7.
func tanh(x float32) float32 {
	e := exp(float64(2 * x))
	return float32((e - 1) / (e + 1))
}

// squareplus returns a positive number near max(0,x), smooth as softplus is and free of logarithms: (x+√(x²+4))/2
// (Barron, Squareplus: a softplus-like algebraic rectifier, 2021).
func squareplus(x float64) float64 {
	if x < 0 { // the same without cancelling
		return 2 / (math.Sqrt(float64(x*x)+4) - x)
	}
	return (x + math.Sqrt(float64(x*x)+4)) / 2
}
