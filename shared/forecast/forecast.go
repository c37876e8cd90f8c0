// Package forecast knows what a forecast is, how it is made from a history and a model, and how it is scored.
//
// Hub backtest and agent forecast both go through this package, so that one history gives identical bits in both.
package forecast

import (
	"errors"
	"fmt"
	"time"

	"fluxora.dev/shared/meter"
)

// ErrNoHistory says that a point has no history to forecast from; it is never papered over with made-up numbers.
var ErrNoHistory = errors.New("no history to forecast from")

// Rung says how good a model a forecast stands on. A lower rung is used only when every higher one failed.
type Rung string

// The rungs of the ladder, best first. There is none below Profile: without any history there is no forecast.
const (
	Active   Rung = "active"   // the active model of the registry
	Previous Rung = "previous" // the model that was active before
	Baseline Rung = "baseline" // seasonal naive from the point's own history
	Profile  Rung = "profile"  // the last known day, when the history is too short or too old for a baseline
)

// Rungs lists the ladder, best first.
func Rungs() []Rung { return []Rung{Active, Previous, Baseline, Profile} }

// DefaultLevels are the quantile levels that are forecast unless a site says otherwise.
func DefaultLevels() []float64 { return []float64{0.1, 0.5, 0.9} }

// Forecast is the energy of Steps() intervals from Origin on, by quantile level, in watt-hours per interval.
type Forecast struct {
	Point        string
	Register     meter.Register
	Origin       meter.Millis // the instant it is made from; nothing at or after it was used
	Resolution   time.Duration
	Levels       []float64 // ascending, in (0,1)
	Values       []float64 // steps × levels, row-major: Values[(step-1)*len(Levels)+i], Wh, finite, ≥ 0, ascending in a row
	Rung         Rung
	Model        string       // id of the model version; empty on the rungs baseline and profile
	Completeness float64      // share of the input history that was measured, 0…1
	Issued       meter.Millis // when it was computed

	// Stale is how long before the origin the newest known interval ended, on the rungs with a model. It travels nowhere:
	// completeness tells others that readings are missing.
	Stale time.Duration `json:",omitempty"`
}

// Steps returns the horizon, in intervals.
func (f Forecast) Steps() int {
	if len(f.Levels) == 0 {
		return 0
	}
	return len(f.Values) / len(f.Levels)
}

// Start returns the start of the target interval of step 1…Steps().
func (f Forecast) Start(step int) meter.Millis {
	return f.Origin.Add(time.Duration(step-1) * f.Resolution)
}

// At returns the value of step 1…Steps() at level number i.
func (f Forecast) At(step, i int) float64 { return f.Values[(step-1)*len(f.Levels)+i] }

// Level returns the number of the level nearest to q.
func (f Forecast) Level(q float64) int {
	best := 0
	for i, l := range f.Levels {
		if abs(l-q) < abs(f.Levels[best]-q) {
			best = i
		}
	}
	return best
}

// widen puts all levels so many times as far from the middle one.
func (f *Forecast) widen(factor float64) {
	if factor == 1 {
		return
	}
	l, middle := len(f.Levels), f.Level(0.5)
	for s := 0; s < len(f.Values); s += l {
		row := f.Values[s : s+l]
		centre := row[middle]
		for i, v := range row {
			row[i] = max(0, centre+float64((v-centre)*factor))
		}
	}
}

// Check returns an error that names what is wrong with f.
func (f Forecast) Check() error {
	if err := meter.CheckName("point", f.Point); err != nil {
		return fmt.Errorf("forecast: %w", err)
	}
	if f.Resolution < time.Minute || f.Resolution > 24*time.Hour {
		return fmt.Errorf("forecast: resolution %s: want 1 minute to 24 hours", f.Resolution)
	}
	if err := CheckLevels(f.Levels); err != nil {
		return fmt.Errorf("forecast: %w", err)
	}
	if len(f.Values) == 0 || len(f.Values)%len(f.Levels) != 0 {
		return fmt.Errorf("forecast: %d values for %d levels: want a whole number of steps", len(f.Values), len(f.Levels))
	}
	for i, v := range f.Values {
		if !(v >= 0 && v <= 1e15) {
			return fmt.Errorf("forecast: step %d level %g is %g Wh: want a finite number ≥ 0", i/len(f.Levels)+1, f.Levels[i%len(f.Levels)], v)
		}
		if i%len(f.Levels) > 0 && v < f.Values[i-1] {
			return fmt.Errorf("forecast: step %d: level %g lies below level %g", i/len(f.Levels)+1, f.Levels[i%len(f.Levels)], f.Levels[i%len(f.Levels)-1])
		}
	}
	switch f.Rung {
	case Active, Previous, Baseline, Profile:
	default:
		return fmt.Errorf("forecast: rung %q: want one of %v", f.Rung, Rungs())
	}
	return nil
}

// CheckLevels returns an error unless the levels ascend strictly within (0,1).
func CheckLevels(levels []float64) error {
	if len(levels) == 0 || len(levels) > 99 {
		return fmt.Errorf("%d levels: want 1 to 99", len(levels))
	}
	for i, l := range levels {
		if !(l > 0 && l < 1) || i > 0 && l <= levels[i-1] {
			return fmt.Errorf("levels %v: want ascending numbers between 0 and 1", levels)
		}
	}
	return nil
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}
