package store

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fluxora.dev/shared/meter"
)

// openSegments lists the log, sets damaged files aside, and makes the active segment ready.
func (s *Store) openSegments() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var found []*segment
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		if first, ok := parseSegmentName(e.Name()); ok {
			found = append(found, s.segmentAt(path, first))
			continue
		}
		if strings.HasSuffix(e.Name(), ".new") {
			if err := s.o.disk.remove(path); err != nil {
				return err
			}
		}
		if info, err := e.Info(); err == nil && isSetAside(e.Name()) {
			s.setAside[e.Name()] = info.Size()
		}
	}
	slices.SortFunc(found, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })

	inJournal, err := s.o.disk.readJournal(s.dir, s.journalSize, s.schema >= 3)
	if err != nil {
		s.putAside(filepath.Join(s.dir, journalName), fmt.Errorf("the journal cannot be read: %w", err))
		inJournal.garbled = true
	}
	if err := s.takeSegments(found, inJournal.whole); err != nil {
		return err
	}
	records, end := s.replay(inJournal)
	s.learnSeries()
	given := max(s.next, s.acked.end(), s.applied, end) // below it, every sequence was
	s.next = max(given, inJournal.tornEnd(s.epoch))
	if inJournal.lost > 0 {
		s.o.Log.Error("storage lost a part of the journal: readings may be missing", "behind sequence", given, "sectors", inJournal.lost)
	}
	if inJournal.lost > 0 || inJournal.garbled {
		s.next += uint64(s.journalSize) // a reading takes a byte at least, so no sequence is given twice
	}
	known := len(s.lost)
	s.lose(Lost{Range: Range{given, s.next}, Why: skipped})
	s.findGaps(records)
	if len(s.lost) > known || len(s.report) > 0 {
		s.flushLosses() // before a segment begins behind them, which would make the one before seem cut short
	}
	s.startWriting(records, inJournal)
	s.opened = s.next
	return nil
}

// takeSegments reads the heads of the segments found, rescues what can be read of damaged ones, and settles the epoch.
func (s *Store) takeSegments(found []*segment, whole []record) error {
	damage := make(map[*segment]error)
	votes := make(map[uint64]int)
	for i, g := range found {
		err := s.readSegment(g, i == len(found)-1)
		if errors.Is(err, errDamaged) {
			damage[g] = err
			continue
		} else if err != nil {
			return fmt.Errorf("segment %s: %w", filepath.Base(g.path), err)
		}
		votes[g.epoch]++
	}
	for _, r := range whole {
		votes[r.epoch] += 1 << 20 // it has a checksum
	}
	s.settleEpoch(votes)
	found = slices.DeleteFunc(found, func(g *segment) bool {
		if damage[g] != nil || g.epoch == s.epoch {
			return false
		}
		why := fmt.Errorf("%w: epoch %d: the store has %d", errDamaged, g.epoch, s.epoch)
		if sameEpoch(g.epoch, s.epoch) {
			damage[g] = why
			return false
		}
		s.putAside(g.path, why)
		return true
	})
	for i, g := range found {
		why, bad := damage[g]
		if !bad {
			why = s.cutShort(g, found[i+1:], whole)
			bad = why != nil
		}
		if !bad {
			if n := len(s.segments); n > 0 && len(s.segments[n-1].Thinned) > 0 && s.segments[n-1].End >= g.End && g.End > g.first {
				// It was thinned into the one before, and the power went before it was deleted.
				if err := s.o.disk.remove(g.path); err != nil {
					return err
				}
				continue
			}
			s.segments = append(s.segments, g)
			s.next = max(s.next, g.End)
			for _, l := range g.Thinned {
				s.noteThinned(l)
			}
			continue
		}
		end := uint64(0)
		if i+1 < len(found) {
			end = found[i+1].first
		}
		fresh, err := s.rescue(g, end, whole, why)
		if err != nil {
			return err
		}
		if fresh != nil {
			s.segments = append(s.segments, fresh)
		}
	}
	if s.epoch == 0 {
		if err := s.newEpoch(); err != nil {
			return err
		}
	}
	return nil
}

// startWriting makes the active segment and the journal ready, and carries over what the journal held. If that fails, as on
// a full or read-only file system, the agent starts all the same: Append tries again and reports.
func (s *Store) startWriting(records []record, inJournal journalContents) {
	var err error
	var g *segment
	if n := len(s.segments); n > 0 {
		g = s.segments[n-1]
	}
	if g != nil && !g.sealed && (len(records) > 0 || g.End == s.next) && g.size < s.segmentSize {
		err = g.openForWriting(s.segmentSize)
	} else {
		first := s.next
		if len(records) > 0 {
			first = records[0].first
		}
		err = s.newSegment(first)
	}
	for _, r := range records {
		s.tail.add(r)
	}
	if err == nil && len(records) > 0 {
		g = s.segments[len(s.segments)-1]
		s.noteTail(g)
		if err = s.carry(g, nil); err == nil {
			err = g.stat()
		}
	}
	if err != nil {
		s.o.Log.Error("no segment can be written at the moment", "error", err)
	}
	if len(s.tail.atoms) > 0 {
		s.journal = &journal{file: noFile{}, generation: inJournal.newest(), broken: true}
		return
	}
	s.openJournal(inJournal)
}

// noteTail takes what the journal holds into the summary of the active segment. The caller holds mu, or is Open.
func (s *Store) noteTail(g *segment) {
	for _, a := range s.tail.atoms {
		if x, err := decodeAtom(sequenceKey(a.first), a.value); err == nil {
			_ = g.note(x) // what does not decode is refused when it is read
		}
	}
}

// readSegment reads the head of g and, if all is set, checks all of it. The file is closed again.
func (s *Store) readSegment(g *segment, all bool) error {
	if err := g.stat(); err != nil {
		return err
	}
	if all {
		if err := s.o.disk.checkFile(g.path); err != nil {
			return err
		}
	}
	if err := g.openForReading(); err != nil {
		return err
	}
	defer g.close()
	defs := make(map[meter.SeriesID]meter.Series)
	if err := g.readHead(defs); err != nil {
		return err
	}
	if len(g.Thinned) > 0 {
		if err := g.learnThin(); err != nil {
			return err
		}
	}
	s.learnDefinitions(defs)
	return nil
}

// learnDefinitions takes definitions that are not known. The caller is Open.
func (s *Store) learnDefinitions(defs map[meter.SeriesID]meter.Series) {
	for id, d := range defs {
		if _, ok := s.series[id]; !ok {
			s.series[id] = d
			s.dirty.series[id] = true
		}
	}
}
