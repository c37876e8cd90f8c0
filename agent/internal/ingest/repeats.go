package ingest

import (
	"hash/maphash"

	"fluxora.dev/shared/meter"
)

// identity is what makes a reading a repeat of another.
type identity struct {
	series meter.SeriesID
	at     meter.Millis
	value  int64
}

// repeats remembers the last readings taken, as hashes in a ring. A wrong match has a chance of about 1 in 10^14 per
// reading, and the seed is random, so that none can be made up.
type repeats struct {
	seed maphash.Seed
	seen map[uint64]struct{}
	ring []uint64
	next int
}

// window is how many readings are remembered. It must hold all that can be committed and not yet acked: two groups of at
// most maxGroup readings and a message on top of each.
const window = 1 << 16

func newRepeats() *repeats {
	return &repeats{seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
}

// add remembers r and reports whether it is new.
func (p *repeats) add(r meter.Reading) bool {
	h := p.hash(r)
	if _, ok := p.seen[h]; ok {
		return false
	}
	if len(p.ring) < window {
		p.ring = append(p.ring, h)
	} else {
		delete(p.seen, p.ring[p.next])
		p.ring[p.next] = h
		p.next = (p.next + 1) % window
	}
	p.seen[h] = struct{}{}
	return true
}

// has reports whether r is remembered.
func (p *repeats) has(r meter.Reading) bool {
	_, ok := p.seen[p.hash(r)]
	return ok
}

// undated returns r without its instant, as what is left of it to know it by when its instant is that of an arrival.
func undated(r meter.Reading) meter.Reading { return meter.Reading{Series: r.Series, Value: r.Value} }

func (p *repeats) hash(r meter.Reading) uint64 {
	return maphash.Comparable(p.seed, identity{r.Series, r.At, r.Value})
}
