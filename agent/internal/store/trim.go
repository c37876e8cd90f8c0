package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"fluxora.dev/shared/meter"
)

// Lost is a range of sequences that left the store before the hub had it.
type Lost struct {
	Range           // for damage, the sequences that the file can have held at most
	Why      string // "evicted" (the cap was reached), "damaged" or "unstorable" (see SetAside)
	From, To meter.Millis
	At       meter.Millis // when it happened
}

// maxLost bounds the list of lost ranges; the oldest that the hub knows of are dropped first.
const maxLost = 1000

// Lost lists the ranges that left the store before the hub had them, oldest first.
func (s *Store) Lost() []Lost {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lost)
}

// lose records a lost range. The caller holds mu, or is Open.
func (s *Store) lose(l Lost) {
	if l.Len() == 0 {
		return
	}
	l.At = meter.MillisOf(s.o.Now())
	s.lost = append(s.lost, l)
	s.dirty.head = true
	s.o.Log.Error("readings lost", "why", l.Why, "first", l.First, "end", l.End, "from", l.From, "to", l.To)
	for len(s.lost) > maxLost {
		i := max(0, slices.IndexFunc(s.lost, func(l Lost) bool { return s.acked.contains(l.Range) }))
		s.lostOld += s.lost[i].Len()
		s.lost = slices.Delete(s.lost, i, i+1)
	}
}

// dropDamaged sets a segment aside that turned out to be damaged. What of it the hub has not got is lost.
// The caller holds appending if g is the active segment.
func (s *Store) dropDamaged(g *segment, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.gone {
		return
	}
	s.remove(g)
	s.loseSegment(g, "damaged")
	s.putAside(g.path, why)
}

// loseSegment records that g is gone, and what of it the hub has not got. The caller holds mu.
func (s *Store) loseSegment(g *segment, why string) {
	l := Lost{Why: why}
	for id, sp := range g.Series {
		s.trimmed[id] = max(s.trimmed[id], sp.To)
		if l.To == 0 && l.From == 0 {
			l.From, l.To = sp.From, sp.To
		}
		l.From, l.To = min(l.From, sp.From), max(l.To, sp.To)
	}
	known := slices.Clone(s.acked)
	for _, l := range s.lost {
		known = known.add(l.Range)
	}
	for _, r := range known.without(Range{g.first, g.End}) {
		l.Range = r
		s.lose(l)
	}
}

// Trimmed returns the last instant of a series that was in a segment which is gone: the log holds everything after it.
// Without such a segment it returns false.
func (s *Store) Trimmed(id meter.SeriesID) (meter.Millis, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.trimmed[id]
	return at, ok
}

// remove takes g off the list; the file stays. The caller holds mu.
func (s *Store) remove(g *segment) {
	g.gone, g.writable = true, false
	if i := slices.Index(s.segments, g); i >= 0 {
		s.segments = slices.Delete(s.segments, i, i+1)
	}
	s.settle(g)
}

// settle closes the file of a segment that nobody needs open. The caller holds mu.
func (s *Store) settle(g *segment) {
	if g.users == 0 && !g.writable && g.db != nil {
		_ = g.db.Close()
		g.db = nil
	}
}

// Bytes returns the size of all files.
func (s *Store) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes()
}

func (s *Store) bytes() int64 {
	n := int64(0)
	for _, g := range s.segments {
		n += g.size
	}
	for _, size := range s.setAside {
		n += size
	}
	if info, err := os.Stat(s.statePath()); err == nil {
		n += info.Size()
	}
	return n
}

// trim makes room for grow bytes more under the cap, and deletes what retention no longer wants.
// The caller holds appending.
func (s *Store) trim(grow int64) error {
	for {
		s.mu.Lock()
		over := s.bytes()+grow > s.o.MaxBytes
		name, g := s.dispensable(over)
		if name != "" {
			delete(s.setAside, name)
			s.mu.Unlock()
			if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("trim: %w", err)
			}
			s.o.Log.Warn("deleted a damaged file for room", "file", name)
			continue
		}
		if g == nil {
			s.mu.Unlock()
			return nil
		}
		s.remove(g)
		s.loseSegment(g, "evicted") // nothing, if it is acked
		s.mu.Unlock()
		err := s.flush(nil)
		if err == nil {
			err = os.Remove(g.path)
		}
		if err != nil {
			return fmt.Errorf("trim: %w", err)
		}
	}
}

// dispensable returns the next file to delete: one set aside or a segment. The caller holds mu.
func (s *Store) dispensable(over bool) (name string, g *segment) {
	if over && len(s.setAside) > 0 {
		return slices.Min(slices.Collect(maps.Keys(s.setAside))), nil
	}
	old := meter.MillisOf(s.o.Now().Add(-s.o.Retention))
	var acked, any *segment
	for _, g := range s.segments {
		if g.writable {
			continue
		}
		any = cmp.Or(any, g)
		if s.acked.contains(Range{g.first, g.End}) {
			if g.End <= s.flushed && g.Arrived < old {
				return "", g
			}
			acked = cmp.Or(acked, g)
		}
	}
	if !over {
		return "", nil
	}
	return "", cmp.Or(acked, any)
}

// Trim deletes the segments that retention no longer wants.
func (s *Store) Trim() error {
	s.appending.Lock()
	defer s.appending.Unlock()
	return s.trim(0)
}

// losses is what is kept of segments that are gone.
type losses struct {
	Lost    []Lost
	Old     uint64
	Trimmed map[meter.SeriesID]meter.Millis
}

func (s *Store) encodeLosses() ([]byte, error) {
	return json.Marshal(losses{s.lost, s.lostOld, s.trimmed})
}

func (s *Store) decodeLosses(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var l losses
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("%w: lost ranges: %w", errDamaged, err)
	}
	s.lost, s.lostOld = l.Lost, l.Old
	maps.Copy(s.trimmed, l.Trimmed)
	return nil
}

// roomFor returns the active segment with room for size bytes, beginning a new one and trimming as needed.
// The caller holds appending.
func (s *Store) roomFor(size int64) (*segment, error) {
	grow := size + 8*pageSize + int64(growth(s.segmentSize))
	s.mu.Lock()
	g := s.active()
	full := g == nil || g.End > g.first && g.size+size+4*pageSize > s.segmentSize
	s.mu.Unlock()
	if full && g != nil {
		size, err := g.seal()
		if errors.Is(err, errDamaged) {
			s.dropDamaged(g, err)
		} else if err != nil {
			return nil, err
		}
		s.mu.Lock()
		g.writable, g.size = false, size
		s.settle(g)
		s.mu.Unlock()
	}
	if full {
		grow += 8 * pageSize
	}
	if err := s.trim(grow); err != nil {
		return nil, err
	}
	if full {
		if err := s.newSegment(); err != nil {
			return nil, err
		}
		s.mu.Lock()
		g = s.active()
		s.mu.Unlock()
	}
	return g, nil
}

// active returns the segment that is written to, nil without one. The caller holds mu.
func (s *Store) active() *segment {
	if n := len(s.segments); n > 0 && s.segments[n-1].writable {
		return s.segments[n-1]
	}
	return nil
}
