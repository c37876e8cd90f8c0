package forecast

import (
	"time"

	"fluxora.dev/shared/meter"
)

// leaning follows on which side of a model's middle level a point has lain lately: cold days, a vacation that no calendar names
// and a machine that was moved stay for some days, and a model sees how the point drifts but not how it erred itself. Errors are
// counted in half-breadths of the served interval, so that a weekend is not moved by what working days strayed, and each as no
// more than half of one, so that one odd hour says little. The zero value leans nowhere.
type leaning struct {
	lately float64           // mean of all errors in which an hour counts half as much as one half a day later
	parts  [dayParts]float64 // the same by part of the local day, where two days make a half
}

const (
	dayParts    = 4
	leanLead    = 24 * time.Hour // of forecasts that count, as for restlessness
	leanMost    = 0.5            // half-breadths that an error counts at most
	latelyShare = 0.2            // of lately that is taken for granted for the day to come
	partShare   = 0.3            // of the part's own
	latelyFade  = 0.0561         // an hour: half in half a day
	partFade    = 0.0561         // an hour of the part, of which a day has six
)

// dayPart returns the part of the local day that an instant lies in; a zone of nil is UTC.
func dayPart(at meter.Millis, zone *time.Location) int {
	t := at.Time()
	if zone != nil {
		t = t.In(zone)
	}
	return t.Hour() * dayParts / 24
}

// shift returns by how many half-breadths the levels of an interval move.
func (l *leaning) shift(part int, lead time.Duration) float64 {
	s := float64(partShare * l.parts[part])
	if lead < leanLead {
		s += float64(latelyShare * l.lately)
	}
	return s
}

// observe takes an interval of so many hours whose actual lay off the model's middle level, half being the half-breadth of what
// was served.
func (l *leaning) observe(part int, off, half, hours float64) {
	if !(half > 0) {
		return
	}
	e := max(-leanMost, min(leanMost, off/half))
	l.lately += float64(min(1, latelyFade*hours) * (e - l.lately))
	l.parts[part] += float64(min(1, partFade*hours) * (e - l.parts[part]))
}
