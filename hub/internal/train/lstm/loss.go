package lstm

import (
	"math"

	"fluxora.dev/shared/model"
)

// smoothing is how far from a quantile, in spreads, the pinball loss is rounded off, so that it has a slope everywhere.
const smoothing = 0.02

// pinball returns the loss of a quantile at a level, rounded off near zero, and its slope by the quantile.
func pinball(level, value, actual float64) (loss, slope float64) {
	e, w := actual-value, level
	if e < 0 {
		w = 1 - level
	}
	if a := math.Abs(e); a >= smoothing {
		return w * (a - smoothing/2), -math.Copysign(w, e)
	}
	return w * e * e / (2 * smoothing), -w * e / smoothing
}

// losses returns the loss of a row, the mean over its levels, and overwrites the network's outputs with the slopes by
// them. unit are the steps of a fan that is not calibrated; scratch has twice the length of out.
func losses(out, levels, unit []float64, middle int, actual float64, scratch []float64) float64 {
	n := len(levels)
	quantiles, slopes := scratch[:n], scratch[n:2*n]
	copy(quantiles, out)
	model.Fan(quantiles, middle, unit)
	sum := 0.0
	for i, l := range levels {
		loss, slope := pinball(l, quantiles[i], actual)
		sum += loss / float64(n)
		slopes[i] = slope / float64(n)
	}
	// An output away from the middle moves its own level and all beyond it; that of the middle moves all.
	beyond := 0.0
	for i := n - 1; i > middle; i-- {
		beyond += slopes[i]
		out[i] = beyond * squareplusSlope(out[i])
	}
	below := 0.0
	for i := range middle {
		below += slopes[i]
		out[i] = -below * squareplusSlope(out[i])
	}
	out[middle] = below + slopes[middle] + beyond
	return sum
}

// squareplusSlope returns the slope of (x+√(x²+4))/2.
func squareplusSlope(x float64) float64 { return (1 + x/math.Sqrt(x*x+4)) / 2 }
