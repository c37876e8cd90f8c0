package feature

import (
	"fmt"
	"math"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// History is the energy of consecutive intervals of one point and register, in Wh. Interval i is
// [Start+i*Resolution, Start+(i+1)*Resolution). What is not known, or not to be learnt from, is NaN.
type History struct {
	Start      meter.Millis
	Resolution time.Duration
	Energy     []float64
	Zone       *time.Location // the zone people at the site live by; nil means UTC
	Site       *Site          // what surrounds the point; nil: nothing is known of it
}

// NewHistory lays intervals, in any order, on the grid from the first boundary at or before from up to to. Recovered
// intervals and those that were not measured or edited by a person become NaN: they are billed, not learnt from.
// Intervals outside [from, to) are ignored; one that starts off the grid is an error.
func NewHistory(intervals []interval.Interval, from, to meter.Millis, resolution time.Duration, zone *time.Location) (History, error) {
	h := History{Start: from.Floor(max(resolution, time.Millisecond)), Resolution: resolution, Zone: zone}
	if err := h.Check(); err != nil {
		return History{}, err
	}
	n := 0
	if to > h.Start {
		n = int((to.Sub(h.Start) + resolution - 1) / resolution)
	}
	h.Energy = make([]float64, n)
	for i := range h.Energy {
		h.Energy[i] = math.NaN()
	}
	for _, iv := range intervals {
		if iv.Start.Floor(resolution) != iv.Start {
			return History{}, fmt.Errorf("history: interval at %s: want a start on a boundary of %s", iv.Start, resolution)
		}
		if iv.Start < h.Start || iv.Start >= to {
			continue
		}
		if iv.Recovered || iv.Quality != meter.Measured && iv.Quality != meter.Edited {
			continue
		}
		h.Energy[iv.Start.Sub(h.Start)/resolution] = float64(iv.Energy)
	}
	return h, nil
}

// Check returns an error unless the resolution divides 24 hours and Start lies on its grid.
func (h History) Check() error {
	if h.Resolution < time.Minute || h.Resolution > time.Hour || time.Hour%h.Resolution != 0 {
		return fmt.Errorf("history: resolution %s: want 1 minute to 1 hour, dividing an hour", h.Resolution)
	}
	if h.Start.Floor(h.Resolution) != h.Start {
		return fmt.Errorf("history: start %s: want a boundary of %s", h.Start, h.Resolution)
	}
	return nil
}

// End returns the end of the last interval.
func (h History) End() meter.Millis { return h.Start.Add(time.Duration(len(h.Energy)) * h.Resolution) }

// Index returns the number of the interval that holds t. It may lie outside the history; in the zero History it is 0.
func (h History) Index(t meter.Millis) int {
	if h.Resolution <= 0 {
		return 0
	}
	return int(t.Sub(h.Start) / h.Resolution)
}

// At returns the energy of the interval that starts at t, in Wh, and NaN when it is not known.
func (h History) At(t meter.Millis) float64 {
	if i := h.Index(t); t >= h.Start && i < len(h.Energy) {
		return h.Energy[i]
	}
	return math.NaN()
}

// Since returns h without the intervals before t. Both share the energies.
func (h History) Since(t meter.Millis) History {
	if i := h.Index(t); t > h.Start && i > 0 {
		i = min(i, len(h.Energy))
		h.Start, h.Energy = h.Start.Add(time.Duration(i)*h.Resolution), h.Energy[i:]
	}
	return h
}

// Before returns h without the intervals that end after t. Both share the energies.
func (h History) Before(t meter.Millis) History {
	n := 0
	if t > h.Start {
		n = min(h.Index(t), len(h.Energy))
	}
	h.Energy = h.Energy[:n:n]
	return h
}
