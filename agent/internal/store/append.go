package store

import (
	"context"
	"errors"
	"fmt"

	"fluxora.dev/shared/meter"
)

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("the store is closed")

// Append stores readings durably, in one commit, and returns the sequence of the first; the others follow. It must be
// given numbers from SeriesID. On an error nothing was stored, and the same call may be tried again. The slice stays the
// caller's. Append waits for one other Append, never for the hub.
// Without readings it only makes what the journal holds readable, if that could not be done at Open.
func (s *Store) Append(ctx context.Context, rs []meter.Reading) (first uint64, err error) {
	s.appending.Lock()
	defer s.appending.Unlock()
	if len(rs) == 0 {
		return s.Next(), s.makeReadable()
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("append readings: %w", context.Cause(ctx))
	}
	if first, err = s.append(rs); err != nil {
		return 0, fmt.Errorf("append %d readings: %w", len(rs), err)
	}
	return first, nil
}

// makeReadable makes a segment for what the journal holds when none could be made at Open, so that it can be read. The caller holds appending.
func (s *Store) makeReadable() error {
	s.mu.Lock()
	closed, unwritten := s.closed, len(s.tail.atoms) > 0 && s.active() == nil
	s.mu.Unlock()
	if closed || !unwritten {
		return nil
	}
	_, err := s.roomFor(0)
	return err
}

func (s *Store) append(rs []meter.Reading) (uint64, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, ErrClosed
	}
	first := s.next
	used := make(map[meter.SeriesID]meter.Series)
	for i, r := range rs {
		if i > 0 && rs[i-1].Series == r.Series {
			continue
		}
		of, ok := s.series[r.Series]
		if !ok {
			s.mu.Unlock()
			return 0, fmt.Errorf("series %d is not registered", r.Series)
		}
		used[r.Series] = of
	}
	s.mu.Unlock()

	arrived := meter.MillisOf(s.o.Now())
	rec := record{epoch: s.epoch, first: first, count: uint64(len(rs))}
	size := int64(0)
	for at := 0; at < len(rs); at += MaxAtom {
		part := rs[at:min(at+MaxAtom, len(rs))]
		v, err := s.grouper.encodeAtom(nil, first+uint64(at), arrived, part)
		if err != nil {
			return 0, err
		}
		rec.atoms = append(rec.atoms, rawAtom{first + uint64(at), v})
		size += int64(len(v))
	}

	for try := 0; ; try++ {
		g, err := s.roomFor(size)
		if err == nil {
			err = s.write(g, rec, used, size)
		}
		switch {
		case err == nil:
			s.commit(g, arrived, rec, rs)
			return first, nil
		case errors.Is(err, errDamaged) && try == 0:
			s.dropDamaged(g, err)
		case isFull(err) && s.evictForRoom():
			// The file system is full below the cap: old readings make room for new ones.
		default:
			return 0, err
		}
	}
}

// write makes a record durable: in the journal if it has room, else in the segment, together with what the journal holds.
func (s *Store) write(g *segment, rec record, used map[meter.SeriesID]meter.Series, size int64) error {
	if s.journal != nil && !s.journal.broken {
		rec.generation = s.journal.generation
		rec.defs = s.missing(g, used)
		b, err := rec.append(nil)
		if err != nil {
			return err
		}
		if s.journal.fits(len(b)) {
			n, err := s.journal.write(b)
			if err == nil {
				s.wear.noteCommit(s.o.Now(), n, size)
				s.mu.Lock()
				s.tail.add(rec)
				s.mu.Unlock()
				return nil
			}
			s.o.Log.Error("the journal cannot be written: readings go to their segment directly", "error", err)
		}
	}
	if err := s.carry(g, rec.atoms); err != nil {
		return err
	}
	s.wear.noteCommit(s.o.Now(), 0, size)
	s.remakeJournal()
	return nil
}

// commit takes a committed append into memory and tells the world.
func (s *Store) commit(g *segment, arrived meter.Millis, rec record, rs []meter.Reading) {
	s.mu.Lock()
	s.next = rec.end()
	g.noteReadings(s.next, arrived, rs)
	if err := g.stat(); err != nil {
		s.o.Log.Warn("size of the active segment is unknown", "error", err)
	}
	s.announce()
	s.mu.Unlock()
}

// missing returns the definitions of used that neither the segment nor the journal has yet.
func (s *Store) missing(g *segment, used map[meter.SeriesID]meter.Series) map[meter.SeriesID]meter.Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	defs := make(map[meter.SeriesID]meter.Series)
	for id, of := range used {
		if !g.defined[id] && !s.tail.defs[id] {
			defs[id] = of
		}
	}
	return defs
}
