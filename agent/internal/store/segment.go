package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/meter"
)

// span is what a segment holds of one series.
type span struct {
	From, To meter.Millis // first and last instant, inclusive
	Readings uint64
}

// summary is what is known of a segment without reading it.
type summary struct {
	End     uint64 // sequence behind the last reading
	Arrived meter.Millis
	Series  map[meter.SeriesID]span
	Thinned []Lost `json:",omitempty"` // what was spared of it
}

// segment is one file of the log. The fields are guarded by Store.mu.
type segment struct {
	path  string
	first uint64
	summary
	schema   uint64 // of the file, as it was opened
	epoch    uint64
	size     int64     // bytes of the file
	db       *bbolt.DB // of the active segment, until nobody reads it any more
	file     readFile  // of another one, while it is read
	writable bool      // the active segment
	sealed   bool      // as it was opened
	rescues  int       // how often it was rescued since the start
	spared   bool      // thinning would save nothing
	thin     []thinnedAtom
	users    int  // readers of db at the moment
	gone     bool // deleted or set aside; the last reader closes the file
	disk     disk
	defined  map[meter.SeriesID]bool // series whose definitions the file has
}

func segmentName(first uint64) string { return fmt.Sprintf("readings-%020d.db", first) }

// parseSegmentName returns the first sequence that a file name tells.
func parseSegmentName(name string) (first uint64, ok bool) {
	if _, err := fmt.Sscanf(name, "readings-%020d.db", &first); err != nil {
		return 0, false
	}
	return first, name == segmentName(first) && first > 0
}

// createSegment makes a segment under a temporary name, has more fill it, calls before, renames the file and leaves it
// closed. More and before may be nil.
func (s *Store) createSegment(first uint64, more func(tx *bbolt.Tx) error, before func() error) (*segment, error) {
	path := filepath.Join(s.dir, segmentName(first))
	fresh := path + ".new"
	d := s.o.disk
	if err := d.remove(fresh); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	db, err := d.openFile(fresh, bbolt.Options{})
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	db.AllocSize = pageSize // no more than it needs
	err = s.update(db, func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketStore, bucketSeries, bucketAtoms} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		b := tx.Bucket(bucketStore)
		if err := b.Put(keySchema, schemaValue(Schema)); err != nil {
			return err
		}
		if err := b.Put(keyEpoch, sequenceKey(s.epoch)); err != nil {
			return err
		}
		if err := b.Put(keyNotEpoch, sequenceKey(^s.epoch)); err != nil || more == nil {
			return err
		}
		return more(tx)
	})
	if e := db.Close(); err == nil {
		err = e
	}
	if err == nil && before != nil {
		err = before()
	}
	if err == nil {
		err = d.rename(fresh, path)
	}
	if err == nil {
		err = d.syncDir(s.dir)
	}
	if err != nil {
		_ = d.remove(fresh)
		return nil, fmt.Errorf("create segment: %w", err)
	}
	g := s.segmentAt(path, first)
	g.summary = summary{End: first, Series: make(map[meter.SeriesID]span)}
	return g, nil
}

// segmentAt is a segment that is not read yet.
func (s *Store) segmentAt(path string, first uint64) *segment {
	return &segment{path: path, first: first, disk: s.o.disk, defined: make(map[meter.SeriesID]bool)}
}

// newSegment makes a segment that begins at first and appends it to the list. The caller holds appending, or is Open.
func (s *Store) newSegment(first uint64) error {
	g, err := s.createSegment(first, nil, nil)
	if err == nil {
		err = g.openForWriting(s.segmentSize)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	// One that was empty had the same name, and its file is gone.
	for i := len(s.segments) - 1; i >= 0; i-- {
		if s.segments[i].path == g.path {
			s.remove(s.segments[i])
		}
	}
	s.segments = append(s.segments, g)
	s.mu.Unlock()
	return nil
}

// openForWriting opens the segment as the active one. Mapping all of it at once keeps readers and the writer from waiting
// for one another when the file grows; the map is of address space only.
func (g *segment) openForWriting(size int64) error {
	db, err := g.disk.openFile(g.path, bbolt.Options{InitialMmapSize: int(size)})
	if err != nil {
		return err
	}
	db.AllocSize = growth(size)
	g.db, g.writable = db, true
	return g.stat()
}

// growth is by how much a file of a given limit grows at a time.
func growth(limit int64) int {
	return int(min(max(limit/64/pageSize*pageSize, 4*pageSize), 256<<10))
}

func (g *segment) stat() error {
	info, err := os.Stat(g.path)
	if err != nil {
		return fmt.Errorf("segment %s: %w", filepath.Base(g.path), err)
	}
	g.size = info.Size()
	return nil
}

// note takes a into the summary.
func (g *segment) note(a atom) error {
	for _, b := range a.blocks {
		rs, err := decodeBlock(nil, b)
		if err != nil {
			return err
		}
		sp, ok := g.Series[b.Series]
		for _, r := range rs {
			if !ok {
				sp.From, sp.To, ok = r.At, r.At, true
			}
			sp.From, sp.To = min(sp.From, r.At), max(sp.To, r.At)
		}
		sp.Readings += uint64(len(rs))
		g.Series[b.Series] = sp
	}
	g.End = max(g.End, a.first+a.count)
	g.Arrived = max(g.Arrived, a.arrived)
	return nil
}

// noteReadings takes readings that were just committed into the summary.
func (g *segment) noteReadings(end uint64, arrived meter.Millis, rs []meter.Reading) {
	for _, r := range rs {
		sp, ok := g.Series[r.Series]
		if !ok {
			sp.From, sp.To = r.At, r.At
		}
		sp.From, sp.To = min(sp.From, r.At), max(sp.To, r.At)
		sp.Readings++
		g.Series[r.Series] = sp
	}
	g.End, g.Arrived = end, max(g.Arrived, arrived)
}

// put returns what commits atoms and the definitions of series that the segment lacks. It begins by deleting what a commit
// that failed may have left behind the last atom all the same.
func (g *segment) put(atoms []rawAtom, defs map[meter.SeriesID]meter.Series) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		for id, of := range defs {
			if err := putSeries(tx.Bucket(bucketSeries), id, of); err != nil {
				return err
			}
		}
		b := tx.Bucket(bucketAtoms)
		b.FillPercent = 1 // keys only grow
		c := b.Cursor()
		for k, _ := c.Seek(sequenceKey(atoms[0].first)); k != nil; k, _ = c.Seek(sequenceKey(atoms[0].first)) {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		for _, a := range atoms {
			if err := b.Put(sequenceKey(a.first), a.value); err != nil {
				return err
			}
		}
		return nil
	}
}

// seal writes the summary and cuts off the room that the file had taken in advance.
// It returns the new size, which the caller takes over under mu.
func (s *Store) seal(g *segment) (size int64, err error) {
	err = s.update(g.db, func(tx *bbolt.Tx) error { return putSummary(tx, g.summary) })
	if err == nil {
		err = guard(func() error {
			return g.db.View(func(tx *bbolt.Tx) error {
				size = tx.Size()
				return nil
			})
		})
	}
	if err != nil {
		return g.size, fmt.Errorf("seal segment: %w", err)
	}
	if size < g.size && size >= 4*pageSize {
		if err := s.o.disk.truncate(g.path, size); err != nil {
			return g.size, fmt.Errorf("seal segment: %w", err)
		}
	}
	return size, nil
}

func putSummary(tx *bbolt.Tx, x summary) error {
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	if err := tx.Bucket(bucketStore).Put(keySealed, b); err != nil {
		return err
	}
	return tx.Bucket(bucketStore).Put(keySealedSum, binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli)))
}
