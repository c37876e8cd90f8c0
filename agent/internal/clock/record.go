package clock

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"fluxora.dev/shared/meter"
)

// record is what is kept between runs.
type record struct {
	Good  meter.Millis // an instant that is surely past
	Boots []bootRecord // oldest first, this one last
}

// bootRecord is what is known of one boot.
type bootRecord struct {
	ID      string
	Start   meter.Millis  // 0 while it is not known
	Ran     time.Duration // at least, when Start was not known
	Wrong   *meter.Millis // start by the wall clock while that stood before Epoch; nil when it never did
	Good    meter.Millis  // the last good time before it; 0 when there was none
	Unknown bool          // it will never be known
	Before  meter.Millis  // then: it began before that
}

// mostBoots bounds the record.
const mostBoots = 64

func (r *record) good() time.Time {
	if r.Good == 0 {
		return time.Time{}
	}
	return r.Good.Time()
}

func (r *record) boot(id string) *bootRecord {
	for i := range r.Boots {
		if r.Boots[i].ID == id {
			return &r.Boots[i]
		}
	}
	return nil
}

// learn notes when a boot began.
func (r *record) learn(id string, start time.Time) {
	if b := r.boot(id); b != nil {
		b.Start, b.Unknown = meter.MillisOf(start), false
	}
}

// slackMost is the longest stretch in which a boot may lie to be dated by its middle.
const slackMost = time.Hour

// bound decides the boots that ended without having the time, now that this one has it.
func (r *record) bound(present string, start time.Time) {
	end := meter.MillisOf(start)
	var open []*bootRecord
	for i := range r.Boots {
		if b := &r.Boots[i]; b.ID != present && b.Start == 0 && !b.Unknown {
			open = append(open, b)
		}
	}
	// Boots that follow the same last good time share what is left between it and now.
	for len(open) > 0 {
		n := 0
		var ran time.Duration
		for n < len(open) && open[n].Good == open[0].Good {
			ran += open[n].Ran
			n++
		}
		from := open[0].Good
		left := end.Sub(from) - ran
		for _, b := range open[:n] {
			if b.Good == 0 || left < 0 || left > slackMost {
				b.Unknown, b.Before = true, end.Add(-b.Ran)
				continue
			}
			b.Start = from.Add(left / 2)
			from = from.Add(b.Ran)
		}
		open = open[n:]
	}
}

// Restore takes in what was kept, nil when there is nothing, and how to keep it from now on.
func (c *Clock) Restore(b []byte, keep func([]byte) error) error {
	if c.fixed != nil {
		return nil
	}
	var r record
	var bad error
	if b != nil {
		if err := json.Unmarshal(b, &r); err != nil {
			r, bad = record{}, fmt.Errorf("restore the clock's record: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record, c.keep, c.floor = r, keep, c.src.Boot()
	if known := c.record.boot(c.src.ID); known == nil {
		c.record.Boots = append(c.record.Boots, bootRecord{ID: c.src.ID, Good: r.Good})
		c.record.Boots = slices.Delete(c.record.Boots, 0, max(0, len(c.record.Boots)-mostBoots))
	} else if known.Start != 0 {
		c.trust, c.start = Right, known.Start.Time()
	}
	c.open = true
	c.look()
	return bad
}

// Keep keeps the record durably, if it says anything new.
func (c *Clock) Keep() error {
	if c.fixed != nil {
		return nil
	}
	c.mu.Lock()
	_, boot := c.look()
	if b := c.record.boot(c.src.ID); b != nil {
		if c.trust != Unset {
			b.Start = meter.MillisOf(c.start)
		} else {
			b.Ran = max(b.Ran, boot)
		}
	}
	b, err := json.Marshal(c.record)
	keep, same := c.keep, string(b) == string(c.kept)
	c.mu.Unlock()
	if err != nil || same || keep == nil {
		return err
	}
	if err := keep(b); err != nil {
		return fmt.Errorf("keep the clock's record: %w", err)
	}
	c.mu.Lock()
	c.kept = b
	c.mu.Unlock()
	return nil
}

// Boot returns the id of this boot.
func (c *Clock) Boot() string { return c.src.ID }

// Start is what is known of when a boot began.
type Start struct {
	Known         bool
	At            meter.Millis // when Known
	Never         bool         // it will not be known any more
	After, Before meter.Millis // then: the bounds; 0 for none
}

// StartOf returns when a boot began. A doubtful start of this boot is not yet known.
func (c *Clock) StartOf(id string) Start {
	if c.fixed != nil {
		return Start{Known: true}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.record.boot(id)
	switch {
	case id == c.src.ID && c.trust == Right:
		return Start{Known: true, At: meter.MillisOf(c.start)}
	case id == c.src.ID:
		return Start{}
	case b == nil:
		return Start{Never: true}
	case b.Start != 0:
		return Start{Known: true, At: b.Start}
	}
	return Start{Never: b.Unknown, After: b.Good, Before: b.Before}
}

// Run watches the clock and keeps its record, each change at once and the last good time every KeepEvery, until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	const watch = 5 * time.Second
	tick := time.NewTicker(watch)
	defer tick.Stop()
	var last Trust
	var kept time.Duration
	for {
		m := c.Moment()
		if m.Trust != last || m.Since-kept >= KeepEvery || kept == 0 {
			if err := c.Keep(); err != nil {
				c.log.Warn("the clock's record is not kept; trying again", "error", err)
			} else {
				last, kept = m.Trust, m.Since
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c.Keep()
		}
	}
}

// KeepEvery is how often the last good time is kept: each time costs some pages of flash.
const KeepEvery = 10 * time.Minute
