package feature

import (
	"math"
	"time"

	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

// target is what the features of one row share.
type target struct {
	start, end          meter.Millis
	ahead               time.Duration // from the origin to the end
	date                holiday.Date  // local
	firstDay, firstWeek int           // days back to the latest day, or week, that is not shorter than the lead
	calendar            calendar
}

// Row fills dst, of length Spec.Len, with the features of the interval that starts step-1 intervals after the origin.
func (b *Builder) Row(step int, dst []float32) {
	copy(dst, b.fixed)
	res := b.h.Resolution
	t := target{start: b.origin.Add(time.Duration(step-1) * res), ahead: time.Duration(step) * res}
	t.end = t.start.Add(res)
	t.firstDay, t.firstWeek = periods(t.ahead, 1), 7*periods(t.ahead, 7)
	t.calendar = b.clock.at(t.start)
	t.date = t.calendar.date
	for k := range b.days {
		b.days[k] = b.value(b.clock.Back(t.start, t.firstDay+k))
	}
	for k := range b.weeks {
		b.weeks[k] = b.value(b.clock.Back(t.start, t.firstWeek+7*k))
	}
	b.alikes = -1
	for c := range b.spec.ops {
		switch o := &b.spec.ops[c]; {
		case o.kind <= shift:
			dst[c] = b.ofEnergy(o, &t, step)
		case o.kind <= fact: // fixed
		case o.kind <= halfSeason:
			dst[c] = t.calendar.of(o.kind)
		case o.kind <= vacationWeek:
			dst[c] = b.ofDate(o, &t)
		default:
			if o.kind == response {
				dst[c] = scaled(b.perDegree[c]*b.warmer(t.start.Add(res/2), t.firstWeek, 7, responseWeeks), b.scale)
				continue
			}
			dst[c] = float32(b.ofWeather(o, &t))
			if dst[c] != dst[c] {
				dst[c] = Missing
			}
		}
	}
}

// ofEnergy returns a feature of the energy before the origin that belongs to the target.
func (b *Builder) ofEnergy(o *op, t *target, step int) float32 {
	v := math.NaN()
	switch o.kind {
	case lead:
		return float32(float64(t.ahead-b.h.Resolution) / float64(time.Hour))
	case stepAhead:
		return float32(step)
	case dayLag:
		if v = b.days[o.k-1]; o.a != 0 {
			v = b.value(b.clock.Back(t.start, t.firstDay+o.k-1).Add(o.a))
		}
	case weekLag:
		if v = b.weeks[o.k-1]; o.a != 0 {
			v = b.value(b.clock.Back(t.start, t.firstWeek+7*(o.k-1)).Add(o.a))
		}
	case change:
		v = b.days[0] - b.value(b.clock.Back(t.start, t.firstDay+o.k))
	case dayDrift:
		v = b.drift(b.clock.Back(t.start, t.firstDay+o.k-1), b.days[o.k-1])
	case weekDrift:
		v = b.drift(b.clock.Back(t.start, t.firstWeek+7*(o.k-1)), b.weeks[o.k-1])
	case dayStat:
		v = b.summary(b.days[:o.k], o, false)
	case weekStat:
		v = b.summary(b.weeks[:o.k], o, false)
	case similar:
		if b.alikes < 0 {
			b.findAlike(t)
		}
		v = b.summary(b.alike[:min(o.k, b.alikes)], o, false)
	case shift:
		if b.alikes < 0 {
			b.findAlike(t)
		}
		like, _ := meanOf(b.alike[:min(o.k, b.alikes)])
		week, _ := meanOf(b.weeks[:o.k])
		v = like - week
	}
	return scaled(v, b.scale)
}

// findAlike collects the energy of the target's clock time on the days of its kind, of the last 28 that are known.
func (b *Builder) findAlike(t *target) {
	b.alikes = 0
	kind := b.kindOf(t.date)
	for k := range similarBack {
		if back := t.firstDay + k; b.kindOf(t.date-holiday.Date(back)) == kind {
			if v := b.value(b.clock.Back(t.start, back)); v == v {
				b.alike[b.alikes] = v
				b.alikes++
			}
		}
	}
}

// of returns a feature of the calendar.
func (c calendar) of(k kind) float32 {
	switch k {
	case hour:
		return float32(c.minute / 60)
	case quarter:
		return float32(c.minute % 60 / 15)
	case clockMinute:
		return float32(c.minute)
	case weekday:
		return float32(c.weekday)
	case weekend:
		return float32(c.weekday / 5)
	case yearday:
		return float32(c.yearday)
	case midYear:
		return float32(season(c.yearday, 198))
	}
	return float32(season(c.yearday, 289))
}

// ofWeather returns a feature of the weather.
func (b *Builder) ofWeather(o *op, t *target) float64 {
	q := o.measure.quantity
	middle := t.start.Add(b.h.Resolution / 2)
	switch o.kind {
	case weatherAt:
		return o.measure.of(b.sky.at(q, middle))
	case weatherMean:
		return b.sky.mean(o.measure, t.end, o.a)
	case weatherDay:
		return b.sky.at(q, b.clock.Back(middle, t.firstDay+o.k-1))
	case weatherWeek:
		return b.sky.at(q, b.clock.Back(middle, t.firstWeek+7*(o.k-1)))
	case warmerDays:
		return b.warmer(middle, t.firstDay, 1, o.k)
	case warmerWeeks:
		return b.warmer(middle, t.firstWeek, 7, o.k)
	}
	return b.sky.age(middle)
}

// warmer returns how much warmer it is at t than it was on the mean at the same clock time, n times, every so many days.
func (b *Builder) warmer(t meter.Millis, first, every, n int) float64 {
	sum, known := 0.0, 0
	for k := range n {
		if v := b.sky.at(temperature, b.clock.Back(t, first+every*k)); v == v {
			sum += v
			known++
		}
	}
	if known == 0 {
		return math.NaN()
	}
	return b.sky.at(temperature, t) - sum/float64(known)
}
