package store

import (
	"fmt"

	"fluxora.dev/shared/meter"
)

// maxJournal bounds the journal, and so what is carried into a segment at once and what waits in memory.
const maxJournal = 256 << 10

// tail is what of the active segment is in the journal and not yet in its file. It is guarded by Store.mu; its slice is
// never changed in place, so that a reader may keep it.
type tail struct {
	atoms []rawAtom
	bytes int64
	defs  map[meter.SeriesID]bool // definitions that the journal holds
}

// noTail is the tail when everything is in the segment's file.
var noTail tail

// add takes a record that is in the journal.
func (t *tail) add(r record) {
	t.atoms = append(t.atoms, r.atoms...)
	for _, a := range r.atoms {
		t.bytes += int64(len(a.value))
	}
	if t.defs == nil {
		t.defs = make(map[meter.SeriesID]bool)
	}
	for id := range r.defs {
		t.defs[id] = true
	}
}

// carry commits the tail, and more behind it, to the active segment, and lets the journal begin again. The caller holds
// appending.
func (s *Store) carry(g *segment, more []rawAtom) error {
	s.mu.Lock()
	atoms := append(s.tail.atoms[:len(s.tail.atoms):len(s.tail.atoms)], more...)
	defs := make(map[meter.SeriesID]meter.Series)
	for id, of := range s.series {
		if !g.defined[id] {
			defs[id] = of
		}
	}
	s.mu.Unlock()
	if len(atoms) == 0 {
		return nil
	}
	used := make(map[meter.SeriesID]meter.Series)
	for _, a := range atoms {
		x, err := decodeAtom(sequenceKey(a.first), a.value)
		if err != nil {
			return fmt.Errorf("carry journal: %w", err) // memory failed: decodeAtom gave it to nobody yet
		}
		for _, b := range x.blocks {
			if def, ok := defs[b.Series]; ok {
				used[b.Series] = def
			}
		}
	}
	if err := s.update(g.db, g.put(atoms, used)); err != nil {
		return err
	}
	s.mu.Lock()
	for id := range used {
		g.defined[id] = true
	}
	s.tail = noTail
	err := g.stat()
	s.mu.Unlock()
	s.journal.restart()
	return err
}

// remakeJournal makes the journal anew after a failure, once nothing in it is needed. Without one, every Append goes to the
// segment directly. The caller holds appending, or is Open.
func (s *Store) remakeJournal() {
	if s.journal != nil && !s.journal.broken || len(s.tail.atoms) > 0 || !s.upgraded {
		return
	}
	generation := uint64(1)
	if s.journal != nil {
		generation = s.journal.generation + 1
		_ = s.journal.file.Close()
		s.journal = nil
	}
	j, err := s.o.disk.createJournal(s.dir, s.journalSize, generation)
	if err != nil {
		s.o.Log.Warn("no journal can be written at the moment: appends cost more", "error", err)
		return
	}
	s.wear.note(s.o.Now(), s.journalSize)
	s.journal = j
}
