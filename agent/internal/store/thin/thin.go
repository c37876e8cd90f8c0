// Package thin knows which readings of a counter can be spared without changing the energy of any interval.
//
// It must not know where readings are kept, nor when there is a need to spare any: package store asks it.
//
// # The rule
//
// Package interval makes an interval's energy the difference of what the register shows at its two ends, and the register
// is linear between two readings. So around every boundary the last reading before it and the first one at or after it must
// stay, which are the first and the last of each interval, and with them every boundary value is what it was. Readings
// between them are only passed on the way, unless they decide something. So these stay too:
//
//   - a reading of another quality than measured, with its neighbours, since quality goes into the interval;
//   - a reading lower than the highest before it, or at an instant that was there before, with its neighbours, since the
//     fold then looks at what comes before and after;
//   - a rise that is faster than the point can carry (100 kW where that is unknown), with its neighbours;
//   - the first and the last readings given, as what lies beyond is not known.
//
// What is left is folded as a check: unless it gives the same intervals and events as all of the readings, all stay.
package thin

import (
	"slices"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// near is how many readings stay on each side of one that the fold may stop at, and at both ends. Three readings that rise
// make the fold forget what was before.
const near = 3

// Spare reports for each reading of a counter, given in the order of their instants, whether it must stay; nil means all
// must.
func Spare(of meter.Series, rs []meter.Reading, o interval.Options) (stay []bool) {
	if of.Kind != meter.Counter || o.Check() != nil || len(rs) <= 2*near {
		return nil
	}
	stay = make([]bool, len(rs))
	keep := func(i, around int) {
		for j := max(i-around, 0); j <= min(i+around, len(rs)-1); j++ {
			stay[j] = true
		}
	}
	carries := o.MaxWatts
	if carries == 0 {
		carries = 100_000 // above it the fold asks whether a counter is on its way back from a reset
	}
	keep(0, near-1)
	keep(len(rs)-1, near-1)
	highest := rs[0].Value
	for i := 1; i < len(rs); i++ {
		before, r := rs[i-1], rs[i]
		if before.At.Floor(o.Resolution) != r.At.Floor(o.Resolution) || r.At.Floor(o.Resolution) == r.At {
			stay[i-1], stay[i] = true, true
		}
		fast := float64(r.Value-before.Value) > carries*float64(r.At-before.At)/3600
		if r.Value < highest || r.At == before.At || r.Quality != meter.Measured || before.Quality != meter.Measured || fast {
			keep(i, near)
		}
		highest = max(highest, r.Value)
		if highest-r.Value > highest/1000 && highest-r.Value > 1_000_000 {
			highest = r.Value // deeper than a dip: a new run, which is judged by itself
		}
	}
	if !same(of, rs, stay, o) {
		return nil
	}
	return stay
}

// told is what a fold says.
type told struct {
	intervals []interval.Interval
	events    []interval.Event
	open      interval.State
}

// same reports whether the readings that stay give the intervals, events and register that all of them give.
func same(of meter.Series, rs []meter.Reading, stay []bool, o interval.Options) bool {
	fold := func(want func(i int) bool) (x told, err error) {
		for i, r := range rs {
			if !want(i) {
				continue
			}
			s := interval.Sample{At: r.At, Value: r.Value, Quality: r.Quality, Kind: of.Kind, Modulus: of.Modulus, Meter: uint32(r.Series)}
			err = x.open.Add(s, o, func(i interval.Interval) { x.intervals = append(x.intervals, i) }, func(e interval.Event) {
				x.events = append(x.events, e)
			})
			if err != nil {
				return x, err
			}
		}
		return x, nil
	}
	all, err := fold(func(int) bool { return true })
	if err != nil {
		return false
	}
	left, err := fold(func(i int) bool { return stay[i] })
	if err != nil || all.open != left.open || !slices.Equal(all.intervals, left.intervals) {
		return false
	}
	return slices.EqualFunc(all.events, left.events, func(a, b interval.Event) bool { return a.Kind == b.Kind && a.At == b.At && a.Energy == b.Energy })
}
