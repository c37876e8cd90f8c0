package feature

import (
	"fmt"
	"time"
)

// Description says what one feature of a spec is.
type Description struct {
	Name    string        `json:"name"`    // as the spec has it
	Meaning string        `json:"meaning"` // a phrase
	Unit    string        `json:"unit"`    // scale: the mean energy of the point over the last four weeks
	Reach   time.Duration `json:"-"`       // how far before the origin it looks at most
}

// Units of features.
const (
	unitScale = "scale"
	unitHours = "h"
	unitFlag  = "0 or 1"
	unitCount = "count"
	unitDegC  = "°C"
	unitLight = "W/m²"
)

// Describe says what each feature is, in order.
func (s Spec) Describe() []Description {
	out := make([]Description, len(s.ops))
	for i, o := range s.ops {
		meaning, unit := o.describe()
		out[i] = Description{Name: s.names[i], Meaning: meaning, Unit: unit, Reach: o.reach()}
	}
	return out
}

// describe returns what o means and its unit.
func (o op) describe() (meaning, unit string) {
	if o.kind >= hour && o.kind <= vacationWeek {
		return o.describeDate()
	}
	if o.kind >= weatherAt {
		return o.describeWeather()
	}
	switch o.kind {
	case lead:
		return "time from the origin to the start of the target", unitHours
	case stepAhead:
		return "number of the target interval, from 1", unitCount
	case dayLag:
		return fmt.Sprintf("energy %s before the target at the same clock time%s", known(o.k, "day"), o.offset()), unitScale
	case weekLag:
		return fmt.Sprintf("energy %s before the target at the same clock time%s", known(o.k, "week"), o.offset()), unitScale
	case dayStat:
		return fmt.Sprintf("%s of the same clock time over %s", o.statistic(), known(o.k, "day")), unitScale
	case weekStat:
		return fmt.Sprintf("%s of the same clock time over %s", o.statistic(), known(o.k, "week")), unitScale
	case similar:
		return fmt.Sprintf("%s of the same clock time over the last %s of the target's kind", o.statistic(), plural(o.k, "day")), unitScale
	case shift:
		return fmt.Sprintf("mean of the last %s of the target's kind minus the mean of %s", plural(o.k, "day"), known(o.k, "week")), unitScale
	case change:
		return fmt.Sprintf("the last known day minus the value %s before it", plural(o.k, "day")), unitScale
	case dayDrift:
		return fmt.Sprintf("energy %s before the target minus its mean over the three weeks before", known(o.k, "day")), unitScale
	case weekDrift:
		return fmt.Sprintf("energy %s before the target minus its mean over the three weeks before", known(o.k, "week")), unitScale
	case window:
		return fmt.Sprintf("%s over %s before the origin", o.statistic(), hours(o.a)), unitScale
	case windowDrift:
		return fmt.Sprintf("mean distance from the three weeks before, over %s before the origin", hours(o.a)), unitScale
	case windowStray:
		return fmt.Sprintf("mean size of the distance from the three weeks before, over %s before the origin", hours(o.a)), unitScale
	case level:
		return fmt.Sprintf("mean over %s minus mean over %s before the origin", hours(o.a), hours(o.b)), unitScale
	case complete:
		return fmt.Sprintf("share of %s before the origin that is known", hours(o.a)), "0 to 1"
	case age:
		return fmt.Sprintf("time from the first known value to the origin, %s at most", hours(o.a)), unitHours
	case past:
		return fmt.Sprintf("mean over hour %d before the origin", o.k), unitScale
	case size:
		return "binary logarithm of the scale, straight between powers of two", "log2 W"
	}
	return "what is known of the site as " + o.fact, "as given"
}

func (o op) describeDate() (meaning, unit string) {
	switch o.kind {
	case hour:
		return "hour of the target's clock, 0 to 23", unitHours
	case quarter:
		return "quarter of the hour, 0 to 3", unitCount
	case clockMinute:
		return "minute of the target's day", "min"
	case weekday:
		return "weekday of the target, Monday 0 to Sunday 6", unitCount
	case weekend:
		return "is the target on a Saturday or Sunday?", unitFlag
	case yearday:
		return "day of the year, 1 to 366", "d"
	case midYear:
		return "distance from mid July", "d"
	case halfSeason:
		return "distance from mid October", "d"
	case holidayOn:
		return "is the " + map[int]string{-1: "date before the target", 0: "target's date", 1: "date after the target"}[o.k] + " a holiday?", unitFlag
	case holidayDay:
		return fmt.Sprintf("was the date %s before the target a holiday?", known(o.k, "day")), unitFlag
	case holidayWeek:
		return fmt.Sprintf("was the date %s before the target a holiday?", known(o.k, "week")), unitFlag
	case holidaysNear:
		return fmt.Sprintf("holidays within %s of the target's date", plural(o.k, "day")), unitCount
	case bridge:
		return "is the target on a working day between two free ones?", unitFlag
	case free:
		return "is the target on a holiday, Saturday or Sunday?", unitFlag
	case dayKind:
		return "0 working day, 1 Saturday, 2 Sunday or holiday, 3 working day in a vacation", unitCount
	case vacation:
		return "is the target in a vacation?", unitFlag
	case vacationDay:
		return fmt.Sprintf("was the date %s before the target in a vacation?", known(o.k, "day")), unitFlag
	}
	return fmt.Sprintf("was the date %s before the target in a vacation?", known(o.k, "week")), unitFlag
}

func (o op) describeWeather() (meaning, unit string) {
	unit, what := unitDegC, "temperature"
	switch {
	case o.measure.quantity == radiation:
		unit, what = unitLight, "global horizontal irradiance"
	case o.measure.side < 0:
		what = fmt.Sprintf("how far the temperature lies below %g °C", o.measure.base)
	case o.measure.side > 0:
		what = fmt.Sprintf("how far the temperature lies above %g °C", o.measure.base)
	}
	switch o.kind {
	case weatherAt:
		return what + " at the target", unit
	case weatherMean:
		return fmt.Sprintf("%s, mean over %s up to the end of the target", what, hours(o.a)), unit
	case weatherDay:
		return fmt.Sprintf("%s %s before the target", what, known(o.k, "day")), unit
	case weatherWeek:
		return fmt.Sprintf("%s %s before the target", what, known(o.k, "week")), unit
	case warmerDays:
		return fmt.Sprintf("temperature at the target minus its mean over %s", known(o.k, "day")), unitDegC
	case warmerWeeks:
		return fmt.Sprintf("temperature at the target minus its mean over %s", known(o.k, "week")), unitDegC
	case response:
		return fmt.Sprintf("energy that the target's temperature calls for beyond that of four weeks, by how the point answered over %s", plural(o.k, "week")), unitScale
	}
	return "age of the weather forecast used, 0 where the weather was observed", unitHours
}

// statistic names o's summary.
func (o op) statistic() string {
	switch o.stat {
	case std:
		return "standard deviation"
	case least:
		return "least"
	case most:
		return "most"
	case slope:
		return "slope"
	case quantile:
		return fmt.Sprintf("quantile %g", o.q)
	}
	return "mean"
}

func (o op) offset() string {
	if o.a == 0 {
		return ""
	}
	return fmt.Sprintf(", moved by %+d h", int(o.a/time.Hour))
}

func known(k int, period string) string { return plural(k, "known "+period) }

func plural(k int, noun string) string {
	if k == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", k, noun)
}

func hours(d time.Duration) string { return fmt.Sprintf("%d h", int(d/time.Hour)) }
