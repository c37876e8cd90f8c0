package feature

import (
	"math"
	"time"

	"fluxora.dev/shared/meter"
)

// driftWeeks is how many earlier weeks a drift is measured against. With them, the drift of a week looks back four.
const (
	driftWeeks = 3
	driftBack  = driftWeeks * 7 * 24 * time.Hour
)

// drift returns how far v, the energy of the interval that starts at t, lies above the mean of the same clock time in the
// weeks before it. It is NaN when v, or all of those, are not known.
func (b *Builder) drift(t meter.Millis, v float64) float64 {
	if v != v {
		return v
	}
	sum, n := 0.0, 0
	for k := 1; k <= driftWeeks; k++ {
		if u := b.value(b.clock.Back(t, 7*k)); u == u {
			sum += u
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return v - sum/float64(n)
}

// drifts returns the mean of the known drifts of the given length before the origin, and that of their sizes. Both are NaN
// when there are none.
func (b *Builder) drifts(length time.Duration) (drift, stray float64) {
	n := 0
	for t := b.origin.Add(-length); t < b.origin; t = t.Add(b.h.Resolution) {
		if d := b.drift(t, b.value(t)); d == d {
			drift += d
			stray += math.Abs(d)
			n++
		}
	}
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	return drift / float64(n), stray / float64(n)
}
