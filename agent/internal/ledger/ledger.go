package ledger

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// Log is what the books see of the store.
type Log interface {
	Next() uint64
	Applied() uint64
	Unacked() []store.Range
	Lost() []store.Lost
	Thinned() []store.Lost
	Ledger() store.Ledger
	Readings(from uint64, atLeast int) ([]meter.Reading, uint64, error)
	LookupSeries(id meter.SeriesID) (meter.Series, bool)
	Quarantined(from uint64, most int) ([]store.Quarantined, error)
	ScanDerived(from, to []byte, fn func(key, value []byte) error) error
}

// Key says which readings an account counts.
type Key struct {
	Point    string         // empty for what cannot be told
	Register meter.Register // empty for quarantined messages
	Day      int32          // days since 1970-01-01, UTC
}

// dayOf returns the day of an instant.
func dayOf(at meter.Millis) int32 {
	return int32(at.Floor(24*time.Hour) / meter.Millis(24*time.Hour/time.Millisecond))
}

// counts is what is kept of an account.
type counts struct {
	Received   uint64 `json:"r,omitempty"` // given a sequence
	Evicted    uint64 `json:"e,omitempty"`
	Thinned    uint64 `json:"t,omitempty"`
	Unstorable uint64 `json:"u,omitempty"` // refused by the hub for good
	Messages   uint64 `json:"q,omitempty"` // quarantined without a sequence

	// Counted apart.
	Duplicates  uint64 `json:"d,omitempty"`
	Corrections uint64 `json:"c,omitempty"`
	Released    uint64 `json:"l,omitempty"`
}

// Books are the ledger of one store. Their methods may be called concurrently.
type Books struct {
	log   Log
	out   *slog.Logger
	apart tally

	mu      sync.Mutex
	head    head
	counts  map[Key]*counts
	pages   []*page // ascending
	gone    []uint64
	dirty   map[Key]bool             // to be written
	writing map[Key]bool             // being written
	told    map[Key]wire.LedgerEntry // as the hub compared them
	tells   uint64                   // ids given
}

// Open returns the books as they were last written. What of the log was applied without them is counted now.
func Open(log Log, out *slog.Logger) (*Books, error) {
	if out == nil {
		out = slog.New(slog.DiscardHandler)
	}
	b := &Books{
		log: log, out: out, counts: make(map[Key]*counts), dirty: make(map[Key]bool), writing: make(map[Key]bool), told: make(map[Key]wire.LedgerEntry),
		head: head{End: 1, Since: 1, NextQuarantined: 1},
	}
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	for applied := log.Applied(); b.head.End < applied; {
		rs, next, err := log.Readings(b.head.End, 4096)
		if err != nil {
			return nil, fmt.Errorf("open ledger: %w", err)
		}
		if next <= b.head.End || len(rs) == 0 && next > applied {
			break
		}
		if err := b.apply(b.head.End, next, rs); err != nil {
			return nil, fmt.Errorf("open ledger: %w", err)
		}
	}
	return b, nil
}

func (b *Books) of(k Key) *counts {
	c := b.counts[k]
	if c == nil {
		c = &counts{}
		b.counts[k] = c
	}
	b.dirty[k] = true
	return c
}

// Apply counts the readings of the sequences [first, next). Sequences that were counted before are passed over.
func (b *Books) Apply(first, next uint64, rs []meter.Reading) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.apply(first, next, rs)
}

func (b *Books) apply(first, next uint64, rs []meter.Reading) error {
	if next <= b.head.End {
		return nil
	}
	if first == b.head.End && uint64(len(rs)) == next-first {
		b.count(first, next, rs)
		return nil
	}
	// Something is missing: go atom by atom to see where.
	for at := b.head.End; at < next; {
		rs, to, err := b.log.Readings(at, 1)
		if err != nil {
			return fmt.Errorf("count readings from %d: %w", at, err)
		}
		if to <= at {
			to = next
			rs = nil
		}
		if n := uint64(len(rs)); n < to-at {
			b.head.Holes = b.head.Holes.add(store.Range{First: at, End: to - n})
		}
		b.count(at, to, rs)
		at = to
	}
	return nil
}

// count adds readings of [first, end) to their accounts and to the newest page.
func (b *Books) count(first, end uint64, rs []meter.Reading) {
	p := b.page(first)
	var of meter.Series
	var k Key
	var c *counts
	series, known := meter.SeriesID(0), false
	for _, r := range rs {
		if r.Series != series || !known {
			of, known = b.log.LookupSeries(r.Series)
			series = r.Series
			c = nil
		}
		if day := dayOf(r.At); c == nil || day != k.Day {
			k = Key{of.Point, of.Register, day}
			c = b.of(k)
		}
		c.Received++
		p.Counts[k]++
	}
	p.End, p.dirty = end, true
	b.head.End = end
}

// order sorts accounts by day, point and register.
func order(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Point, b.Point), cmp.Compare(a.Register, b.Register))
}

// sorted returns the keys of m in order.
func sorted[V any](m map[Key]V) []Key {
	out := make([]Key, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, order)
	return out
}
