package watch

import (
	"fmt"
	"math"
	"time"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// Residual is what is watched of an error: how large it is beside the scale of a point, such as its mean. Twice it, so that
// most lie where a sketch is fine. The sign is left out: a warm month pulls all errors to one side and is no drift.
func Residual(actual, predicted, scale float64) float64 {
	return 2 * math.Abs(actual-predicted) / math.Max(scale, 1e-9)
}

// Day is how a model and the baseline did on one point in one day (UTC) of targets, over the very same intervals.
type Day struct {
	Start    meter.Millis
	Model    forecast.Score
	Baseline forecast.Score
}

// DayOf returns the start of the day that a target belongs to.
func DayOf(t meter.Millis) meter.Millis { return t.Floor(24 * time.Hour) }

// Merge adds what o counted, of another point or of other intervals of the day.
func (d *Day) Merge(o Day) {
	d.Model.Merge(o.Model)
	d.Baseline.Merge(o.Baseline)
}

// The rule of a model that fails: over the last weeks, a day counting half as much as one a week later.
const (
	halfLife  = 7   // days
	leastDays = 7   // with intervals, before a model is judged
	leastSeen = 100 // intervals
	failing   = 1.1 // times the baseline's error
)

// Live is how a model does lately beside the baseline.
type Live struct {
	Intervals int     // compared, of the days given
	Days      int     // with any
	Error     float64 // mean absolute error of the model and of the baseline, Wh, the later days weighing more
	Baseline  float64
	Mean      float64 // mean actual, Wh, so weighted
	Pinball   float64 // mean pinball loss of the model, Wh
	Coverage  float64 // share of actuals between the model's outer levels
}

// LiveOf returns how a model did until an instant, by its days. Their order does not matter; days at or after the instant
// are left out. What is not known is NaN.
func LiveOf(days []Day, until meter.Millis) Live {
	var l Live
	var n, baseline float64
	var model, naive, actual, pinball, covered float64
	for _, d := range days {
		if d.Model.Count == 0 || d.Start >= until {
			continue
		}
		age := float64(until.Sub(d.Start)) / float64(24*time.Hour*halfLife)
		w := math.Exp2(-age)
		l.Intervals += d.Model.Count
		l.Days++
		n += w * float64(d.Model.Count)
		baseline += w * float64(d.Baseline.Count)
		model += w * d.Model.AbsErr
		naive += w * d.Baseline.AbsErr
		actual += w * d.Model.Actual
		pinball += w * d.Model.Pinball
		covered += w * float64(d.Model.Covered)
	}
	l.Error, l.Mean, l.Pinball, l.Coverage = model/n, actual/n, pinball/n, covered/n
	l.Baseline = naive / baseline
	return l
}

// Skill returns by what share the model's error is below the baseline's: negative when it is above, NaN when nothing is
// known.
func (l Live) Skill() float64 {
	if l.Error == 0 && l.Baseline == 0 {
		return 0
	}
	return 1 - l.Error/l.Baseline
}

// Failing reports whether the model does clearly worse than the baseline, which costs nothing, and says so for people.
func (l Live) Failing() (string, bool) {
	if l.Days < leastDays || l.Intervals < leastSeen || !(l.Error > failing*l.Baseline) {
		return "", false
	}
	return fmt.Sprintf("its error over the last weeks is %.2f times that of the baseline (%.0f and %.0f Wh an interval, %d intervals of %d days)",
		l.Error/l.Baseline, l.Error, l.Baseline, l.Intervals, l.Days), true
}
