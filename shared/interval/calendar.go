package interval

import (
	"time"

	"fluxora.dev/shared/meter"
)

// Calendar knows where days, months and years begin in a zone. A day has 23, 24 or 25 hours (and in some zones and
// years other lengths).
type Calendar struct{ *time.Location }

// DayBounds returns the start of the local day that holds m and the start of the next.
func (c Calendar) DayBounds(m meter.Millis) (start, end meter.Millis) {
	y, mo, d := m.Time().In(c.Location).Date()
	return millis(c.midnight(y, mo, d), c.midnight(y, mo, d+1))
}

// MonthBounds returns the start of the local month that holds m and the start of the next.
func (c Calendar) MonthBounds(m meter.Millis) (start, end meter.Millis) {
	y, mo, _ := m.Time().In(c.Location).Date()
	return millis(c.midnight(y, mo, 1), c.midnight(y, mo+1, 1))
}

// YearBounds returns the start of the local year that holds m and the start of the next.
func (c Calendar) YearBounds(m meter.Millis) (start, end meter.Millis) {
	y, _, _ := m.Time().In(c.Location).Date()
	return millis(c.midnight(y, 1, 1), c.midnight(y+1, 1, 1))
}

// IntervalsInDay returns how many intervals start in the local day that holds m: 92, 96 or 100 quarters.
func (c Calendar) IntervalsInDay(m meter.Millis, resolution time.Duration) int {
	start, end := c.DayBounds(m)
	return int(ceil(end, resolution).Sub(ceil(start, resolution)) / resolution)
}

func millis(start, end time.Time) (meter.Millis, meter.Millis) {
	return meter.MillisOf(start), meter.MillisOf(end)
}

// midnight returns the first instant of a local day, which time.Date does not promise on days whose midnight the clock
// jumps over (Beirut in spring) or shows twice (Havana in autumn).
func (c Calendar) midnight(y int, mo time.Month, d int) time.Time {
	t := time.Date(y, mo, d, 0, 0, 0, 0, c.Location)
	want := time.Date(y, mo, d, 0, 0, 0, 0, time.UTC)
	start, end := t.ZoneBounds()
	if lt := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC); lt.Before(want) && !end.IsZero() {
		return end // skipped: the day begins when the clock has jumped
	}
	if start.IsZero() {
		return t
	}
	_, now := t.Zone()
	_, was := start.Add(-time.Second).Zone()
	if h, m, s := t.Clock(); h+m+s > 0 && start.Before(t) { // time.Date chose the far side of the jump
		return start
	}
	if first := t.Add(-time.Duration(was-now) * time.Second); was > now && first.Before(start) {
		return first // shown twice: the day begins the first time
	}
	return t
}
