package anomaly

import (
	"fmt"
	"math"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Kind is how a finding was made.
type Kind string

// The kinds.
const (
	Shape    Kind = "shape"    // of a day, beside such days
	Forecast Kind = "forecast" // of hours, beside what was forecast
)

// Finding is something out of the ordinary.
type Finding struct {
	Kind   Kind
	Start  meter.Millis // of the hours that stand out
	End    meter.Millis
	Energy float64 // used in them, Wh
	Usual  float64 // what would have been usual, or what was forecast, Wh
	Score  float64 // how odd it is, 0 … 1; from about 0.6 on it is told
	Reason string  // for people
}

const (
	longest   = 180  // days that a forest is grown on at most
	leastDays = 42   // at least
	oddest    = 0.99 // share of the days before that must be less odd
	fewOdd    = 2    // but for so many: every past has its own
	mostDepth = 0.73 // of the usual one, at which random cuts leave the day alone: a score of 0.6
	leastOff  = 0.3  // of the mean use an hour, on average over the hours that stand out
	leastSum  = 1.5  // hours of mean use that they must make up together
)

// Judge tells whether the last of some consecutive days is out of the ordinary, by those before it. Of days that are not
// known well enough, or before which there are too few, it says nothing.
func Judge(days []Day) (Finding, bool) {
	if len(days) == 0 || days[len(days)-1].known() < leastHours {
		return Finding{}, false
	}
	days = days[max(0, len(days)-1-longest):]
	past := make([]shape, 0, len(days))
	usuals := make([]profile, len(days))
	last := len(days) - 1
	for i := range days {
		usuals[i] = usual(days[:i+1])
		if i < back/2 || i == last || !usuals[i].ok || days[i].known() < leastHours {
			continue
		}
		s, _ := shapeOf(&days[i], usuals[i].scaled(level(days[:i+1], usuals)))
		past = append(past, s)
	}
	if !usuals[last].ok || len(past) < leastDays-back/2 {
		return Finding{}, false
	}
	d, u := &days[last], usuals[last].scaled(level(days, usuals))
	s, off := shapeOf(d, u)
	f := grow(past, uint64(d.Date))
	depth := f.depth(&s)
	odder := 0
	for i := range past {
		if f.depth(&past[i]) <= depth {
			odder++
		}
	}
	if depth > mostDepth || float64(odder) > fewOdd+(1-oddest)*float64(len(past)) {
		return Finding{}, false
	}
	out, ok := standsOut(d, u, &off)
	out.Kind, out.Score = Shape, math.Exp2(-depth)
	return out, ok
}

// scaled returns p at another level.
func (p profile) scaled(by float64) *profile {
	for h := range p.use {
		p.use[h] *= by
	}
	return &p
}

// Last judges the last whole local day of a history.
func Last(h feature.History) (Finding, bool) { return Judge(Days(h)) }

// standsOut returns the hours in a row that depart most from what is usual, all to one side, and says how. ok is false when
// that is little.
func standsOut(d *Day, p *profile, off *[hours]float64) (Finding, bool) {
	most, from, to := longestRun(off, 1, leastOff/2)
	if under, start, end := longestRun(off, -1, leastOff/2); under > most {
		from, to = start, end
	}
	out := Finding{Start: d.at(from), End: d.at(to)}
	total := 0.0
	for h := from; h < to; h++ {
		if d.Use[h] == d.Use[h] && p.use[h] == p.use[h] {
			out.Energy += d.Use[h]
			out.Usual += p.use[h]
			total += off[h]
		}
	}
	if math.Abs(total) < leastSum || math.Abs(total) < leastOff*float64(to-from) {
		return out, false
	}
	out.Reason = reason(out.Energy, out.Usual, p.like, from, to, flat(d, from, to))
	return out, true
}

// at returns the instant at which a local hour of the day begins, near enough on the days that the clock changes.
func (d *Day) at(hour int) meter.Millis {
	if hour == hours {
		return d.End
	}
	return min(d.Start+meter.Millis(hour)*3_600_000, d.End)
}

// flat reports whether the use in some hours is the same in almost all of them.
func flat(d *Day, from, to int) bool {
	same := 0
	for h := from + 1; h < to; h++ {
		if d.Use[h] == d.Use[h-1] {
			same++
		}
	}
	return to-from >= 6 && same >= to-from-2
}

// reason says in words how the energy used in some hours departs from what is usual.
func reason(energy, usual float64, like string, from, to int, flat bool) string {
	when := fmt.Sprintf("%s %02d:00–%02d:00", like, from, to)
	part := fmt.Sprintf("%02d:00–%02d:00", from, to)
	if to-from == hours {
		when, part = like, "all day"
	}
	both := fmt.Sprintf("%s instead of %s", amount(energy), amount(usual))
	switch {
	case energy == 0:
		return fmt.Sprintf("used nothing, %s, where %s are usual on %s", part, amount(usual), like)
	case flat:
		return fmt.Sprintf("showed the same use hour after hour, %s: %s, which is not usual on %s", part, both, like)
	case energy > usual && energy > 20*usual:
		return fmt.Sprintf("used %s, %s, where next to nothing is usual on %s", amount(energy), part, like)
	case energy > usual:
		return fmt.Sprintf("used %.1f times what is usual on %s: %s", energy/usual, when, both)
	}
	return fmt.Sprintf("used %.0f %% of what is usual on %s: %s", 100*energy/usual, when, both)
}

// amount writes an energy for people.
func amount(wh float64) string {
	switch {
	case math.Abs(wh) >= 100_000:
		return fmt.Sprintf("%.0f kWh", wh/1000)
	case math.Abs(wh) >= 1000:
		return fmt.Sprintf("%.1f kWh", wh/1000)
	}
	return fmt.Sprintf("%.0f Wh", wh)
}
