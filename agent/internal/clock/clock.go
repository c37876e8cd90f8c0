package clock

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fluxora.dev/shared/meter"
)

// Trust says how far the time is known.
type Trust uint8

// The states; the package comment has what they mean.
const (
	Unset Trust = iota
	Doubtful
	Right
)

// String returns the word for t.
func (t Trust) String() string {
	if int(t) < 3 {
		return [...]string{"unset", "doubtful", "right"}[t]
	}
	return fmt.Sprintf("trust(%d)", uint8(t))
}

// Settle is how long a plausible jump must last, with nobody against it, to be believed.
const Settle = 15 * time.Minute

// Bounds of what is believed.
const (
	near     = 5 * time.Second          // two clocks that differ by less agree
	nearby   = 2 * time.Minute          // the same of clocks that are read over a network; a jump of less is believed
	farthest = 5 * 365 * 24 * time.Hour // ahead of the last good time
	waking   = 3 * time.Minute          // since boot, in which the clock may be a restored one
	restored = time.Hour                // how far such a clock may be ahead of the last good time
)

// Epoch is the start of 2020: what lies before was told by a clock that was not set.
var Epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Near is how far the clocks of one machine may seem apart, since messages take their time.
const Near = nearby

// Clock tells the time. Its methods may be called concurrently.
type Clock struct {
	src     Source
	log     *slog.Logger
	fixed   func() time.Time // when set, all there is
	changed chan struct{}

	mu       sync.Mutex
	open     bool // Restore was called
	trust    Trust
	start    time.Time     // of this boot, as believed; unless unset
	wall     time.Time     // start of this boot by the wall clock, when last looked at
	passed   time.Time     // start by a wall clock that is known to be wrong; zero when it is not
	deadline time.Duration // since boot, when the doubtful jump is believed
	record   record
	kept     []byte // record as it was last kept
	keep     func([]byte) error
	floor    time.Duration // since boot, when the last good time was taken up
	meters   map[uint32]pace
	jumps    uint64
}

// New returns a clock that knows nothing yet but its source. Restore must follow.
func New(src Source, log *slog.Logger) *Clock {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Clock{src: src, log: log, changed: make(chan struct{}, 1), meters: make(map[uint32]pace)}
}

// Moment is an instant as far as it is known.
type Moment struct {
	Trust Trust
	Since time.Duration // since boot
	Wall  meter.Millis  // by the wall clock, be it right or wrong
	Now   meter.Millis  // the best that is known; when unset, no more than a bound from below
	// Shift is what to add to an instant before Epoch that this machine's clock gave earlier in this boot; 0 when there was no
	// such time, or the time is not known.
	Shift meter.Millis
}

// Astray reports whether the wall clock is not to be believed.
func (m Moment) Astray() bool {
	d := m.Wall - m.Now
	return m.Trust != Right || d > meter.Millis(near.Milliseconds()) || d < -meter.Millis(near.Milliseconds())
}

// Now returns the best that is known of the time. It has no monotonic part.
func (c *Clock) Now() time.Time {
	if c.fixed != nil {
		return c.fixed()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, boot := c.look()
	return c.now(wall, boot)
}

// Moment returns the time with what is known of it.
func (c *Clock) Moment() Moment {
	if c.fixed != nil {
		now := meter.MillisOf(c.fixed())
		return Moment{Trust: Right, Wall: now, Now: now}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, boot := c.look()
	m := Moment{Trust: c.trust, Since: boot, Wall: meter.MillisOf(wall), Now: meter.MillisOf(c.now(wall, boot))}
	if b := c.record.boot(c.src.ID); c.trust == Right && b != nil && b.Wrong != nil {
		m.Shift = meter.MillisOf(c.start) - *b.Wrong
	}
	return m
}

// Changed receives when the trust changed since it was last received from.
func (c *Clock) Changed() <-chan struct{} { return c.changed }

// Jumps returns how many times the wall clock jumped since the start.
func (c *Clock) Jumps() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jumps
}

// now returns the best that is known. The caller holds mu and has just looked.
func (c *Clock) now(wall time.Time, boot time.Duration) time.Time {
	if c.trust != Unset {
		if !agree(c.wall, c.start, near) {
			return c.start.Add(boot)
		}
		return wall
	}
	if good := c.record.good(); !good.IsZero() && (wall.Before(good) || wall.Sub(good) > farthest) {
		return good.Add(boot - c.floor)
	}
	return wall
}

func agree(a, b time.Time, within time.Duration) bool {
	d := a.Sub(b)
	return d < within && d > -within
}

// look reads the clocks and follows the table of the package comment. The caller holds mu.
func (c *Clock) look() (wall time.Time, boot time.Duration) {
	boot = c.src.Boot()
	wall = c.src.Wall().Round(0).UTC()
	before := c.wall
	c.wall = wall.Add(-boot)
	if !before.IsZero() && !agree(before, c.wall, near) {
		c.jumps++
	}
	switch {
	case !c.open:
	case c.trust == Unset:
		if b := c.record.boot(c.src.ID); b != nil && wall.Before(Epoch) {
			wrong := meter.MillisOf(c.wall)
			b.Wrong = &wrong
		}
		if c.plausible(wall, boot) {
			c.believe(c.wall, boot, "the wall clock is plausible")
		}
	case agree(c.wall, c.start, near):
		if c.trust == Doubtful {
			c.believe(c.start, boot, "the wall clock is back")
		}
		c.start, c.passed = c.wall, time.Time{} // follows a clock that is slewed
		c.record.Good = max(c.record.Good, meter.MillisOf(wall))
	case !c.passed.IsZero() && agree(c.wall, c.passed, near):
		// Known to be wrong.
	case agree(c.wall, c.start, nearby):
		c.believe(c.wall, boot, "a small correction")
	case c.trust == Right || !agree(c.wall, before, near):
		c.doubt(wall, boot)
	case boot >= c.deadline:
		c.believe(c.wall, boot, "the wall clock stayed where it jumped to")
	}
	if c.trust != Unset && !agree(c.wall, c.start, near) {
		c.record.Good = max(c.record.Good, meter.MillisOf(c.start.Add(boot)))
	}
	return wall, boot
}

// plausible reports whether an unset clock may be taken for right.
func (c *Clock) plausible(wall time.Time, boot time.Duration) bool {
	if wall.Before(Epoch) || wall.Year() >= 2100 {
		return false
	}
	if c.src.Synced != nil && c.src.Synced() {
		return true
	}
	good := c.record.good()
	if good.IsZero() {
		return true
	}
	ahead := wall.Sub(good)
	return ahead >= 0 && ahead <= farthest && (ahead > restored || boot >= waking)
}

// doubt takes note of a jump of a clock that was right.
func (c *Clock) doubt(wall time.Time, boot time.Duration) {
	by := c.wall.Sub(c.start)
	if wall.Before(Epoch) || by > farthest {
		c.log.Warn("the wall clock jumped to an impossible time; going on by the time since boot", "by", by, "wall", wall)
		if c.passed = c.wall; c.trust == Doubtful {
			c.believe(c.start, boot, "the wall clock jumped again, to an impossible time")
		}
		return
	}
	c.log.Warn("the wall clock jumped; readings without an instant of their own wait until it is known which time is right",
		"by", by, "wall", wall, "at most", Settle)
	c.trust, c.passed, c.deadline = Doubtful, time.Time{}, boot+Settle
	clear(c.meters)
	c.tell()
}

// believe makes start the start of this boot.
func (c *Clock) believe(start time.Time, boot time.Duration, why string) {
	if c.trust != Right {
		c.log.Info("the time is known", "why", why, "now", start.Add(boot))
	}
	if c.trust == Unset {
		c.record.bound(c.src.ID, start)
	}
	c.trust, c.start = Right, start
	c.record.Good = meter.MillisOf(start.Add(boot)) // also back: what was good before was not
	c.record.learn(c.src.ID, start)
	clear(c.meters)
	c.tell()
}

func (c *Clock) tell() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
