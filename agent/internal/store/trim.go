package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"fluxora.dev/shared/meter"
)

// dropDamaged sets a segment aside that turned out to be damaged, and puts what can be read of it in its place. What is
// missing, and the hub has not got, is lost. The caller holds appending.
func (s *Store) dropDamaged(g *segment, why error) {
	s.mu.Lock()
	defer s.flushLosses()
	defer s.mu.Unlock()
	if g.gone {
		return
	}
	at := slices.Index(s.segments, g)
	active := g == s.active()
	var tail []record
	if active && len(s.tail.atoms) > 0 {
		tail = []record{{epoch: s.epoch, first: s.tail.atoms[0].first, atoms: s.tail.atoms}}
	}
	s.remove(g)
	fresh, err := s.rescue(g, g.End, tail, why)
	switch {
	case err != nil:
		s.o.Log.Error("a damaged segment cannot be rescued", "file", filepath.Base(g.path), "error", err)
		return
	case fresh == nil:
		for id, sp := range g.Series {
			s.trimmed[id] = max(s.trimmed[id], sp.To)
		}
	default:
		s.segments = slices.Insert(s.segments, at, fresh)
		if active {
			s.tail = noTail
			s.journal.restart()
		}
	}
}

// flushLosses makes lasting what was lost, so that it need not be found again. The caller holds appending, or is Open.
func (s *Store) flushLosses() {
	if err := s.flush(nil); err != nil {
		s.o.Log.Warn("what was lost is listed in memory only", "error", err)
	}
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
	if g.users == 0 && !g.writable {
		g.close()
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
	return n + s.journalSize
}

// room says how far the store is beyond what it may take.
type room int

const (
	enough room = iota
	tight       // what the hub has goes, and readings are thinned
	none        // the oldest readings go although the hub has not got them
)

// roomWith returns how it is with grow bytes more. The floor of free space is there for the other programs of the gateway:
// for them, what the hub has goes and readings are thinned, but a quarter of the cap is the store's own whatever they do.
// The caller holds mu.
func (s *Store) roomWith(grow int64) room {
	bytes := s.bytes() + grow
	if bytes > s.o.MaxBytes {
		return none
	}
	if s.o.MinFree < 0 {
		return enough
	}
	free, total, err := s.o.disk.free(s.dir)
	if err != nil {
		return enough // the write itself will tell
	}
	switch {
	case free-grow >= s.floor(total):
		return enough
	case bytes > s.o.MaxBytes/4:
		return none
	}
	return tight
}

// trim makes room for grow bytes more under the cap, and deletes what retention no longer wants.
// The caller holds appending.
func (s *Store) trim(grow int64) error {
	for {
		s.mu.Lock()
		x := s.dispensable(s.roomWith(grow))
		s.mu.Unlock()
		if x == (dispensable{}) {
			return nil
		}
		if err := s.dispense(x); err != nil {
			return fmt.Errorf("trim: %w", err)
		}
	}
}

// dispensable is what to do for room: delete a file that was set aside, or thin or delete a segment.
type dispensable struct {
	file string
	thin *segment
	drop *segment
}

// dispense does it. The caller holds appending.
func (s *Store) dispense(x dispensable) error {
	switch {
	case x.file != "":
		s.mu.Lock()
		delete(s.setAside, x.file)
		s.mu.Unlock()
		if err := s.o.disk.remove(filepath.Join(s.dir, x.file)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		s.o.Log.Warn("deleted a damaged file for room", "file", x.file)
		return nil
	case x.thin != nil:
		saved, err := s.thinOut(x.thin)
		if errors.Is(err, errDamaged) {
			s.dropDamaged(x.thin, err)
			err = nil
		}
		if err != nil {
			s.o.Log.Error("readings cannot be thinned", "error", err)
		}
		if !saved || err != nil {
			s.mu.Lock()
			x.thin.spared = true
			s.mu.Unlock()
			return nil
		}
		return s.flush(nil)
	}
	g := x.drop
	s.mu.Lock()
	unacked := !s.acked.contains(Range{g.first, g.End})
	s.mu.Unlock()
	var days []DayLoss
	if unacked {
		days = s.daysOf(g)
	}
	s.mu.Lock()
	s.remove(g)
	s.loseSegment(g, evicted, days) // nothing, if it is acked
	s.mu.Unlock()
	err := s.flush(nil)
	if err == nil || unacked && isFull(err) {
		// Without room for state.db either, the segment's absence is found at the next start.
		err = s.o.disk.remove(g.path)
	}
	return err
}

// daysOf counts what of g the hub has not got.
func (s *Store) daysOf(g *segment) []DayLoss {
	raw, err := s.rawAtoms(g)
	if err != nil {
		s.o.Log.Error("what is evicted cannot be counted", "error", err)
		return nil
	}
	s.mu.Lock()
	known := s.gone() // what was set aside is listed as lost already
	for _, r := range s.acked {
		known = known.add(r)
	}
	s.mu.Unlock()
	counts := make(dayCount)
	for _, r := range raw {
		a, err := decodeAtom(sequenceKey(r.first), r.value)
		if err != nil || known.contains(Range{a.first, a.first + a.count}) {
			continue
		}
		for _, b := range a.blocks {
			rs, _ := decodeBlock(nil, b)
			for _, reading := range rs {
				counts.add(reading)
			}
		}
	}
	return counts.list()
}

// dispensable returns what to do next. The caller holds mu.
func (s *Store) dispensable(is room) dispensable {
	if is != enough && len(s.setAside) > 0 {
		return dispensable{file: slices.Min(slices.Collect(maps.Keys(s.setAside)))}
	}
	old := meter.MillisOf(s.o.Now().Add(-s.o.Retention))
	var acked, thin, any *segment
	for _, g := range s.segments {
		if g.writable {
			continue
		}
		any = cmp.Or(any, g)
		if s.acked.contains(Range{g.first, g.End}) {
			if g.End <= s.flushed && g.Arrived < old {
				return dispensable{drop: g}
			}
			acked = cmp.Or(acked, g)
		} else if thin == nil && len(g.Thinned) == 0 && !g.spared && s.o.Thin != nil {
			thin = g
		}
	}
	switch {
	case is == enough:
		return dispensable{}
	case acked != nil:
		return dispensable{drop: acked}
	case thin != nil:
		return dispensable{thin: thin}
	case is == none && any != nil:
		return dispensable{drop: any}
	}
	return dispensable{}
}

// evictForRoom makes room when the file system has none left, however little the store takes, and reports whether it could.
// The caller holds appending.
func (s *Store) evictForRoom() bool {
	s.mu.Lock()
	x := s.dispensable(none)
	if x.thin != nil {
		x = dispensable{drop: x.thin} // a thinned one would have to be written first
	}
	s.mu.Unlock()
	if x == (dispensable{}) {
		return false
	}
	if err := s.dispense(x); err != nil {
		s.o.Log.Error("no room can be made", "error", err)
		return false
	}
	return true
}

// isFull reports whether err says that the file system is full. bbolt does not wrap all of its errors.
func isFull(err error) bool {
	return err != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || strings.Contains(err.Error(), syscall.ENOSPC.Error()))
}

// Trim deletes the segments that retention no longer wants.
func (s *Store) Trim() error {
	s.appending.Lock()
	defer s.appending.Unlock()
	return s.trim(0)
}

// roomFor returns the active segment with room for size bytes, beginning a new one and trimming as needed.
// The caller holds appending.
func (s *Store) roomFor(size int64) (*segment, error) {
	s.mu.Lock()
	waits := s.tail.bytes
	grow := size + waits + 8*pageSize + int64(growth(s.segmentSize))
	g := s.active()
	full := g == nil || g.End > g.first && g.size+waits+size+4*pageSize > s.segmentSize
	s.mu.Unlock()
	if full && g != nil {
		if err := s.trim(grow); err != nil {
			return nil, err
		}
		if err := s.sealActive(g); err != nil {
			return nil, err
		}
	}
	if full {
		grow += 8 * pageSize
	}
	if err := s.trim(grow); err != nil {
		return nil, err
	}
	if full {
		s.mu.Lock()
		first := s.next
		if len(s.tail.atoms) > 0 {
			first = s.tail.atoms[0].first
		}
		s.mu.Unlock()
		if err := s.newSegment(first); err != nil {
			return nil, err
		}
		s.mu.Lock()
		g = s.active()
		s.noteTail(g)
		s.mu.Unlock()
	}
	return g, nil
}

// sealActive carries what the journal holds into the active segment and seals it. One that turns out to be damaged is dealt
// with. The caller holds appending.
func (s *Store) sealActive(g *segment) error {
	err := s.carry(g, nil)
	size := int64(0)
	if err == nil {
		s.remakeJournal()
		size, err = s.seal(g)
	}
	if errors.Is(err, errDamaged) {
		s.dropDamaged(g, err)
		return nil
	} else if err != nil {
		return err
	}
	s.mu.Lock()
	g.writable, g.size = false, size
	s.settle(g)
	s.mu.Unlock()
	return nil
}

// active returns the segment that is written to, nil without one. The caller holds mu.
func (s *Store) active() *segment {
	if n := len(s.segments); n > 0 && s.segments[n-1].writable {
		return s.segments[n-1]
	}
	return nil
}
