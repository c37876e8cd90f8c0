package feature

import (
	"time"

	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

// Clock answers how far local time is ahead of UTC, remembering the last few stretches without a change of clocks, so
// that it costs no zone lookup per row. The zero value is UTC. It must not be used by two goroutines at once.
type Clock struct {
	zone   *time.Location
	spans  [4]span
	oldest int
}

type span struct {
	from, to meter.Millis // half-open
	offset   int64        // ms
}

// NewClock returns the clock of a zone; nil means UTC.
func NewClock(zone *time.Location) Clock { return Clock{zone: zone} }

// Offset returns local time minus UTC at t, in milliseconds.
func (c *Clock) Offset(t meter.Millis) int64 {
	if c.zone == nil || c.zone == time.UTC {
		return 0
	}
	for i := range c.spans {
		if s := &c.spans[i]; t >= s.from && t < s.to {
			return s.offset
		}
	}
	at := t.Time().In(c.zone)
	_, seconds := at.Zone()
	s := span{from: meter.Millis(-1 << 62), to: meter.Millis(1 << 62), offset: int64(seconds) * 1000}
	start, end := at.ZoneBounds()
	if !start.IsZero() {
		s.from = meter.MillisOf(start)
	}
	if !end.IsZero() {
		s.to = meter.MillisOf(end)
	}
	c.spans[c.oldest] = s
	c.oldest = (c.oldest + 1) % len(c.spans)
	return s.offset
}

// Back returns the instant at which the local clock showed what it shows at t, whole days earlier. An instant that the
// change of clocks skipped becomes the one an hour beside it.
func (c *Clock) Back(t meter.Millis, days int) meter.Millis {
	u := t - meter.Millis(days)*dayMs
	return u + meter.Millis(c.Offset(t)-c.Offset(u))
}

// Date returns the local date at t.
func (c *Clock) Date(t meter.Millis) holiday.Date { return c.at(t).date }

const dayMs = meter.Millis(24 * time.Hour / time.Millisecond)

// calendar is what a wall calendar shows at a local instant.
type calendar struct {
	minute, weekday, yearday int // minute of the day; Monday 0 … Sunday 6; 1–366
	date                     holiday.Date
}

// at returns the calendar at t.
func (c *Clock) at(t meter.Millis) calendar {
	const day = int64(dayMs)
	at := int64(t) + c.Offset(t)
	local := time.UnixMilli(at).UTC()
	return calendar{
		minute:  local.Hour()*60 + local.Minute(),
		weekday: (int(local.Weekday()) + 6) % 7,
		yearday: local.YearDay(),
		date:    holiday.Date((at - ((at%day)+day)%day) / day),
	}
}

// season returns how many days yearday is from the day of the year zero, the short way round.
func season(yearday, zero int) int {
	d := (yearday - zero + 366) % 366
	return min(d, 366-d)
}
