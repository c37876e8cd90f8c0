package uplink_test

import (
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"

	"fluxora.dev/agent/internal/hubtest"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/agent/internal/uplink"
)

// refuseWith refuses batches that hold readings of the given sequences.
func refuseWith(bad ...uint64) func(wire.Batch) error {
	return func(b wire.Batch) error {
		for _, seq := range bad {
			if b.First <= seq && seq < b.First+b.Count && b.Refused < b.Count {
				return hubtest.Refuse("a value beyond everything")
			}
		}
		return nil
	}
}

func TestABadAtomHoldsNothingUp(t *testing.T) {
	hub := hubtest.New(t)
	hub.BeforeCommit = refuseWith(555, 556, 1001)
	address := hub.Start()
	dir := t.TempDir()
	s, err := store.Open(dir, store.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	all := fill(t, s, 200, 10, 2) // atoms of 10: [551, 561) and [1001, 1011) are bad
	var good, bad []meter.Reading
	for i, r := range all {
		if seq := i + 1; seq >= 551 && seq < 561 || seq >= 1001 && seq < 1011 {
			bad = append(bad, r)
		} else {
			good = append(good, r)
		}
	}
	id := enrolled(t, hub, address)
	c := start(t, uplink.Options{Identity: id, Store: fromStore(s), BatchReadings: 500})
	eventually(t, "everything is acked", func() bool { return len(s.Unacked()) == 0 })
	got := hub.Totals()
	if !slices.Equal(sorted(got.Readings), sorted(good)) || got.Refused != 20 || got.Sessions != 1 {
		t.Errorf("the hub has %d readings, %d refused, %d sessions: want %d, 20, 1", len(got.Readings), got.Refused, got.Sessions, len(good))
	}
	if len(got.Received) != 1 || got.Received[0].End != 2001 {
		t.Errorf("received %v: want everything passed", got.Received)
	}
	if st := c.Status(); st.SetAside != 20 || st.Failures != 0 {
		t.Errorf("status %+v: want 20 set aside and no failure", st)
	}

	// The bytes are kept, with the reason, and the readings stay in the log.
	qs, err := s.Quarantined(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var kept []meter.Reading
	for _, q := range qs {
		if q.Reason != string(meter.Unstorable) || !strings.Contains(q.Detail, "beyond everything") || q.Point == "" {
			t.Errorf("quarantined %+v: want unstorable with the hub's reason and the point", q)
		}
		series, err := s.SeriesID(meter.Series{Point: q.Point, Register: meter.EnergyImport, Kind: meter.Counter})
		if err != nil {
			t.Fatal(err)
		}
		if kept, err = chunk.Decode(kept, q.Payload, series); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(sorted(kept), sorted(bad)) {
		t.Errorf("the quarantine holds %d readings: want these %d", len(kept), len(bad))
	}
	here, _, err := s.Readings(551, 10)
	if err != nil || len(here) < 10 {
		t.Errorf("the log has %d of the readings, %v: want all of them", len(here), err)
	}

	// A hub that is set back gets the range as refused again, after a restart too.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(dir, store.Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if l := s.Ledger(); l.Delivered != 1980 || l.Pending != 0 {
		t.Errorf("ledger %+v: want 1980 delivered", l)
	}
	if b, err := s.ReadFrom(1, 5000); err != nil || b.Count != 0 {
		t.Errorf("after the restart %d readings from 1, %v: want none, all is acked", b.Count, err)
	}
	if err := s.SetReceived(541, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []store.Batch{{First: 541, Count: 10}, {First: 551, Count: 10, Refused: 10}, {First: 561, Count: 440}, {First: 1001, Count: 10, Refused: 10}} {
		b, err := s.ReadFrom(want.First, 5000)
		if err != nil || b.First != want.First || b.Count != want.Count || b.Refused != want.Refused {
			t.Errorf("batch [%d,+%d) with %d refused, %v: want [%d,+%d) with %d", b.First, b.Count, b.Refused, err, want.First, want.Count, want.Refused)
		}
	}
}

func TestAHubThatRefusesEverythingEmptiesNoLog(t *testing.T) {
	hub := hubtest.New(t)
	var broken atomic.Bool
	broken.Store(true)
	hub.BeforeCommit = func(b wire.Batch) error {
		if broken.Load() && b.Refused < b.Count {
			return hubtest.Refuse("no idea what this is")
		}
		return nil
	}
	address := hub.Start()
	s := openStore(t)
	n := len(fill(t, s, 100, 10, 1))
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), BatchReadings: 200})
	eventually(t, "it is noticed", func() bool { return strings.Contains(c.Status().LastError, "one batch after another") })
	for range 5 {
		n += len(fill(t, s, 3, 10, 1))
	}
	if aside := c.Status().SetAside; aside == 0 || aside > 80 {
		t.Errorf("%d readings set aside: want 8 atoms of 10 at most", aside)
	}
	broken.Store(false)
	n += len(fill(t, s, 1, 10, 1)) // the first that is taken lets the others go
	eventually(t, "everything is acked", func() bool { return len(s.Unacked()) == 0 })
	got, st := hub.Totals(), c.Status()
	if uint64(len(got.Readings))+got.Refused != uint64(n) || got.Refused != st.SetAside || got.Refused > 80 {
		t.Errorf("%d readings and %d refused of %d, %d set aside: want no more refused than 8 atoms of 10", len(got.Readings), got.Refused, n, st.SetAside)
	}
	if st.LastError != "" || !st.Connected {
		t.Errorf("status %+v: want it forgotten", st)
	}
}

func TestEntriesThatTheHubCannotStoreAreCounted(t *testing.T) {
	hub := hubtest.New(t)
	hub.RefuseEntries = 1
	address := hub.Start()
	s := openStore(t)
	if err := s.Quarantine([]store.Quarantined{{Reason: "malformed"}, {Reason: "malformed"}}); err != nil {
		t.Fatal(err)
	}
	adapter := fromStore(s)
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: adapter, Outbox: adapter})
	eventually(t, "the report is acked", func() bool { return s.QuarantineStats().Unsent == 0 })
	if st := c.Status(); st.Unreportable != 1 || len(hub.Totals().Reports) != 1 {
		t.Errorf("%d unreportable in %d reports: want 1 in 1", st.Unreportable, len(hub.Totals().Reports))
	}
}
