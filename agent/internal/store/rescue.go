package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/meter"
)

// rescue makes a segment of what can still be read of the damaged segment g and of what the journal holds of it, sets the
// damaged file aside, and records what is missing. Sequence end is where the next segment begins, or 0 when g is the newest of
// a store that is being opened. The fresh segment is closed, and nil when nothing could be read. The caller holds mu, or is
// Open.
func (s *Store) rescue(g *segment, end uint64, journal []record, why error) (*segment, error) {
	x, err := s.o.disk.salvageSegment(g.path, 4*s.segmentSize+1<<20)
	if err != nil {
		s.o.Log.Error("nothing can be salvaged", "file", filepath.Base(g.path), "error", err)
	}
	if x.newer != nil {
		return nil, x.newer
	}
	if x.epoch != 0 && s.epoch == 0 {
		s.epoch = x.epoch
	}
	if s.epoch == 0 {
		if err := s.newEpoch(); err != nil {
			return nil, err
		}
	}
	if g.rescues >= 3 { // each time it was read back damaged again
		x.atoms = nil
	}
	newest := end == 0
	if newest {
		end = 1 << 62
	}
	var atoms []rawAtom
	at := g.first
	take := func(a rawAtom, before uint64) {
		y, err := decodeAtom(sequenceKey(a.first), a.value)
		if err == nil && y.first >= at && y.first+y.count <= before {
			atoms, at = append(atoms, a), y.first+y.count
		}
	}
	fill := func(before uint64) {
		for _, r := range journal {
			if r.epoch != s.epoch || r.first >= before {
				continue
			}
			for _, a := range r.atoms {
				take(a, before)
			}
			s.learnDefinitions(r.defs)
		}
	}
	if sameEpoch(x.epoch, s.epoch) {
		s.learnDefinitions(x.defs)
		for _, a := range x.atoms {
			fill(a.first)
			take(a, end)
		}
	}
	if !newest {
		fill(end)
	} else if len(atoms) > 0 && len(journal) > 0 {
		fill(x.end) // what is behind is replayed
	}

	var seal *sealing
	if !newest {
		seal = &sealing{end: end, arrived: g.Arrived, thinned: g.Thinned}
	}
	fresh, err := s.refill(g, atoms, seal, why)
	if err != nil {
		s.o.Log.Error("what was salvaged cannot be written", "file", filepath.Base(g.path), "error", err)
		fresh, atoms = nil, nil
		s.putAside(g.path, why)
	}
	if fresh != nil {
		fresh.rescues = g.rescues + 1
	}
	s.report = append(s.report, fmt.Sprintf("%s: %d atoms salvaged", filepath.Base(g.path), len(atoms)))
	s.missingOf(g, end, atoms)
	if newest && !x.endKnown {
		s.skip(max(at, s.next), journal)
	}
	return fresh, nil
}

// refill writes atoms into a fresh segment, sets the file of g aside and takes its place. Without atoms there is no segment.
func (s *Store) refill(g *segment, atoms []rawAtom, seal *sealing, why error) (*segment, error) {
	if len(atoms) == 0 {
		return nil, errors.New("no reading could be read")
	}
	fresh, err := s.writeSegment(g.first, atoms, s.series, seal, func() error {
		name, err := s.o.disk.setAside(g.path, s.o.Now(), true)
		if err == nil {
			s.reportAside(g.path, name, why)
		}
		return err
	})
	return fresh, err
}

// sealing is what the summary of a segment says beside what its atoms say.
type sealing struct {
	end     uint64
	arrived meter.Millis
	thinned []Lost
}

// writeSegment makes a closed segment of atoms, sealed if seal is set. It calls replace, if set, before the file takes its
// name.
func (s *Store) writeSegment(first uint64, atoms []rawAtom, known map[meter.SeriesID]meter.Series, seal *sealing, replace func() error) (*segment, error) {
	g := s.segmentAt("", first)
	g.summary = summary{End: first, Series: make(map[meter.SeriesID]span)}
	defs := make(map[meter.SeriesID]meter.Series)
	for _, a := range atoms {
		x, err := decodeAtom(sequenceKey(a.first), a.value)
		if err != nil {
			return nil, err
		}
		_ = g.note(x)
		for _, b := range x.blocks {
			if def, ok := known[b.Series]; ok {
				defs[b.Series] = def
			}
		}
	}
	if seal != nil {
		g.End, g.Arrived, g.Thinned = max(g.End, seal.end), max(g.Arrived, seal.arrived), seal.thinned
	}
	made, err := s.createSegment(first, func(tx *bbolt.Tx) error {
		if seal != nil {
			if err := putSummary(tx, g.summary); err != nil {
				return err
			}
		}
		return g.put(atoms, defs)(tx)
	}, replace)
	if err != nil {
		return nil, err
	}
	made.summary, made.sealed = g.summary, seal != nil
	for id := range defs {
		made.defined[id] = true
	}
	return made, made.stat()
}

// missingOf records what of g between its first sequence and the last of atoms is in no atom, with the times of the
// readings around it.
func (s *Store) missingOf(g *segment, end uint64, atoms []rawAtom) {
	at, from := g.first, meter.Millis(0)
	for _, raw := range atoms {
		a, err := decodeAtom(sequenceKey(raw.first), raw.value)
		if err != nil {
			continue
		}
		first, last := a.times()
		if a.first > at {
			s.loseUnacked(Lost{Range: Range{at, a.first}, Why: damaged, From: from, To: first})
		}
		at, from = a.first+a.count, last
	}
	if end < 1<<62 && end > at {
		s.loseUnacked(s.timed(Lost{Range: Range{at, end}, Why: damaged, From: from}))
	}
}

// skip passes over the sequences that a damaged newest segment may have given behind those that are known, so that none is
// given twice. A reading takes a byte at least, which bounds them; what the journal holds tells where the segment ended.
func (s *Store) skip(at uint64, journal []record) {
	for _, r := range journal {
		if r.epoch == s.epoch && r.first >= at {
			return
		}
	}
	end := at + uint64(2*s.segmentSize+1<<20)
	s.lose(Lost{Range: Range{at, end}, Why: skipped})
	s.next = end
}

// times returns the first and the last instant of a's readings.
func (a atom) times() (first, last meter.Millis) {
	any := false
	for _, b := range a.blocks {
		rs, _ := decodeBlock(nil, b)
		for _, r := range rs {
			if !any {
				first, last, any = r.At, r.At, true
			}
			first, last = min(first, r.At), max(last, r.At)
		}
	}
	return first, last
}
