package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
)

// TestHoleInTheMiddleIsNoDamage reads from within sequences that were passed over, with readings behind them in the same segment, as
// the live lane of the uplink does: that is told as refused, and no file is taken for damaged. (Campaign of seed 11, round 4.)
func TestHoleInTheMiddleIsNoDamage(t *testing.T) {
	s, err := Open(QuickDir(t), Options{MaxBytes: 8 << 20, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id, err := s.SeriesID(meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter})
	if err != nil {
		t.Fatal(err)
	}
	put := func(at meter.Millis) {
		t.Helper()
		if _, err := s.Append(context.Background(), []meter.Reading{{Series: id, At: at, Value: 1}, {Series: id, At: at + 1, Value: 2}}); err != nil {
			t.Fatal(err)
		}
	}
	put(1000)
	s.mu.Lock()
	hole := Range{s.next, s.next + 5000}
	s.next = hole.End
	s.active().End = s.next
	s.lose(Lost{Range: hole, Why: skipped})
	s.mu.Unlock()
	put(2000)
	for _, first := range []uint64{hole.First, hole.First + 10} {
		b, err := s.ReadFrom(first, 100)
		if err != nil || b.First != first || b.Count != hole.End-first || b.Refused != b.Count {
			t.Errorf("from %d on: %+v, %v: want the rest of %s, refused", first, b, err, hole)
		}
	}
	if b, err := s.ReadFrom(hole.End, 100); err != nil || b.Count != 2 || b.Refused != 0 {
		t.Errorf("behind the hole: %+v, %v: want two readings", b, err)
	}
	if len(s.setAside) > 0 || len(s.Lost()) != 1 {
		t.Errorf("set aside: %v, lost: %+v: want nothing but the hole", s.setAside, s.Lost())
	}
}

// TestShortJournalKeepsItsBeginning cuts the journal short while everything is still in it and state.db knows how far the sequences
// go: what lies before the cut is there, and only what lies behind it is named. (Campaign of seed 61, round 1.)
func TestShortJournalKeepsItsBeginning(t *testing.T) {
	dir, copied := QuickDir(t), QuickDir(t)
	s, err := Open(dir, Options{MaxBytes: 8 << 20, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id, err := s.SeriesID(meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	const each = 100
	for range 20 {
		var rs []meter.Reading
		for range each {
			at = at.Add(10 * time.Second)
			rs = append(rs, meter.Reading{Series: id, At: meter.MillisOf(at), Value: at.UnixMilli()})
		}
		if _, err := s.Append(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(s.tail.atoms) != 20 {
		t.Fatalf("%d atoms wait in the journal: want all 20", len(s.tail.atoms))
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // as after kill -9
		t.Fatal(err)
	}
	path := filepath.Join(copied, journalName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end, records := 0, 0
	for ; records < 10; records++ {
		_, n, err := decodeRecord(b[end:])
		if err != nil || n == 0 {
			t.Fatalf("record %d: %d bytes, %v", records, n, err)
		}
		end += n
	}
	if err := os.Truncate(path, int64(end)); err != nil {
		t.Fatal(err)
	}

	again, err := Open(copied, Options{MaxBytes: 8 << 20, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	n := 0
	if err := again.Scan(id, 0, 1<<50, func(meter.Reading) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != 10*each {
		t.Errorf("%d readings are there: want the %d before the cut", n, 10*each)
	}
	named := uint64(0)
	for _, l := range again.Lost() {
		if l.First <= 10*each {
			t.Errorf("%s is named as %s, but is there", l.Range, l.Why)
		}
		named += l.Range.Len()
	}
	if named < 10*each || again.Next() <= 20*each {
		t.Errorf("%d sequences are named, next is %d: want at least the %d behind the cut, none given again", named, again.Next(), 10*each)
	}
}
