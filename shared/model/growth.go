package model

import (
	"fmt"
	"time"
)

// Growth says by what factors intervals must be wider where a forecast had to be made without the newest readings, at the ages
// that GrowthAges lists. It is learnt from held-out origins whose newest readings are hidden.
type Growth []float64

// GrowthAges lists the ages of the newest reading that growth is measured at, ascending.
func GrowthAges() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{day, 3 * day, 7 * day}
}

// mostGrowth is the most that intervals grow.
const mostGrowth = 10.0

// At returns the factor at an age: along straight lines between the ages measured, from 1 on, and beyond the last one on the
// same line, up to 10.
func (g Growth) At(age time.Duration) float64 {
	if len(g) == 0 || age <= 0 {
		return 1
	}
	from, at := time.Duration(0), 1.0
	var slope float64 // an hour
	for i, to := range GrowthAges() {
		slope = (g[i] - at) / (to - from).Hours()
		if age <= to {
			break
		}
		if i < len(g)-1 {
			from, at = to, g[i]
		}
	}
	return min(mostGrowth, at+float64(slope*(age-from).Hours()))
}

// check returns an error unless factors are given for every age, or for none, and none falls with age.
func (g Growth) check() error {
	if len(g) != 0 && len(g) != len(GrowthAges()) {
		return fmt.Errorf("growth: %d factors for %d ages", len(g), len(GrowthAges()))
	}
	last := 1.0
	for _, f := range g {
		if !(f >= last && f <= mostGrowth) {
			return fmt.Errorf("growth %v: want factors from 1 to %g that do not fall", []float64(g), mostGrowth)
		}
		last = f
	}
	return nil
}
