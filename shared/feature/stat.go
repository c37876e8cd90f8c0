package feature

import (
	"math"
	"slices"
)

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

// summary returns a statistic of the known values, NaN when there are too few: one, or two for the standard deviation and
// the slope. forward says that values stand in order of time; else the latest comes first. The slope is per day for windows
// and per period for days and weeks: of the line of least squares.
func (b *Builder) summary(values []float64, o *op, forward bool) float64 {
	switch o.stat {
	case mean:
		m, _ := meanOf(values)
		return m
	case std:
		return deviation(values)
	case slope:
		if forward {
			return slopeOf(values) * float64(day/b.h.Resolution)
		}
		return -slopeOf(values)
	case quantile:
		return b.quantile(values, o.q)
	}
	out := math.NaN()
	for _, v := range values {
		if v == v && (out != out || o.stat == least && v < out || o.stat == most && v > out) {
			out = v
		}
	}
	return out
}

// deviation returns the standard deviation of the known values.
func deviation(values []float64) float64 {
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

// slopeOf returns how much the known values grow from one place to the next.
func slopeOf(values []float64) float64 {
	m, n := meanOf(values)
	if n < 2 {
		return math.NaN()
	}
	places := 0
	for i, v := range values {
		if v == v {
			places += i
		}
	}
	middle := float64(places) / float64(n)
	rise, run := 0.0, 0.0
	for i, v := range values {
		if v == v {
			x := float64(i) - middle
			rise += float64(x * (v - m))
			run += float64(x * x)
		}
	}
	return rise / run
}

// quantile returns a quantile of the known values, interpolated between the two nearest.
func (b *Builder) quantile(values []float64, q float64) float64 {
	b.sorted = b.sorted[:0]
	for _, v := range values {
		if v == v {
			b.sorted = append(b.sorted, v)
		}
	}
	if len(b.sorted) == 0 {
		return math.NaN()
	}
	slices.Sort(b.sorted)
	at := float64(q * float64(len(b.sorted)-1))
	i := min(int(at), len(b.sorted)-1)
	j := min(i+1, len(b.sorted)-1)
	return b.sorted[i] + float64((at-float64(i))*(b.sorted[j]-b.sorted[i]))
}

// log2 returns the binary logarithm of v > 0, straight between powers of two: near enough for a size, and the same bits
// everywhere.
func log2(v float64) float64 {
	f, e := math.Frexp(v)
	return float64(e-2) + float64(2*f)
}

func first(v float64, _ int) float64 { return v }
