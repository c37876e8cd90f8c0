package forecast

import (
	"math"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// fourWeekMean is the mean of the same local time one to four known weeks before.
func fourWeekMean(p *past, origin, t meter.Millis) float64 {
	sum, n := 0.0, 0
	first := p.weeks(origin, t)
	for k := range 4 {
		if v := p.at(origin, p.clock.Back(t, 7*(first+k))); v == v {
			sum += v
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

// weekBefore is the last known week at the same local time.
func weekBefore(p *past, origin, t meter.Millis) float64 {
	first := p.weeks(origin, t)
	for k := range 4 {
		if v := p.at(origin, p.clock.Back(t, 7*(first+k))); v == v {
			return v
		}
	}
	return math.NaN()
}

// similarDays is the mean of the same local time on the last four days of the target's kind among four weeks, and where
// there is none, the last known day's.
func similarDays(p *past, origin, t meter.Millis) float64 {
	kind := p.kind(t)
	sum, n := 0.0, 0
	first := p.days(origin, t)
	for d := first; d < first+28 && n < 4; d++ {
		at := p.clock.Back(t, d)
		if p.kind(at) != kind {
			continue
		}
		if v := p.at(origin, at); v == v {
			sum += v
			n++
		}
	}
	if n == 0 {
		return lastKnown(p, origin, t)
	}
	return sum / float64(n)
}

// kind returns the kind of the day that t lies in: working day, Saturday, Sunday or holiday, vacation.
func (p *past) kind(t meter.Millis) int { return feature.KindOf(p.h.Site, p.holidays, p.clock.Date(t)) }

// days returns the smallest number of days that leads from t back to an interval that is over at the origin.
func (p *past) days(origin, t meter.Millis) int {
	return int((t.Sub(origin)+p.h.Resolution-1)/(24*time.Hour)) + 1
}
