package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"fluxora.dev/shared/meter"
)

// salvaged is what could be read of a damaged segment.
type salvaged struct {
	epoch    uint64 // 0 when it could not be read, or only once
	atoms    []rawAtom
	defs     map[meter.SeriesID]meter.Series
	end      uint64 // sequence behind the last atom
	endKnown bool   // nothing can have been behind end
	newer    error  // set when a newer agent wrote the file
}

// salvageSegment takes every atom and definition that lies anywhere in a file, whatever bbolt would say to the pages around
// them: atoms are checksummed with their keys and never change, so one found anywhere is true. Time is bounded by the size of
// the file, memory by that of what is found.
func (d disk) salvageSegment(path string, limit int64) (x salvaged, err error) {
	p, done, err := d.openPages(path)
	if err != nil {
		return x, fmt.Errorf("salvage: %w", err)
	}
	defer done()
	whole := p.size <= limit
	p.size = min(p.size, limit)
	x.defs = make(map[meter.SeriesID]meter.Series)
	found := make(map[uint64]foundAtom)
	votes := make(map[uint64]int)
	work := 32*p.size + 1<<20 // bytes to checksum at most: garbage can claim to overlap itself
	p.elements(func(key, value []byte) {
		switch {
		case len(key) == 4:
			if def, ok := decodeSeries(value); ok {
				x.defs[meter.SeriesID(binary.BigEndian.Uint32(key))] = def
			}
		case bytes.Equal(key, keyEpoch) && len(value) == 8:
			votes[uint64Of(value)]++
		case bytes.Equal(key, keyNotEpoch) && len(value) == 8:
			votes[^uint64Of(value)]++
		case bytes.Equal(key, keySchema) && len(value) == 16 && uint64Of(value[:8]) == ^uint64Of(value[8:]) && uint64Of(value[:8]) > Schema:
			x.newer = fmt.Errorf("%w: schema %d", ErrNewerSchema, uint64Of(value[:8]))
		case len(key) == 8 && int64(len(value)) <= work:
			work -= int64(len(value))
			if a, err := decodeAtom(key, value); err == nil && a.count > 0 {
				y := foundAtom{Range{a.first, a.first + a.count}, a.arrived, nil}
				if old, ok := found[a.first]; !ok || y.replaces(old) {
					y.value = bytes.Clone(value)
					found[a.first] = y
				}
			}
		}
	})
	for epoch, n := range votes { // a single one may be what is damaged
		if n >= 2 && n > votes[x.epoch] {
			x.epoch = epoch
		}
	}
	var last foundAtom
	for _, first := range slices.Sorted(maps.Keys(found)) {
		y := found[first]
		if y.First < last.End {
			if !y.replaces(last) {
				continue
			}
			x.atoms = x.atoms[:len(x.atoms)-1]
		}
		x.atoms = append(x.atoms, rawAtom{first, y.value})
		last = y
	}
	x.end = last.End
	x.endKnown = whole && p.endKnown()
	return x, nil
}

// foundAtom is an atom that was found in a file.
type foundAtom struct {
	Range
	arrived meter.Millis
	value   []byte
}

// replaces reports whether a stands where old stands too: of two, the later one was committed, since the other one's commit
// must have failed for its sequences to be given again.
func (a foundAtom) replaces(old foundAtom) bool {
	if a.arrived != old.arrived {
		return a.arrived > old.arrived
	}
	return a.First == old.First && a.End > old.End
}

// elements calls fn with whatever in the file looks like an element of a leaf page, with a key as long as those of segments
// are. It asks no page for its kind, number of elements or length and no element for its flags, since any of them may be what
// is damaged.
func (p pages) elements(fn func(key, value []byte)) {
	const (
		block = 64  // pages looked at together
		reach = 192 // pages over which an element and its value lie at most
	)
	for id := uint64(0); id < p.count(); id += block {
		b := p.page(id, block+reach)
		for at := range min(block*pageSize, len(b)-elementSize) {
			e := b[at:]
			switch k := binary.LittleEndian.Uint32(e[8:]); k {
			case 4, 5, 6, 8, 9:
				pos, v := uint64(binary.LittleEndian.Uint32(e[4:])), uint64(binary.LittleEndian.Uint32(e[12:]))
				end := pos + uint64(k)
				if pos >= elementSize && end+v <= uint64(len(e)) {
					fn(e[pos:end:end], e[end:end+v:end+v])
				}
			}
		}
	}
}

// endKnown reports whether the last atom of a segment can be told for sure: both meta pages are sound, so that the newest one
// is, and so is everything on the way from it to an atom and behind that.
func (p pages) endKnown() bool {
	m, err := p.newest()
	if err != nil {
		return false
	}
	t := &tree{pages: p, meta: m}
	seen := false
	t.fn = func(bucket, key, value []byte) {
		if bytes.Equal(bucket, bucketAtoms) {
			_, t.damage = decodeAtom(key, value) // what was damaged before it does not matter
			seen = true
		}
	}
	return t.run() == nil && seen
}
