package ledger

import (
	"sync"

	"fluxora.dev/shared/meter"
)

// Apart is what is counted beside the sum of an account.
type Apart int

// What is counted apart.
const (
	Duplicate  Apart = iota // it came again with the same value, and was left out
	Correction              // it came again with another value: a reading received like any other, that replaces the one before
	Released                // a quarantined message that was taken after all: it stays in Quarantined, and what it held is received
	kinds
)

// tally counts until the accounts are next looked at. It has a lock of its own, so that who takes readings in never waits for
// somebody who reads the books.
type tally struct {
	mu       sync.Mutex
	readings map[reading]*[kinds]uint64
	messages map[Key]uint64
}

// reading says whose and of which day a reading is.
type reading struct {
	series meter.SeriesID
	day    int32
}

// Count counts a reading apart. It is in the books of the disk after the next write, so a crash may forget some.
func (b *Books) Count(what Apart, of meter.SeriesID, at meter.Millis) {
	k := reading{of, dayOf(at)}
	b.apart.mu.Lock()
	defer b.apart.mu.Unlock()
	if b.apart.readings == nil {
		b.apart.readings = make(map[reading]*[kinds]uint64)
	}
	c := b.apart.readings[k]
	if c == nil {
		c = new([kinds]uint64)
		b.apart.readings[k] = c
	}
	c[what]++
}

// Release counts a message of the quarantine that was taken after all.
func (b *Books) Release(point string, received meter.Millis) {
	b.apart.mu.Lock()
	defer b.apart.mu.Unlock()
	if b.apart.messages == nil {
		b.apart.messages = make(map[Key]uint64)
	}
	b.apart.messages[Key{Point: point, Day: dayOf(received)}]++
}

// takeApart brings what was counted apart into the accounts. The caller holds mu.
func (b *Books) takeApart() {
	b.apart.mu.Lock()
	readings, messages := b.apart.readings, b.apart.messages
	b.apart.readings, b.apart.messages = nil, nil
	b.apart.mu.Unlock()
	for r, n := range readings {
		of, _ := b.log.LookupSeries(r.series)
		c := b.of(Key{of.Point, of.Register, r.day})
		c.Duplicates += n[Duplicate]
		c.Corrections += n[Correction]
	}
	for k, n := range messages {
		b.of(k).Released += n
	}
}
