package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// perPage is how many sequences a page holds before the next one begins.
const perPage = 4096

// page counts the readings of the sequences [First, End).
type page struct {
	First, End uint64
	Counts     map[Key]uint64
	Gone       map[Key]uint64 // of them, what is booked as lost
	dirty      bool
}

// page returns the page that sequence first goes to.
func (b *Books) page(first uint64) *page {
	if n := len(b.pages); n > 0 && b.pages[n-1].End == first && first-b.pages[n-1].First < perPage {
		return b.pages[n-1]
	}
	p := &page{First: first, End: first, Counts: make(map[Key]uint64), Gone: make(map[Key]uint64)}
	b.pages = append(b.pages, p)
	return p
}

// dropPages forgets the pages of which every sequence is acked, except for the newest.
func (b *Books) dropPages() {
	unacked := b.log.Unacked()
	newest := len(b.pages) - 1
	kept := b.pages[:0]
	for i, p := range b.pages {
		if i < newest && !slices.ContainsFunc(unacked, func(u store.Range) bool { return u.First < p.End && p.First < u.End }) {
			b.gone = append(b.gone, p.First)
			continue
		}
		kept = append(kept, p)
	}
	b.pages = kept
}

// head is what is kept of the books beside accounts and pages.
type head struct {
	Since           uint64 // sequences below it were gone when the books began
	End             uint64 // every sequence below it is counted
	Holes           ranges // nothing could be read there when it was counted
	Late            uint64 // readings of holes that were counted as received when they turned out to be lost
	Lost, Thin      ranges // losses that are in the accounts
	Spared          []spared
	NextQuarantined uint64 // id of the next message of the quarantine to count
}

// spared is how many readings a thinning took from a range.
type spared struct {
	store.Range
	Readings uint64
}

// Keys of derived state: "l/head", "l/p/" and the first sequence for pages, "l/d/day/point/register" for accounts.
var (
	keyHead  = []byte("l/head")
	prefix   = []byte("l/")
	behind   = []byte("l0")
	pagesAt  = []byte("l/p/")
	countsAt = []byte("l/d/")
)

func pageKey(first uint64) []byte { return binary.BigEndian.AppendUint64(slices.Clone(pagesAt), first) }

func countsKey(k Key) []byte {
	b := binary.BigEndian.AppendUint32(slices.Clone(countsAt), uint32(k.Day)^1<<31)
	return fmt.Appendf(b, "/%s/%s", k.Point, k.Register)
}

func parseCountsKey(key []byte) (k Key, ok bool) {
	rest, ok := bytes.CutPrefix(key, countsAt)
	if !ok || len(rest) < 6 || rest[4] != '/' {
		return k, false
	}
	k.Day = int32(binary.BigEndian.Uint32(rest) ^ 1<<31)
	point, register, ok := bytes.Cut(rest[5:], []byte("/"))
	k.Point, k.Register = string(point), meter.Register(register)
	return k, ok
}

// pageRow is an account of a page as it is written.
type pageRow struct {
	Point    string         `json:"p"`
	Register meter.Register `json:"r"`
	Day      int32          `json:"d"`
	Readings uint64         `json:"n"`
	Gone     uint64         `json:"g,omitempty"`
}

type pageRecord struct {
	End  uint64
	Rows []pageRow
}

// Entries returns what is to be written, in one transaction with the sequence applied. Written must follow when it was.
func (b *Books) Entries() ([]store.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.takeLosses(); err != nil {
		return nil, err
	}
	if err := b.takeQuarantined(); err != nil {
		return nil, err
	}
	b.takeApart()
	b.dropPages()
	var es []store.Entry
	put := func(key []byte, v any) error {
		value, err := json.Marshal(v)
		es = append(es, store.Entry{Key: key, Value: value})
		return err
	}
	if err := put(keyHead, b.head); err != nil {
		return nil, err
	}
	for _, first := range b.gone {
		es = append(es, store.Entry{Key: pageKey(first)})
	}
	for _, p := range b.pages {
		if !p.dirty {
			continue
		}
		r := pageRecord{End: p.End}
		for _, k := range sorted(p.Counts) {
			r.Rows = append(r.Rows, pageRow{k.Point, k.Register, k.Day, p.Counts[k], p.Gone[k]})
		}
		if err := put(pageKey(p.First), r); err != nil {
			return nil, err
		}
	}
	maps.Copy(b.writing, b.dirty) // what was not written the last time is still in it
	clear(b.dirty)
	for _, k := range sorted(b.writing) {
		if err := put(countsKey(k), b.counts[k]); err != nil {
			return nil, err
		}
	}
	return es, nil
}

// Written notes that what the last Entries returned is durable. Nothing must have been applied in between.
func (b *Books) Written() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.writing)
	b.gone = nil
	for _, p := range b.pages {
		p.dirty = false
	}
}

func (b *Books) load() error {
	return b.log.ScanDerived(prefix, behind, func(key, value []byte) error {
		switch {
		case bytes.Equal(key, keyHead):
			return json.Unmarshal(value, &b.head)
		case bytes.HasPrefix(key, pagesAt) && len(key) == len(pagesAt)+8:
			var r pageRecord
			if err := json.Unmarshal(value, &r); err != nil {
				return err
			}
			p := &page{First: binary.BigEndian.Uint64(key[len(pagesAt):]), End: r.End, Counts: make(map[Key]uint64, len(r.Rows)), Gone: make(map[Key]uint64)}
			for _, row := range r.Rows {
				p.Counts[Key{row.Point, row.Register, row.Day}] += row.Readings
				p.Gone[Key{row.Point, row.Register, row.Day}] += row.Gone
			}
			b.pages = append(b.pages, p)
			return nil
		default:
			k, ok := parseCountsKey(key)
			if !ok {
				return fmt.Errorf("key %q of the ledger", key)
			}
			c := &counts{}
			b.counts[k] = c
			return json.Unmarshal(value, c)
		}
	})
}
