package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// journalContents is what could be read of a journal.
type journalContents struct {
	whole   []record // ascending by sequence, and then from the newest generation down
	torn    []record // of the newest generation, those of which the head alone can be read
	garbled bool     // there may have been more that cannot be read at all
	lost    int      // sectors with what nobody wrote there
	ready   bool     // the file can be written to as it is
}

// newest returns the newest generation.
func (x journalContents) newest() (n uint64) {
	for _, r := range slices.Concat(x.whole, x.torn) {
		n = max(n, r.generation)
	}
	return n
}

// readJournal reads the journal in dir. One that is not there holds nothing.
func (d disk) readJournal(dir string, size int64, marked bool) (x journalContents, err error) {
	path := filepath.Join(dir, journalName)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return x, nil
	} else if err != nil {
		return x, err
	}
	f, err := d.openJournal(path)
	if err != nil {
		return x, err
	}
	defer f.Close()
	p := pages{f, min(info.Size(), 4*maxJournal)}
	x = scanJournal(p.page(0, p.count()), marked)
	x.ready = x.ready && info.Size() == size
	return x, nil
}

// scanJournal finds records in a journal, which is marked where it is unwritten if it is of version 3.
func scanJournal(b []byte, marked bool) (x journalContents) {
	last := max(len(b)-sectorSize, 0)
	x.ready = bytes.Equal(b[last:], unwritten(int64(last), sectorSize))
	x.garbled = marked && !x.ready
	for at, end := 0, 0; at+recordHead <= len(b); {
		if marked && at >= end && at%sectorSize == 0 && isLost(b[at:min(at+sectorSize, len(b))], int64(at)) {
			x.lost++
		}
		r, n, err := decodeRecord(b[at:])
		switch {
		case n == 0:
			x.garbled = x.garbled || almostHead(b[at:])
			at += recordAlign
			continue
		case err != nil:
			x.torn = append(x.torn, r)
		default:
			x.whole = append(x.whole, r)
			end = at + n
		}
		at += n
	}
	newest := x.newest()
	x.torn = slices.DeleteFunc(x.torn, func(r record) bool { return r.generation != newest })
	slices.SortFunc(x.whole, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.generation, a.generation))
	})
	for i := range max(len(x.whole)-1, 0) {
		a, b := x.whole[i], x.whole[i+1]
		x.garbled = x.garbled || a.first == b.first && a.generation == b.generation // one of them lies over another's place
	}
	return x
}

// isLost reports whether a sector of the journal at an offset is neither a record's nor unwritten.
func isLost(sector []byte, at int64) bool {
	return bytes.Count(sector, []byte{0}) == len(sector) ||
		bytes.HasPrefix(sector, []byte(unwrittenMark)) && !bytes.Equal(sector, unwritten(at, sectorSize)[:len(sector)])
}

// tornEnd returns the end of the records of an epoch of which the head alone can be read.
func (x journalContents) tornEnd(epoch uint64) (end uint64) {
	for _, r := range x.torn {
		if r.epoch == epoch {
			end = max(end, r.end())
		}
	}
	return end
}

// replay takes up what the journal holds and no segment does, and tells where that ends, or the newest segment. The caller is
// Open, after the segments.
func (s *Store) replay(x journalContents) (records []record, end uint64) {
	end = 1
	if n := len(s.segments); n > 0 {
		end = s.segments[n-1].End
	}
	gone := s.gone()
	for _, r := range x.whole {
		if r.epoch != s.epoch || r.first < end || len(r.atoms) == 0 || gone.contains(Range{r.first, r.end()}) {
			continue // of another store, carried already, or evicted since
		}
		records = append(records, r)
		end = r.end()
		s.learnDefinitions(r.defs)
	}
	return records, end
}

// openJournal makes the journal ready to be written, from its start. The caller is Open.
func (s *Store) openJournal(x journalContents) {
	path := filepath.Join(s.dir, journalName)
	if x.lost > 0 {
		s.putAside(path, fmt.Errorf("%w: of the journal, %d sectors were lost by the storage", errDamaged, x.lost))
	} else if x.ready && s.upgraded {
		if f, err := s.o.disk.openJournal(path); err == nil {
			s.journal = &journal{file: f, size: s.journalSize, generation: x.newest() + 1}
		}
	}
	if s.journal == nil {
		s.journal = &journal{file: noFile{}, generation: x.newest(), broken: true}
	}
	s.remakeJournal()
}

// noFile is a file that there is not.
type noFile struct{}

func (noFile) ReadAt([]byte, int64) (int, error)  { return 0, os.ErrClosed }
func (noFile) WriteAt([]byte, int64) (int, error) { return 0, os.ErrClosed }
func (noFile) Sync() error                        { return os.ErrClosed }
func (noFile) Close() error                       { return nil }
