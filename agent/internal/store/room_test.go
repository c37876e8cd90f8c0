package store

import (
	"context"
	"math"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
)

// TestFloorOfFreeSpace lets other programs fill the file system, and wants the store to give back what it can, to keep a
// quarter of its cap, and never to refuse a reading.
func TestFloorOfFreeSpace(t *testing.T) {
	free := int64(1 << 30)
	o := Options{MaxBytes: 2 << 20, MinFree: 100 << 20, Thin: everyTenth, disk: realDisk(), Now: func() time.Time { return time.Unix(1e9, 0) }}
	o.disk.free = func(string) (int64, int64, error) { return free, 4 << 30, nil }
	s, err := Open(QuickDir(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := fill(t, s, 0, 300)
	if l := s.Ledger(); l.Thinned+l.Evicted > 0 {
		t.Fatalf("ledger %+v with room", l)
	}
	before := s.Bytes()
	free = 50 << 20
	fill(t, s, n, 300)
	if l := s.Ledger(); s.Bytes() > max(o.MaxBytes/4+int64(s.segmentSize), before/2) || l.Thinned == 0 || l.Received != l.Delivered+l.Evicted+l.Thinned+l.Pending {
		t.Errorf("%d bytes (%d before), ledger %+v: want a quarter of the cap", s.Bytes(), before, l)
	}
}

func fill(t *testing.T, s *Store, from, appends int) int {
	t.Helper()
	id, err := s.SeriesID(meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter})
	if err != nil {
		t.Fatal(err)
	}
	for range appends {
		rs := make([]meter.Reading, 500)
		for i := range rs {
			rs[i] = meter.Reading{Series: id, At: meter.Millis(from) * 1000, Value: int64(from)*1000 + int64(from*7919)%65521}
			from++
		}
		if _, err := s.Append(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
	}
	return from
}

// TestFullFileSystem fills a small file system that the store has not to itself: readings go on being taken, the oldest
// make room.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	o := Options{MaxBytes: 4 << 20, MinFree: -1, Thin: everyTenth, Now: func() time.Time { return time.Unix(1e9, 0) }}
	s, err := Open(filepath.Join(dir, "store"), o)
	if err != nil {
		t.Fatal(err)
	}
	n := fill(t, s, 0, 1500)
	l := s.Ledger()
	if l.Received != uint64(n) || l.Evicted == 0 || l.Received != l.Delivered+l.Evicted+l.Thinned+l.Pending {
		t.Errorf("ledger %+v after %d readings on a full file system", l, n)
	}
	if err := s.Close(); err != nil {
		t.Logf("close on a full file system: %v", err)
	}
	if s, err = Open(filepath.Join(dir, "store"), o); err != nil {
		t.Fatal(err)
	}
	if s.Next() != uint64(n+1) {
		t.Errorf("next %d, want %d", s.Next(), n+1)
	}
	_ = s.Close()
}

// TestFlashOfADay appends what twenty points send in a day at ten seconds with a window of ten seconds, and wants less than
// 50 MB written.
func TestFlashOfADay(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(QuickDir(t), Options{MinFree: -1, CommitWindow: time.Minute, FlashBudget: 30_000_000, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ids := make([]meter.SeriesID, 20)
	for i := range ids {
		if ids[i], err = s.SeriesID(meter.Series{Point: "p" + string(rune('a'+i)), Register: meter.EnergyImport, Kind: meter.Counter}); err != nil {
			t.Fatal(err)
		}
	}
	const tenth = 864 // of a day
	before := s.wear.total()
	for n := range tenth {
		now = now.Add(10 * time.Second)
		rs := make([]meter.Reading, len(ids))
		for i, id := range ids {
			rs[i] = meter.Reading{Series: id, At: meter.MillisOf(now) + meter.Millis(i*137), Value: 8_000_000_000 + int64(n)*33_000 + int64(n*i%7)*1000}
		}
		if _, err := s.Append(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
	}
	// What waits in the journal is carried once it is full: count its share.
	day := float64(s.wear.total()-before+s.tail.bytes) * 10
	t.Logf("%.1f MB a day, %.0f bytes a reading", day/1e6, day/10/tenth/20)
	if day > 50e6 {
		t.Errorf("%.1f MB a day, want at most 50", day/1e6)
	}
	x := s.Stats()
	if w := s.Window(); w < 11*time.Second || w > 60*time.Second {
		t.Errorf("window %s within a budget of 30 MB a day: want more than 10 s", w)
	}
	s.o.FlashBudget = 300_000_000
	if w := s.Window(); w < time.Second || w > 2*time.Second {
		t.Errorf("window %s within a budget of 300 MB a day: want little more than a second", w)
	}
	s.o.CommitWindow = time.Second
	if w := s.Window(); w != time.Second {
		t.Errorf("window %s: want the commit window, which bounds it", w)
	}
	if x.BytesPerDay < 20e6 || x.BytesPerDay > 60e6 || math.IsInf(x.HoursUntilFull, 1) || x.HoursUntilFull < 24 {
		t.Errorf("stats %+v", x)
	}
	t.Logf("window %s, %+v", s.Window(), x)
}

// TestWriteAmplification appends an hour of readings at several rates, and tells how many bytes reach the flash for each: in
// commits of a window of ten seconds, as when meters send arrays or the broker lets enough through, and in commits of twenty
// readings at most, as single messages do when it lets twenty wait.
func TestWriteAmplification(t *testing.T) {
	seconds := 3600
	if testing.Short() {
		seconds = 300
	}
	for _, rate := range []int{1, 10, 100} { // readings a second
		for _, most := range []int{1 << 20, 20} {
			group := min(rate*10, most)
			now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			s, err := Open(QuickDir(t), Options{MinFree: -1, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			ids := make([]meter.SeriesID, 20)
			for i := range ids {
				if ids[i], err = s.SeriesID(meter.Series{Point: "p" + string(rune('a'+i)), Register: meter.EnergyImport, Kind: meter.Counter}); err != nil {
					t.Fatal(err)
				}
			}
			before, n := s.wear.total(), 0
			for n < seconds*rate {
				now = now.Add(time.Duration(group) * time.Second / time.Duration(rate))
				rs := make([]meter.Reading, group)
				for i := range rs {
					at := meter.Millis(1772323200000 + int64(n)*1000/int64(rate))
					rs[i] = meter.Reading{Series: ids[n%20], At: at, Value: 8_000_000_000 + int64(n/20)*33_000 + int64(n%7)*1000}
					n++
				}
				if _, err := s.Append(context.Background(), rs); err != nil {
					t.Fatal(err)
				}
			}
			each := float64(s.wear.total()-before+s.tail.bytes) / float64(n)
			t.Logf("%3d readings/s, %4d a commit: %4.0f bytes a reading, %5.0f MB a day", rate, group, each, each*float64(rate)*86400/1e6)
			if most := 5000.0/float64(group) + 20; each > most {
				t.Errorf("%d readings/s, %d a commit: %.0f bytes a reading: want at most %.0f", rate, group, each, most)
			}
			_ = s.Close()
		}
	}
}

// total is what was noted within a day.
func (w *wear) total() (n int64) {
	for _, h := range w.hours {
		n += h
	}
	return n
}
