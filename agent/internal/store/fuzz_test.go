package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
)

// FuzzAtom decodes any bytes as an atom: what is whole encodes as it was.
func FuzzAtom(f *testing.F) {
	var g grouper
	b, err := g.encodeAtom(nil, 7, 1000, []meter.Reading{{Series: 1, At: 1, Value: 2}, {Series: 2, At: 3, Value: -4, Quality: meter.Suspect}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(7), b[:len(b)-4])
	f.Add(uint64(1), []byte{})
	f.Fuzz(func(t *testing.T, first uint64, body []byte) {
		sum := atomSum(first, body) // so that what is behind the checksum is reached
		b := append(slices.Clone(body), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
		a, err := decodeAtom(sequenceKey(first), b)
		if err != nil {
			return
		}
		again, err := decodeAtom(sequenceKey(first), a.encode(nil))
		if err != nil || again.count != a.count || again.arrived != a.arrived || len(again.blocks) != len(a.blocks) {
			t.Fatalf("%+v, %v: want %+v", again, err, a)
		}
	})
}

// FuzzJournal scans any bytes for records of the journal: it comes to an end, and finds no more than there can be.
func FuzzJournal(f *testing.F) {
	r := record{generation: 3, epoch: 9, first: 5, count: 2, defs: map[meter.SeriesID]meter.Series{1: {Point: "main", Register: meter.EnergyImport, Kind: meter.Counter}}}
	var g grouper
	atom, err := g.encodeAtom(nil, 5, 1000, []meter.Reading{{Series: 1, At: 1, Value: 2}, {Series: 1, At: 3, Value: 4}})
	if err != nil {
		f.Fatal(err)
	}
	r.atoms = []rawAtom{{5, atom}}
	b, err := r.append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, true)
	f.Add(append(slices.Clone(b), b[:recordHead]...), false)
	f.Add(append(slices.Clone(b), unwritten(0, 2*sectorSize)...), true)
	f.Fuzz(func(t *testing.T, b []byte, marked bool) {
		x := scanJournal(b, marked)
		if n := len(x.whole) + len(x.torn); n > len(b)/recordHead {
			t.Fatalf("%d records in %d bytes", n, len(b))
		}
	})
}

// FuzzDamage writes anything anywhere into a file of a store, and cuts it short: the store starts, gives back no reading that was never
// stored, takes new ones, and its books balance.
func FuzzDamage(f *testing.F) {
	files, stored := fuzzedStore(f)
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range names {
		f.Add(uint8(i), uint32(0), []byte{0, 1, 2, 3}, uint32(0))
		f.Add(uint8(i), uint32(4096+16), []byte{0xff, 0xff}, uint32(0))
		f.Add(uint8(i), uint32(12288), make([]byte, 4096), uint32(0))
		f.Add(uint8(i), uint32(0), []byte{}, uint32(9000))
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte, cut uint32) {
		dir := QuickDir(t)
		for name, b := range files {
			if name == names[int(which)%len(names)] {
				b = slices.Clone(b)
				if int(at) < len(b) {
					copy(b[at:], patch)
				}
				if cut > 0 {
					b = b[:min(len(b), int(cut))]
				}
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(dir, Options{MaxBytes: 1 << 20, MinFree: -1})
		if errors.Is(err, ErrNewerSchema) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for from := uint64(1); ; {
			rs, next, err := s.Readings(from, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rs {
				if of, ok := s.LookupSeries(r.Series); ok && !stored[fuzzed{of.Point, r.At, r.Value}] {
					t.Fatalf("%s has %+v, which was never stored", of.Point, r)
				}
			}
			if next <= from {
				break
			}
			from = next
		}
		id, err := s.SeriesID(meter.Series{Point: "new", Register: meter.EnergyImport, Kind: meter.Counter})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(context.Background(), []meter.Reading{{Series: id, At: 1, Value: 1}}); err != nil {
			t.Fatal(err)
		}
		if l := s.Ledger(); l.Received != l.Delivered+l.Evicted+l.Pending {
			t.Fatalf("the books do not balance: %+v", l)
		}
	})
}

type fuzzed struct {
	point string
	at    meter.Millis
	value int64
}

// fuzzedStore returns the files of a small store with two segments, a journal and a backlog, and what it holds.
func fuzzedStore(f *testing.F) (files map[string][]byte, stored map[fuzzed]bool) {
	dir := QuickDir(f)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(dir, Options{MaxBytes: 1 << 20, MinFree: -1, Now: func() time.Time { return at }})
	if err != nil {
		f.Fatal(err)
	}
	stored = make(map[fuzzed]bool)
	for _, point := range []string{"main", "roof"} {
		id, err := s.SeriesID(meter.Series{Point: point, Register: meter.EnergyImport, Kind: meter.Counter})
		if err != nil {
			f.Fatal(err)
		}
		for range 40 {
			var rs []meter.Reading
			for i := range 300 {
				at = at.Add(10 * time.Second)
				r := meter.Reading{Series: id, At: meter.MillisOf(at), Value: at.UnixNano() / 1e6 * int64(i+1) % 1e9}
				rs = append(rs, r)
				stored[fuzzed{point, r.At, r.Value}] = true
			}
			if _, err := s.Append(context.Background(), rs); err != nil {
				f.Fatal(err)
			}
		}
	}
	if err := s.Flush(); err != nil {
		f.Fatal(err)
	}
	files = make(map[string][]byte)
	entries, err := os.ReadDir(dir) // while it is open: as after kill -9
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "lock" {
			continue
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			f.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	if len(files) < 4 {
		f.Fatalf("the store has %d files: want state.db, journal and two segments", len(files))
	}
	return files, stored
}
