package interval

import (
	"fmt"
	"time"

	"fluxora.dev/shared/meter"
)

// Rebuild returns the intervals of samples, which must be in time order, from an empty state.
func Rebuild(samples []Sample, o Options) ([]Interval, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("rebuild intervals: %w", err)
	}
	var s State
	var out []Interval
	for _, n := range samples {
		if err := s.Add(n, o, func(i Interval) { out = append(out, i) }, nil); err != nil {
			return out, fmt.Errorf("rebuild intervals: %w", err)
		}
	}
	return out, nil
}

// RestartPoint serves a caller to whom a reading came late (or was corrected) at instant late. Of samples, which must be in
// time order and may hold the late one already, it finds the last that a fold with an empty state can start from, such
// that
//   - intervals that start before valid are as they were, whatever changed at or after late, and
//   - intervals that start at or after valid come out as from a fold since the beginning of all time.
//
// It returns ok false when there is no such sample: the caller must then offer earlier samples or, when there are none,
// fold from the first. The package comment has the argument.
func RestartPoint(samples []Sample, late meter.Millis, o Options) (index int, valid meter.Millis, ok bool) {
	f := fold{State: &State{}, o: o}
	var (
		prev      Sample
		run       int   // readings in the present run of believable rises
		second    int64 // value of the run's second reading
		clean     = -1  // a reading that a fold could start from, once its interval has closed
		cleanTime meter.Millis
	)
	for i, n := range samples {
		if n.At >= late {
			break
		}
		if n.unusable() || run > 0 && n.At == prev.At {
			continue
		}
		if run > 0 && f.steady(prev, n) {
			run++
		} else {
			run, clean = 1, -1
		}
		moved := n.Value > prev.Value
		prev = n
		if clean >= 0 && n.At >= cleanTime {
			index, valid, ok = clean, cleanTime, true
		}
		switch {
		case run == 2 && n.Kind == meter.Counter:
			second = n.Value
		case run >= 3 && n.Kind == meter.Counter && n.Value-second >= largestDip(n.Value) && moved:
			clean, cleanTime = i, ceil(n.At, o.Resolution)
		case run >= 2 && n.Kind != meter.Counter:
			clean, cleanTime = i, ceil(n.At, day)
		}
		if clean == i && cleanTime == n.At {
			index, valid, ok = i, n.At, true
		}
	}
	return index, valid, ok
}

// largestDip bounds how far the register can be above a counter that reads v.
func largestDip(v int64) int64 { return max(smallestDip, v/900) + 1 }

// steady reports whether n is a believable rise on prev, whatever came before.
func (f fold) steady(prev, n Sample) bool {
	if n.Kind == meter.Power {
		prev.Value, n.Value = max(0, prev.Value), max(0, n.Value)
	}
	if prev.Meter != n.Meter || prev.Kind != n.Kind {
		return false
	}
	f = fold{State: &State{last: prev, register: prev.Value}, o: f.o}
	if n.Kind == meter.Counter && n.Value < prev.Value {
		return false
	}
	if n.Kind == meter.Counter && f.o.MaxWatts == 0 && n.Value-prev.Value > f.mostEnergy(steadyWatts, prev.At, n.At)+smallestDip {
		return false
	}
	return f.believable(n)
}

func ceil(m meter.Millis, d time.Duration) meter.Millis {
	if r := m.Floor(d); r < m {
		return r.Add(d)
	}
	return m
}
