package ingest

import "time"

// pipe estimates how many messages the broker sends before it waits for acks.
type pipe struct {
	limit   int // as configured
	learned int // smaller, as observed; 0 when nothing speaks against limit

	lastAck time.Time
	heels   bool // the present group began at the heels of the acks before
	last    int  // size of the group before, if it began so and the window cut it off
}

// heel is how soon after acks a message that had waited for them arrives.
const heel = 50 * time.Millisecond

// full reports whether n messages fill the pipe.
func (p *pipe) full(n int) bool {
	if p.learned > 0 && n > p.learned {
		p.learned = 0
	}
	if p.learned > 0 {
		return n >= p.learned
	}
	return n >= p.limit
}

// begin notes that a group began.
func (p *pipe) begin(now time.Time) { p.heels = !p.lastAck.IsZero() && now.Sub(p.lastAck) < heel }

// acked notes that a group was acked.
func (p *pipe) acked(now time.Time) { p.lastAck = now }

// expired notes that the window cut a group of n messages off.
func (p *pipe) expired(n int) {
	switch {
	case !p.heels:
		p.last = 0
	case p.last == n:
		p.learned, p.last = n, 0
	default:
		p.last = n
	}
}
