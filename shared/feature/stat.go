package feature

import "math"

// scaled returns v/scale as a row holds it.
func scaled(v, scale float64) float32 {
	if v != v {
		return Missing
	}
	return float32(v / scale)
}

// meanOf returns the mean of the known values and how many there are. It is NaN when there are none.
func meanOf(values []float64) (float64, int) {
	sum, n := 0.0, 0
	for _, v := range values {
		if v == v {
			sum += v
			n++
		}
	}
	if n == 0 {
		return math.NaN(), 0
	}
	return sum / float64(n), n
}

// summary returns a statistic of the known values, NaN when there are too few: one, or two for the standard deviation.
func summary(values []float64, s stat) float64 {
	switch s {
	case mean:
		m, _ := meanOf(values)
		return m
	case std:
		m, n := meanOf(values)
		if n < 2 {
			return math.NaN()
		}
		sum := 0.0
		for _, v := range values {
			if v == v {
				d := v - m
				sum += float64(d * d) // the conversion forbids a fused multiply-add
			}
		}
		return math.Sqrt(sum / float64(n-1))
	}
	out := math.NaN()
	for _, v := range values {
		if v == v && (out != out || s == least && v < out || s == most && v > out) {
			out = v
		}
	}
	return out
}
