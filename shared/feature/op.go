package feature

import "time"

// op is a feature, parsed.
type op struct {
	kind    kind
	stat    stat
	q       float64 // the level of the statistic quantile
	k       int     // a count of periods
	a, b    time.Duration
	measure measure // of the weather
	fact    string
}

// kind is what an op computes.
type kind uint8

const (
	lead kind = iota
	stepAhead

	// The energy before the origin that belongs to the target.
	dayLag
	weekLag
	dayStat
	weekStat
	change
	dayDrift
	weekDrift
	similar
	shift

	// The energy before the origin, the same for all its targets.
	window
	windowDrift
	windowStray
	level
	complete
	age
	past
	size
	fact

	// The target's calendar.
	hour
	quarter
	clockMinute
	weekday
	weekend
	yearday
	midYear
	halfSeason

	// The target's date among holidays; k days away from it.
	holidayOn
	holidayDay
	holidayWeek
	holidaysNear
	bridge
	free
	dayKind
	vacation
	vacationDay
	vacationWeek

	// The weather.
	weatherAt
	weatherMean
	weatherDay
	weatherWeek
	warmerDays
	warmerWeeks
	response
	forecastAge
)

// stat is a summary of several values.
type stat uint8

const (
	mean stat = iota
	std
	least
	most
	slope
	quantile
)

var statNames = [...]string{"mean", "std", "min", "max", "slope"}

// responseWeeks is how many weeks a response compares the temperature of the target with.
const responseWeeks = 4

const day = 24 * time.Hour

// similarBack is how many days back similar ones are looked for.
const similarBack = 28

// reach returns how far before the origin o may look.
func (o op) reach() time.Duration {
	switch o.kind {
	case dayLag, dayStat, weatherDay, warmerDays:
		return time.Duration(o.k)*day - o.a
	case weekLag, weekStat, weatherWeek, warmerWeeks:
		return time.Duration(o.k)*7*day - o.a
	case change:
		return time.Duration(o.k+1) * day
	case dayDrift:
		return time.Duration(o.k)*day + driftBack
	case weekDrift:
		return time.Duration(o.k)*7*day + driftBack
	case windowDrift, windowStray:
		return o.a + driftBack
	case response:
		return time.Duration(o.k+1) * 7 * day
	case similar:
		return similarBack * day
	case shift:
		return max(similarBack, 7*time.Duration(o.k)) * day
	case past:
		return time.Duration(o.k) * time.Hour
	case size:
		return ScaleWindow
	}
	return max(o.a, o.b)
}
