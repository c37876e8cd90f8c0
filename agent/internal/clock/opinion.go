package clock

import (
	"time"

	"fluxora.dev/shared/meter"
)

// Hub takes the hub's word for the time, now.
func (c *Clock) Hub(t time.Time) { c.opinion(t, "the hub") }

// Person takes the word of someone who says that the wall clock is right, now.
func (c *Clock) Person() {
	if c.fixed != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, boot := c.look()
	if !agree(c.wall, c.start, near) || c.trust != Right {
		c.passed = time.Time{}
		c.believe(c.wall, boot, "a person says that the wall clock is right")
	}
}

func (c *Clock) opinion(t time.Time, whose string) {
	if c.fixed != nil || t.Before(Epoch) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, boot := c.look()
	start := t.Round(0).UTC().Add(-boot)
	settled := c.trust == Right && agree(c.wall, c.start, near)
	switch {
	case agree(start, c.wall, nearby):
		if !settled {
			c.passed = time.Time{}
			c.believe(c.wall, boot, whose+" agrees with the wall clock")
		}
	case settled:
		c.log.Warn("the clocks differ; this one is believed", "other", whose, "by", start.Sub(c.start))
	case c.trust != Unset && agree(start, c.start, nearby):
		c.passed = c.wall
		if c.trust == Doubtful {
			c.believe(c.start, boot, whose+" does not agree with the jump")
		}
	default:
		c.passed = c.wall
		c.believe(start, boot, "told by "+whose)
	}
}

// pace is how the instants that one meter tells advance.
type pace struct {
	at    meter.Millis
	since time.Duration
	n     int
}

// steady is how long and how often a meter's own instants must advance with the time since boot to be an opinion.
const (
	steadyFor   = time.Minute
	steadyTimes = 3
	mostMeters  = 64
)

// Meter takes the instant that a meter gave a reading, which arrived just now and live. It counts only while the time is not
// known.
func (c *Clock) Meter(series uint32, at meter.Millis) {
	if c.fixed != nil {
		return
	}
	c.mu.Lock()
	_, boot := c.look()
	if c.trust == Right || at.Time().Before(Epoch) || at < c.record.Good {
		c.mu.Unlock()
		return
	}
	p, ok := c.meters[series]
	if !ok && len(c.meters) >= mostMeters {
		c.mu.Unlock()
		return
	}
	told, passed := at.Sub(p.at), boot-p.since
	slack := 2*time.Second + passed/50
	if !ok || told < passed-slack || told > passed+slack {
		p = pace{at: at, since: boot}
	}
	p.n++
	c.meters[series] = p
	c.mu.Unlock()
	if p.n >= steadyTimes && boot-p.since >= steadyFor {
		c.opinion(at.Time(), "a meter")
	}
}
