package anomaly

import (
	"math"
	"slices"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

const hours = 24

// Day is the use of energy in one local day.
type Day struct {
	Start, End meter.Millis
	Date       holiday.Date
	Kind       int            // as feature.KindOf has it: holidays are Sundays
	Use        [hours]float64 // by local hour, Wh; NaN where less than half is known
}

// Days parts a history into whole local days. An hour that the clock skips is not known; one that it shows twice is the mean.
func Days(h feature.History) []Day {
	if h.Check() != nil {
		return nil
	}
	var calendar *holiday.Calendar
	if h.Site != nil && h.Site.Country != "" {
		calendar, _ = holiday.Of(h.Site.Country) // one that is not known has no holidays
	}
	clock := feature.NewClock(h.Zone)
	perHour := int(time.Hour / h.Resolution)
	var out []Day
	var sums, counts [hours]float64
	flush := func(end meter.Millis) {
		if len(out) == 0 {
			return
		}
		d := &out[len(out)-1]
		d.End = end
		for i := range d.Use {
			d.Use[i] = math.NaN()
			if 2*counts[i] >= float64(perHour) {
				d.Use[i] = sums[i] / counts[i] * float64(perHour)
			}
		}
		sums, counts = [hours]float64{}, [hours]float64{}
	}
	for i, v := range h.Energy {
		t := h.Start.Add(time.Duration(i) * h.Resolution)
		local := time.UnixMilli(int64(t) + clock.Offset(t)).UTC()
		if date := holiday.On(local.Date()); len(out) == 0 || out[len(out)-1].Date != date {
			flush(t)
			out = append(out, Day{Start: t, Date: date, Kind: feature.KindOf(h.Site, calendar, date)})
		}
		if v == v {
			sums[local.Hour()] += v
			counts[local.Hour()]++
		}
	}
	flush(h.End())
	// The first and the last day of a history may be cut off; the shortest whole one has lost an hour or so to the clock.
	return slices.DeleteFunc(out, func(d Day) bool { return d.End.Sub(d.Start) < 22*time.Hour })
}

// known returns how many hours of the day are.
func (d *Day) known() int {
	n := 0
	for _, v := range d.Use {
		if v == v {
			n++
		}
	}
	return n
}

const (
	back       = 56 // days that are looked at for what is usual
	leastLike  = 3  // such days, or others must do
	leastHours = 18 // known, or a day is not judged
)

// profile is what is ordinary on days like one: use by hour, and how far such days stray from it.
type profile struct {
	use, stray [hours]float64 // Wh; NaN where nothing is known
	like       string         // in words
	ok         bool           // there were enough such days
}

// usual returns what is ordinary on days like the last one, from those before it: the medians of the same weekdays, or else
// of all days of its kind.
func usual(days []Day) (out profile) {
	d := &days[len(days)-1]
	same := make([]*Day, 0, back)
	kind := make([]*Day, 0, back)
	for i := len(days) - 2; i >= 0 && d.Date-days[i].Date <= back; i-- {
		if o := &days[i]; o.Kind == d.Kind && o.known() >= leastHours {
			kind = append(kind, o)
			if o.Date.Weekday() == d.Date.Weekday() {
				same = append(same, o)
			}
		}
	}
	of := same
	out.like = weekdays[d.Date.Weekday()]
	if d.Kind == sunday && d.Date.Weekday() != 6 || len(same) < leastLike {
		of, out.like = kind, kinds[d.Kind]
	}
	if len(of) < leastLike {
		return out
	}
	values := make([]float64, 0, back)
	gather := func(from []*Day, h int) {
		values = values[:0]
		for _, o := range from {
			if v := o.Use[h]; v == v {
				values = append(values, v)
			}
		}
	}
	for h := range out.use {
		gather(of, h)
		out.use[h] = median(values)
		gather(kind, h) // more days say better how far they stray
		middle := median(values)
		for i, v := range values {
			values[i] = math.Abs(v - middle)
		}
		out.stray[h] = median(values)
	}
	out.ok = true
	return out
}

const sunday = 2 // the kind of Sundays and holidays

var (
	weekdays = [...]string{"Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"}
	kinds    = [...]string{"working days", "Saturdays", "Sundays and holidays", "days of vacations"}
)

// median returns the middle of some values, which it sorts, and NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// The traits of a day. They are few, and each but the first and the last is large on days that are odd in many ways: random
// cuts find a day by each.
const (
	traitTotal = iota // use over the day, by how much it is off
	traitMiss         // mean size of what is off, hour by hour
	traitOver         // what is used too much in the hours in a row where it is most, in hours of mean use
	traitUnder        // too little
	traitHigh         // how far in strays the hours in a row lie above what is usual that do so most
	traitLow          // below
	traitJump         // the largest change from hour to hour, by how much it is off
	traitFlat         // longest run of hours with the very same use, as a share of the day
	traits
)

// shapeOf returns the traits of a day beside what is usual, in means of what is usual, and its departures by hour.
func shapeOf(d *Day, p *profile) (s shape, off [hours]float64) {
	usual := &p.use
	var far [hours]float64
	mean, n := 0.0, 0.0
	for h, u := range usual {
		if u == u && d.Use[h] == d.Use[h] {
			mean += u
			n++
		}
	}
	n = max(1, n)
	mean = max(mean/n, 1)
	jump, jumpUsual, run := 0.0, 0.0, 0.0
	last, lastUsual := math.NaN(), math.NaN()
	for h, v := range d.Use {
		u := usual[h]
		if v != v || u != u {
			run, last, lastUsual = 0, math.NaN(), math.NaN()
			continue
		}
		off[h] = (v - u) / mean
		far[h] = max(-farthest, min(farthest, off[h]/max(leastStray, p.stray[h]/mean)))
		s[traitTotal] += off[h] / n
		s[traitMiss] += math.Abs(off[h]) / n
		if v != last {
			run = 0
		}
		run++
		s[traitFlat] = max(s[traitFlat], run/hours)
		if last == last {
			jump, jumpUsual = max(jump, math.Abs(v-last)), max(jumpUsual, math.Abs(u-lastUsual))
		}
		last, lastUsual = v, u
	}
	s[traitJump] = (jump - jumpUsual) / mean
	s[traitOver], _, _ = longestRun(&off, 1, leastOff/2)
	s[traitUnder], _, _ = longestRun(&off, -1, leastOff/2)
	s[traitHigh], _, _ = longestRun(&far, 1, 3)
	s[traitLow], _, _ = longestRun(&far, -1, 3)
	return s, off
}

// longestRun returns the hours in a row that depart most to one side, and by how much they do beyond what each may.
func longestRun(off *[hours]float64, side, beyond float64) (most float64, from, to int) {
	start, sum := 0, 0.0
	for h := range off {
		if v := float64(side*off[h]) - beyond; sum+v > 0 {
			if sum += v; sum > most {
				most, from, to = sum, start, h+1
			}
			continue
		}
		start, sum = h+1, 0
	}
	return most, from, to
}

// level returns by how much the days before the last one were above what is usual: the middle of the last few. A cold spell
// is nothing odd once it has begun.
func level(days []Day, usuals []profile) float64 {
	var ratios []float64
	for i := len(days) - 2; i >= 0 && len(ratios) < levelDays; i-- {
		energy, was := 0.0, 0.0
		for h, v := range days[i].Use {
			if u := usuals[i].use[h]; v == v && u == u {
				energy, was = energy+v, was+u
			}
		}
		if was > 0 {
			ratios = append(ratios, energy/was)
		}
	}
	if len(ratios) == 0 {
		return 1
	}
	return max(0.5, min(2, median(ratios)))
}

const (
	levelDays  = 3
	leastStray = 0.05 // of the mean use an hour
	farthest   = 15   // strays; hours that lie further do no more
)
