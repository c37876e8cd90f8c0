package ingest

import (
	"fluxora.dev/agent/internal/clock"
	"fluxora.dev/shared/meter"
)

// dating is what becomes of a reading's instant.
type dating uint8

const (
	dated   dating = iota // it stays as it came
	redated               // it was put right just now
	hold                  // it waits until the time is known
)

// date puts the instant of a reading right that this machine's clock gave it, or that it got for want of one, while that clock was
// wrong. An instant of the meter's own is never touched; it is an opinion on the time instead.
//
// Publishers on the gateway stamp readings with the clock that the agent has too: such an instant is near the wrong wall
// clock's, or lies before 2020 and within this boot by that clock.
func (in *Ingest) date(d *decodedReading, here clock.Moment, live bool) dating {
	const (
		same = meter.Millis(clock.Near / 1e6)
	)
	if !here.Astray() {
		if at := d.At + here.Shift; d.At < firstBelievable && here.Shift != 0 && at <= here.Now+same && at >= here.Now-meter.Millis(here.Since.Milliseconds())-same {
			d.At, d.Quality = at, max(d.Quality, meter.Estimated)
			return redated
		}
		return dated
	}
	age := here.Wall - d.At
	ours := d.arrival || live && age < same && age > -same ||
		d.At < firstBelievable && age > -same && age < meter.Millis(here.Since.Milliseconds())+same
	switch {
	case !ours:
		if live {
			in.o.Clock.Meter(uint32(d.series), d.At)
		}
		return dated
	case here.Trust == clock.Right:
		d.At, d.Quality = here.Now-age, max(d.Quality, meter.Estimated)
		return redated
	}
	return hold
}

// known returns the time when it is known, else 0.
func known(here clock.Moment) meter.Millis {
	if here.Trust == clock.Unset {
		return 0
	}
	return here.Now
}
