package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// Thin says which readings must stay so that the energy of every interval stays what it is. It gets the readings of one
// series of counters, in the order of their instants, and reports for each whether it must stay; nil means all must. It must
// not keep the slice.
type Thin func(of meter.Series, rs []meter.Reading) (stay []bool)

// thinnedAtom is a range of which readings were spared: an atom, or several that are gone as a whole.
type thinnedAtom struct {
	Range
	readings uint64
}

// noteThin finds what was spared in a thinned segment, whose atoms are given in order. The caller holds mu, or is Open.
func (g *segment) noteThin(at uint64, a atom, held uint64) {
	if a.first > at {
		g.thin = append(g.thin, thinnedAtom{Range{at, a.first}, a.first - at})
	}
	if held < a.count {
		g.thin = append(g.thin, thinnedAtom{Range{a.first, a.first + a.count}, a.count - held})
	}
}

// held returns how many readings the blocks of an atom say they hold.
func (a atom) held() (n uint64) {
	for _, b := range a.blocks {
		if k, err := chunk.Len(b.Chunk); err == nil {
			n += uint64(k)
		}
	}
	return n
}

// learnThin fills g.thin of a segment whose file is open.
func (g *segment) learnThin() error {
	at := g.first
	g.thin = nil
	err := g.atomsFrom(0, func(a atom, err error) bool {
		if err != nil { // a hole, but not one of thinning
			at = max(at, a.first)
			return true
		}
		g.noteThin(at, a, a.held())
		at = a.first + a.count
		return true
	})
	if err == nil && at < g.End {
		g.thin = append(g.thin, thinnedAtom{Range{at, g.End}, g.End - at})
	}
	return err
}

// rawAtoms returns copies of all atoms of a closed segment. The caller holds appending, so that g stays what it is.
func (s *Store) rawAtoms(g *segment) (atoms []rawAtom, err error) {
	s.mu.Lock()
	err = s.hold(g)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	defer s.release(g)
	err = g.rawFrom(0, func(key, value []byte) bool {
		if len(key) == 8 {
			atoms = append(atoms, rawAtom{binary.BigEndian.Uint64(key), slices.Clone(value)})
		}
		return true
	})
	return atoms, err
}

// thinOut replaces a closed segment by one with fewer readings, and reports whether that saved anything worth it. Atoms
// keep their sequences, as the hub may have got some of them; one without a reading left goes, and ReadFrom counts what is
// gone as refused. A thinned segment is joined to a thinned one before it while both fit into one. The caller holds
// appending.
func (s *Store) thinOut(g *segment) (saved bool, err error) {
	raw, err := s.rawAtoms(g)
	if err != nil {
		return false, err
	}
	atoms := make([]atom, len(raw))
	readings := make(map[meter.SeriesID][]placed)
	for i, r := range raw {
		if atoms[i], err = decodeAtom(sequenceKey(r.first), r.value); err != nil {
			return false, err
		}
		for j, b := range atoms[i].blocks {
			rs, err := decodeBlock(nil, b)
			if err != nil {
				return false, fmt.Errorf("%w: %w", errDamaged, err)
			}
			for k, reading := range rs {
				readings[b.Series] = append(readings[b.Series], placed{reading, place{i, j, k}})
			}
		}
	}
	arrived := make([]bool, len(atoms)) // the hub has them, or they are listed as lost already
	s.mu.Lock()
	known := s.gone()
	for _, r := range s.acked {
		known = known.add(r)
	}
	for i, a := range atoms {
		arrived[i] = known.contains(Range{a.first, a.first + a.count})
	}
	s.mu.Unlock()
	gone, days := s.spare(g, readings, arrived)
	if len(gone)*4 < countOf(readings) {
		return false, nil
	}
	kept, err := without(raw, atoms, gone)
	if err != nil {
		return false, err
	}
	return true, s.replaceThinned(g, kept, days)
}

// place is where a reading is: which atom, block and reading of the block.
type place struct{ atom, block, reading int }

type placed struct {
	meter.Reading
	place
}

func countOf(readings map[meter.SeriesID][]placed) (n int) {
	for _, ps := range readings {
		n += len(ps)
	}
	return n
}

// spare returns the readings that may go, and how many they are by day, less those of atoms that the hub
// has got or that are listed as lost.
func (s *Store) spare(g *segment, readings map[meter.SeriesID][]placed, arrived []bool) (gone map[place]bool, days []DayLoss) {
	gone = make(map[place]bool)
	counts := make(dayCount)
	for id, ps := range readings {
		of, ok := s.LookupSeries(id)
		if !ok || of.Kind != meter.Counter || s.overlaps(g, id, of) {
			continue
		}
		slices.SortStableFunc(ps, func(a, b placed) int { return int(min(max(a.At-b.At, -1), 1)) })
		rs := make([]meter.Reading, len(ps))
		for i, p := range ps {
			rs[i] = p.Reading
		}
		for i, stays := range s.o.Thin(of, rs) {
			if !stays {
				gone[ps[i].place] = true
				if !arrived[ps[i].atom] {
					counts.add(ps[i].Reading)
				}
			}
		}
	}
	return gone, counts.list()
}

// overlaps reports whether another meter of the same point and register has readings in g while id has: what counts then
// depends on how they alternate, so all of them stay.
func (s *Store) overlaps(g *segment, id meter.SeriesID, of meter.Series) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := g.Series[id]
	for other, sp := range g.Series {
		x := s.series[other]
		if other != id && x.Point == of.Point && x.Register == of.Register && sp.From <= own.To && sp.To >= own.From {
			return true
		}
	}
	return false
}

// without returns the atoms less the readings that are gone.
func without(raw []rawAtom, atoms []atom, gone map[place]bool) (kept []rawAtom, err error) {
	for i, a := range atoms {
		var blocks []Block
		same := true
		for j, b := range a.blocks {
			rs, err := decodeBlock(nil, b)
			if err != nil {
				return nil, err
			}
			left := rs[:0:0]
			for k, r := range rs {
				if !gone[place{i, j, k}] {
					left = append(left, r)
				}
			}
			if len(left) == len(rs) {
				blocks = append(blocks, b)
				continue
			}
			same = false
			if len(left) > 0 {
				c, err := chunk.Append(nil, left)
				if err != nil {
					return nil, err
				}
				blocks = append(blocks, Block{b.Series, c})
			}
		}
		switch {
		case same:
			kept = append(kept, raw[i])
		case len(blocks) > 0:
			a.blocks = blocks
			kept = append(kept, rawAtom{a.first, a.encode(nil)})
		}
	}
	return kept, nil
}

// replaceThinned puts kept in the place of the atoms of g, behind those of the segment before if that is thinned too and
// there is room.
func (s *Store) replaceThinned(g *segment, kept []rawAtom, days []DayLoss) error {
	s.mu.Lock()
	at := slices.Index(s.segments, g)
	var before *segment
	known := maps.Clone(s.series)
	if at > 0 {
		before = s.segments[at-1]
	}
	s.mu.Unlock()
	first := g.first
	note := Lost{Range: Range{g.first, g.End}, Why: thinned, Days: days, At: meter.MillisOf(s.o.Now())}
	for _, sp := range g.Series {
		if note.To == 0 {
			note.From, note.To = sp.From, sp.To
		}
		note.From, note.To = min(note.From, sp.From), max(note.To, sp.To)
	}
	notes := []Lost{note}
	if before != nil && len(before.Thinned) > 0 && before.End == g.first {
		raw, err := s.rawAtoms(before)
		if err != nil {
			return err
		}
		if joined := append(raw, kept...); fileSize(joined) < s.segmentSize {
			kept, first = joined, before.first
			notes = append(slices.Clone(before.Thinned), notes...)
		} else {
			before = nil
		}
	} else {
		before = nil
	}
	fresh, err := s.writeSegment(first, kept, known, &sealing{end: g.End, arrived: g.Arrived, thinned: notes}, nil)
	if err != nil {
		return err
	}
	if err := fresh.openForReading(); err != nil {
		return err
	}
	err = fresh.learnThin()
	fresh.close()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.remove(g)
	if before != nil {
		at--
		s.remove(before)
	}
	s.segments = slices.Insert(s.segments, at, fresh)
	s.noteThinned(note)
	s.o.Log.Warn("readings thinned for room", "first", note.First, "end", note.End, "from", note.From, "to", note.To)
	s.mu.Unlock()
	if before != nil {
		return s.o.disk.remove(g.path)
	}
	return nil
}

// noteThinned lists a thinning, once. The caller holds mu, or is Open.
func (s *Store) noteThinned(l Lost) {
	if slices.ContainsFunc(s.thinned, func(x Lost) bool { return x.Range == l.Range }) {
		return
	}
	s.thinned = append(s.thinned, l)
	s.dirty.head = true
	if len(s.thinned) > maxLost {
		s.thinned = slices.Delete(s.thinned, 0, 1)
	}
}

// fileSize is about what a segment of atoms takes.
func fileSize(atoms []rawAtom) int64 {
	size := int64(10 * pageSize)
	for _, a := range atoms {
		size += int64(len(a.value)) + elementSize + 8
	}
	return size + size/16
}
