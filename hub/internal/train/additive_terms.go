package train

import (
	"math"
	"slices"
	"strings"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// The waves of an additive model: how many swings a day, a day of other kind, and a year are made of.
const (
	dayWaves  = 4
	kindWaves = 1
	yearWaves = 3

	yearday    = "yearday"            // the feature that yearly waves go by
	yearNeeded = 400 * 24 * time.Hour // of history, for a year to be told from a single winter
)

// termList collects the terms of an additive model.
type termList struct {
	inputs []model.Input
	rounds []model.Round
	terms  []model.Term
}

// addRound returns the number of a round made of a function of the day and the slot, or of the day of the year.
func (l *termList) addRound(over, size, slots int, value func(day, slot int) float64) int {
	r := model.Round{Over: over, Values: make([]float64, size)}
	for i := range r.Values {
		r.Values[i] = value(i/slots, i%slots)
	}
	l.rounds = append(l.rounds, r)
	return len(l.rounds) - 1
}

func (l *termList) add(part model.Part, input, round int) {
	l.terms = append(l.terms, model.Term{Part: part, Input: input, Round: round})
}

// wave returns the value of one wave of a Fourier series: sine and cosine of 1, 2, … swings in turn.
func wave(number, at, of int) float64 {
	angle := 2 * math.Pi * float64(number/2+1) * (float64(at) + 0.5) / float64(of)
	if number%2 == 0 {
		return math.Sin(angle)
	}
	return math.Cos(angle)
}

// prefixed reports whether a name begins with one of some words.
func prefixed(name string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return name == w || strings.HasPrefix(name, w+" ") })
}

// additiveTerms chooses the terms that the spec and some rows can give.
func additiveTerms(t *table, p Params, c model.Calendar, base []int, rows []int32) termList {
	var l termList
	slots := c.Slots()
	var daily []int
	for n := range 2 * dayWaves {
		daily = append(daily, l.addRound(model.OverDay, slots, slots, func(_, slot int) float64 { return wave(n, slot, slots) }))
		l.add(model.Daily, -1, daily[n])
	}
	var weekly []int
	for _, kind := range []int{0, 5, 6} { // Monday, Saturday, Sunday beside all others
		for n := -1; n < 2*kindWaves; n++ {
			weekly = append(weekly, l.addRound(model.OverWeek, 7*slots, slots, func(day, slot int) float64 {
				switch {
				case day != kind:
					return 0
				case n < 0:
					return 1
				}
				return wave(n, slot, slots)
			}))
			l.add(model.Weekly, -1, weekly[len(weekly)-1])
		}
	}
	if p.Spec.Column(yearday) >= 0 && t.to.Sub(t.from) >= yearNeeded {
		for n := range 2 * yearWaves {
			l.add(model.Yearly, -1, l.addRound(model.OverYear, 366, 1, func(day, _ int) float64 { return wave(n, day, 366) }))
		}
	}
	of := l.inputsOf(t, p.Spec, base, rows)
	for i, in := range l.inputs {
		name := p.Spec.Names()[in.Column]
		part := of[i]
		l.add(part, i, -1)
		switch {
		case part == model.Weekly: // the profile lacks the weeks: a week of all points in its place
			for _, r := range weekly {
				l.add(part, i, r)
			}
		case slices.Contains([]string{"holiday", "vacation", "bridge", "temperature", "warmer weeks 4", "response 4"}, name) && in.Reading == model.Plain:
			l.add(part, i, daily[0])
			l.add(part, i, daily[1])
		}
	}
	return l
}

// inputsOf chooses and scales the inputs, and returns the part that each belongs to.
func (l *termList) inputsOf(t *table, spec feature.Spec, base []int, rows []int32) []model.Part {
	partOf := map[int]model.Part{} // by column
	var inputs []model.Input
	for _, in := range inputsOf(t, spec, base, rows) {
		name := spec.Names()[in.Column]
		switch {
		case in.Reading == model.Absent && len(base) > 0 && in.Column == base[0]:
			partOf[in.Column] = model.Weekly
		case in.Reading == model.Absent:
			continue
		case slices.Contains(centreTerms, name) || prefixed(name, "level", "shift", "similar", "weeks mean", "days mean"):
			partOf[in.Column] = model.Trend
		case prefixed(name, "holiday", "holidays", "bridge", "vacation"):
			partOf[in.Column] = model.Holidays
		case prefixed(name, "temperature", "radiation", "warmer", "warm", "cold", "response"):
			partOf[in.Column] = model.Weather
		default:
			continue
		}
		inputs = append(inputs, in)
	}
	l.inputs = inputs
	var out []model.Part
	for _, in := range inputs {
		part := partOf[in.Column]
		if len(base) > 0 && in.Column == base[0] {
			part = model.Trend
			if in.Reading == model.Absent {
				part = model.Weekly
			}
		}
		out = append(out, part)
	}
	return out
}

// withYear returns a spec with the day of the year, for the yearly waves of an additive model.
func withYear(spec feature.Spec) feature.Spec {
	if spec.Column(yearday) >= 0 {
		return spec
	}
	wide, err := feature.ParseSpec(strings.TrimSuffix(spec.String(), "\n") + "\n" + yearday + "\n")
	if err != nil {
		return spec // too many features: there will be no yearly part
	}
	return wide
}
