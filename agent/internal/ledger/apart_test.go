package ledger_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"fluxora.dev/agent/internal/ledger"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// TestCountedApart: duplicates, corrections and releases are in their accounts, also after a crash once they were written, and change
// no balance.
func TestCountedApart(t *testing.T) {
	s := newSite(t, filepath.Join(t.TempDir(), "store"), store.Options{Now: func() time.Time { return noon }})
	defer func() { _ = s.store.Close() }()
	id := s.series(t, 0)
	at := meter.MillisOf(noon)
	if _, err := s.store.Append(t.Context(), []meter.Reading{{Series: id, At: at, Value: 1}, {Series: id, At: at, Value: 2}}); err != nil {
		t.Fatal(err)
	}
	s.books.Count(ledger.Correction, id, at)
	for range 3 {
		s.books.Count(ledger.Duplicate, id, at.Add(-24*time.Hour))
	}
	if err := s.store.Quarantine([]store.Quarantined{{Reason: "malformed", Point: "point-0", Received: at}}); err != nil {
		t.Fatal(err)
	}
	s.books.Release("point-0", at)
	check := func() {
		t.Helper()
		s.check(t)
		all, err := s.books.Accounts("point-0", -1<<31, 1<<31-1)
		if err != nil || len(all) != 3 {
			t.Fatalf("%+v, %v: want three accounts", all, err)
		}
		yesterday, message, today := all[0], all[1], all[2]
		if yesterday.Duplicates != 3 || yesterday.Received != 0 || today.Corrections != 1 || today.Received != 2 || message.Released != 1 || message.Quarantined != 1 {
			t.Errorf("%+v", all)
		}
		if totals, err := s.books.Balance(); err != nil || totals.Duplicates != 3 || totals.Corrections != 1 || totals.Released != 1 {
			t.Errorf("%+v, %v", totals, err)
		}
	}
	check()
	s.write(t)
	s.crash(t)
	check()
}

// TestToldAgain: accounts are told once, and once more after the hub had what it asked for.
func TestToldAgain(t *testing.T) {
	s := newSite(t, filepath.Join(t.TempDir(), "store"), store.Options{Now: func() time.Time { return noon }})
	defer func() { _ = s.store.Close() }()
	at := meter.MillisOf(noon)
	for n := range 2 {
		if _, err := s.store.Append(t.Context(), []meter.Reading{{Series: s.series(t, 2*n), At: at, Value: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	tell := func(want ...string) {
		t.Helper()
		if err := s.history.CatchUp(); err != nil {
			t.Fatal(err)
		}
		l, err := s.books.Next()
		if err != nil || len(l.Entries) != len(want) {
			t.Fatalf("%+v, %v: want %v", l, err, want)
		}
		for i, e := range l.Entries {
			if e.Point != want[i] {
				t.Errorf("%+v: want %v", l, want)
			}
		}
		s.books.Compared(l)
	}
	tell("point-0", "point-2")
	tell()
	s.books.Again(wire.Resend{Point: "point-2", From: at + 1, To: at.Add(time.Hour)})
	tell("point-2")
	s.books.Again(wire.Resend{Point: "point-2", From: at.Add(24 * time.Hour), To: at.Add(48 * time.Hour)})
	tell()
}

// TestPendingBeforeAGap: readings right before sequences that were passed over are pending, not delivered. A segment of
// which a page is lost makes the store pass over many.
func TestPendingBeforeAGap(t *testing.T) {
	s := newSite(t, filepath.Join(t.TempDir(), "store"), store.Options{Now: func() time.Time { return noon }})
	defer func() { _ = s.store.Close() }()
	add := func(n int) {
		t.Helper()
		for range n {
			if _, err := s.store.Append(t.Context(), []meter.Reading{{Series: s.series(t, 0), At: meter.MillisOf(noon), Value: int64(s.store.Next())}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(3)
	_ = s.store.Close() // before they are counted
	spoil(t, filepath.Join(s.dir, "readings-00000000000000000001.db"))
	s.open(t)
	add(3)
	if gap := s.store.Lost(); len(gap) != 1 || gap[0].First != 4 {
		t.Fatalf("lost %v: want a range behind the three readings", gap)
	}
	s.crash(t)
	s.check(t)
	if totals, err := s.books.Balance(); err != nil || totals.Delivered != 0 {
		t.Errorf("%+v, %v: want nothing delivered; lost %v", totals, err, s.store.Lost())
	}
}

// spoil overwrites the first page of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
}
