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
func (s *Store) Append(ctx context.Context, rs []meter.Reading) (first uint64, err error) {
	if len(rs) == 0 {
		return s.Next(), nil
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("append readings: %w", context.Cause(ctx))
	}
	if first, err = s.append(rs); err != nil {
		return 0, fmt.Errorf("append %d readings: %w", len(rs), err)
	}
	return first, nil
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
	var firsts []uint64
	var values [][]byte
	size := int64(0)
	for at := 0; at < len(rs); at += MaxAtom {
		part := rs[at:min(at+MaxAtom, len(rs))]
		v, err := s.grouper.encodeAtom(nil, first+uint64(at), arrived, part)
		if err != nil {
			return 0, err
		}
		firsts, values, size = append(firsts, first+uint64(at)), append(values, v), size+int64(len(v))
	}

	for try := 0; ; try++ {
		g, err := s.roomFor(size)
		if err == nil {
			err = g.put(firsts, values, missing(g, used))
		}
		if err == nil {
			s.commit(g, first, arrived, rs)
			return first, nil
		}
		if !errors.Is(err, errDamaged) || try > 0 {
			return 0, err
		}
		s.dropDamaged(g, err)
	}
}

// commit takes a committed append into memory and tells the world.
func (s *Store) commit(g *segment, first uint64, arrived meter.Millis, rs []meter.Reading) {
	s.mu.Lock()
	s.next = first + uint64(len(rs))
	g.noteReadings(s.next, arrived, rs)
	if err := g.stat(); err != nil {
		s.o.Log.Warn("size of the active segment is unknown", "error", err)
	}
	s.announce()
	s.mu.Unlock()
}

// missing returns the definitions of used that the segment does not have yet.
func missing(g *segment, used map[meter.SeriesID]meter.Series) map[meter.SeriesID]meter.Series {
	defs := make(map[meter.SeriesID]meter.Series)
	for id, of := range used {
		if _, ok := g.Series[id]; !ok {
			defs[id] = of
		}
	}
	return defs
}
