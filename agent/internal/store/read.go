package store

import (
	"errors"
	"fmt"
	"slices"

	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// Batch is a union of adjacent whole atoms for the hub. The counts of its blocks and Refused add up to Count.
type Batch struct {
	First, Count uint64
	Blocks       []Block // one per series; the bytes are the caller's
	Refused      uint64  // readings that are not in Blocks because they were evicted or cannot be read any more
}

// Next returns the sequence that the next reading will get; the first one gets 1.
func (s *Store) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// errUnwritten says that what the journal holds is in no segment, because none can be written.
var errUnwritten = errors.New("what the journal holds cannot be read before a segment can be written")

// locate returns the segment that holds seq, held for reading, with what of it is in the journal and the end of both; or
// else the end of the hole that seq is in.
func (s *Store) locate(seq uint64) (g *segment, tail []rawAtom, end uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		if seq < g.first {
			return nil, nil, g.first, nil
		}
		if seq < g.End {
			if g == s.active() {
				tail = s.tail.atoms
			}
			return g, tail, g.End, s.hold(g)
		}
	}
	if n := len(s.tail.atoms); n > 0 && s.active() == nil {
		return nil, nil, 0, errUnwritten
	}
	return nil, nil, s.next, nil
}

// hold keeps the file of g open until release. The caller holds mu.
func (s *Store) hold(g *segment) error {
	if s.closed {
		return ErrClosed
	}
	if g.db == nil && g.file == nil {
		if err := g.openForReading(); err != nil {
			return err
		}
	}
	g.users++
	return nil
}

func (s *Store) release(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.users--
	s.settle(g)
}

// atoms calls fn with atoms from the one that holds sequence from on, in one segment, and returns the sequence after the
// last one taken. fn returns false to leave an atom and stop. Holes and damaged atoms are told by skip.
func (s *Store) atoms(from uint64, fn func(a atom) bool, skip func(r Range) bool) (next uint64, err error) {
	g, tail, end, err := s.locate(from)
	if g == nil && err == nil {
		if end > from && skip(Range{from, end}) {
			return end, nil
		}
		return from, nil
	}
	if g == nil {
		return from, err
	}
	if err == nil {
		next = from
		var short error // something is missing of which nothing is known
		hole := func(r Range) bool {
			if !s.explained(r) {
				short = fmt.Errorf("%w: nothing at sequences %s", errDamaged, r)
				return false
			}
			return skip(r)
		}
		visit := func(a atom, err error) bool {
			if a.first >= end {
				return false
			}
			if err == nil && a.first > next && !hole(Range{next, a.first}) {
				end = next // behind the hole there is more, which is not asked for
				return false
			}
			if err != nil || a.first < next && a.first+a.count <= next {
				return true // a hole up to the next atom, or carried since the tail was taken
			}
			if !fn(a) {
				next = max(next, a.first)
				end = next
				return false
			}
			next = a.first + a.count
			return true
		}
		on := true
		err = g.atomsFrom(from, func(a atom, err error) bool {
			on = visit(a, err)
			return on
		})
		for _, raw := range tail {
			if on && err == nil && raw.first+MaxAtom > from {
				on = visit(decodeAtom(sequenceKey(raw.first), raw.value))
			}
		}
		if err == nil && next < end && hole(Range{next, end}) {
			next = end
		}
		err = errors.Join(err, short)
		s.release(g)
	}
	if errors.Is(err, errDamaged) {
		s.appending.Lock()
		defer s.appending.Unlock()
		s.dropDamaged(g, err)
		return next, nil // what it held is read again from what could be salvaged, or is a hole now
	}
	return next, err
}

// ReadFrom returns whole atoms from the one that holds sequence first on, at most maxReadings of them but at least one
// atom, and none that the hub has already. Count is 0 when there is nothing. A range that was lost comes as a batch of its
// own whose readings are all Refused.
func (s *Store) ReadFrom(first uint64, maxReadings int) (Batch, error) {
	maxReadings = min(max(maxReadings, 1), chunk.MaxReadings)
	s.mu.Lock()
	limit := s.next
	for _, r := range s.acked.without(Range{first, max(first, s.next)}) {
		first, limit = r.First, r.End
		break
	}
	if s.acked.contains(Range{first, limit}) {
		limit = first
	}
	refused, limit := s.lostFrom(first, limit)
	s.mu.Unlock()
	if refused > first {
		return Batch{First: first, Count: refused - first, Refused: refused - first}, nil
	}
	b := Batch{First: first}
	parts := make(map[meter.SeriesID][][]byte)
	var order []meter.SeriesID
	for first < limit && b.Count == 0 {
		next, err := s.atoms(first, func(a atom) bool {
			if b.Count == 0 {
				b.First = a.first
			}
			if b.Count > 0 && (b.Count+a.count > uint64(maxReadings) || a.first >= limit) {
				return false
			}
			b.Count += a.count
			for _, x := range a.blocks {
				if parts[x.Series] == nil {
					order = append(order, x.Series)
				}
				parts[x.Series] = append(parts[x.Series], slices.Clone(x.Chunk))
			}
			return true
		}, func(r Range) bool {
			if b.Count > 0 {
				return false
			}
			r.End = min(r.End, limit)
			b = Batch{First: r.First, Count: r.Len(), Refused: r.Len()}
			return false
		})
		if err != nil {
			return Batch{}, err
		}
		if next <= first && b.Count == 0 {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return Batch{}, ErrClosed
			}
			continue // the segment was set aside just now; what it held is a hole
		}
		first = next
	}
	held := uint64(0)
	for _, id := range order {
		c, n := mergeChunks(parts[id])
		if n > 0 {
			b.Blocks = append(b.Blocks, Block{Series: id, Chunk: c})
		}
		held += n
	}
	b.Refused = b.Count - min(held, b.Count)
	return b, nil
}

// mergeChunks makes one chunk of several; what does not decode is left out of the count.
func mergeChunks(parts [][]byte) ([]byte, uint64) {
	if len(parts) == 1 {
		n, err := chunk.Len(parts[0])
		if err != nil {
			return nil, 0
		}
		return parts[0], uint64(n)
	}
	var rs []meter.Reading
	for _, p := range parts {
		if more, err := chunk.Decode(rs, p, 0); err == nil {
			rs = more
		}
	}
	b, err := chunk.Append(nil, rs)
	if err != nil {
		return nil, 0
	}
	return b, uint64(len(rs))
}

// Readings returns the readings from sequence from on, in whole atoms, grouped by series within an atom, and the sequence
// to go on with: the end of the last atom. It returns none when from is Next. Lost ranges before an atom are passed over.
func (s *Store) Readings(from uint64, atLeast int) (rs []meter.Reading, next uint64, err error) {
	next = max(from, 1)
	for len(rs) < atLeast && next < s.Next() {
		next, err = s.atoms(next, func(a atom) bool {
			if len(rs) >= atLeast {
				return false
			}
			for _, b := range a.blocks {
				if more, err := decodeBlock(rs, b); err == nil {
					rs = more
				}
			}
			return true
		}, func(Range) bool { return len(rs) < atLeast })
		if err != nil {
			return rs, next, err
		}
	}
	return rs, next, nil
}

// Scan calls fn with the readings of a series whose instant is in [from, to), in order of arrival, until fn returns an
// error, which Scan returns.
func (s *Store) Scan(series meter.SeriesID, from, to meter.Millis, fn func(meter.Reading) error) error {
	return s.ScanBelow(s.Next(), series, from, to, fn)
}

// ScanBelow is Scan over the atoms that begin below sequence end.
func (s *Store) ScanBelow(end uint64, series meter.SeriesID, from, to meter.Millis, fn func(meter.Reading) error) error {
	s.mu.Lock()
	var firsts []uint64
	for _, g := range s.segments {
		if sp, ok := g.Series[series]; ok && sp.From < to && sp.To >= from {
			firsts = append(firsts, g.first)
		}
	}
	s.mu.Unlock()
	for _, first := range firsts {
		var rs []meter.Reading
		_, err := s.atoms(first, func(a atom) bool {
			if a.first >= end {
				return false
			}
			for _, b := range a.blocks {
				if b.Series != series {
					continue
				}
				had := len(rs)
				if more, err := decodeBlock(rs, b); err == nil {
					kept := slices.DeleteFunc(more[had:], func(r meter.Reading) bool { return r.At < from || r.At >= to })
					rs = more[:had+len(kept)]
				}
			}
			return true
		}, func(Range) bool { return true })
		if err != nil {
			return err
		}
		for _, r := range rs {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func decodeBlock(dst []meter.Reading, b Block) ([]meter.Reading, error) {
	return chunk.Decode(dst, b.Chunk, b.Series)
}
