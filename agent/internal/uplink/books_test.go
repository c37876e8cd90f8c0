package uplink_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"

	"fluxora.dev/agent/internal/hubtest"
	"fluxora.dev/agent/internal/uplink"
)

// fakeBooks tell what they hold until the hub has compared it, and send parts of an hour again.
type fakeBooks struct {
	mu       sync.Mutex
	next     func() // called at each NextLedger
	entries  []wire.LedgerEntry
	ids      uint64
	fail     error // of every call
	compared []wire.Ledger
	again    []wire.Resend
	series   meter.SeriesID // of what is sent again
}

func (b *fakeBooks) NextLedger() (wire.Ledger, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		b.next()
	}
	b.ids++
	return wire.Ledger{ID: b.ids, Since: 1, Entries: b.entries}, b.fail
}

func (b *fakeBooks) Compared(l wire.Ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.compared, b.entries = append(b.compared, l), nil
}

func (b *fakeBooks) Again(r wire.Resend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.again = append(b.again, r)
}

func (b *fakeBooks) Resent(r wire.Resend) (wire.Resent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, err := chunk.Append(nil, []meter.Reading{{Series: b.series, At: r.From, Value: 1}})
	if err != nil {
		return wire.Resent{}, err
	}
	to := min(r.From.Add(time.Hour), r.To)
	return wire.Resent{ID: r.ID, From: r.From, To: to, Held: 1, Done: to == r.To, Blocks: []wire.Block{{Series: b.series, Chunk: c}}}, b.fail
}

func (b *fakeBooks) set(change func(*fakeBooks)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *fakeBooks) is(ok func(*fakeBooks) bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return ok(b)
}

var account = []wire.LedgerEntry{{Point: "p0", Register: meter.EnergyImport, Day: 20_000, Received: 3, Delivered: 3}}

// TestLedgerIsToldWhileNothingIsInFlight: whenever the books are asked, the hub has committed exactly what is acked here.
func TestLedgerIsToldWhileNothingIsInFlight(t *testing.T) {
	hub := hubtest.New(t)
	address := hub.Start()
	s := openStore(t)
	b := &fakeBooks{}
	asked := 0
	b.next = func() {
		asked++
		b.entries = account
		next, left := s.Next(), uint64(0) // more may be appended meanwhile
		for _, r := range s.Unacked() {
			left += min(r.End, next) - min(r.First, next)
		}
		if there, acked := uint64(len(hub.Totals().Readings)), next-1-left; there != acked {
			t.Errorf("the hub has %d readings, of which %d are acked: a batch is in flight", there, acked)
		}
	}
	start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), Books: b, BatchReadings: 10, LedgerEvery: time.Millisecond})
	var want []meter.Reading
	for range 30 {
		want = append(want, fill(t, s, 20, 10, 2)...)
	}
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	eventually(t, "the books were asked now and then", func() bool { return b.is(func(*fakeBooks) bool { return asked > 5 }) })
	b.set(func(b *fakeBooks) { b.next = nil })
	wantOnce(t, hub, want)
}

// TestLedgerIsToldUntilItIsCompared: a hub that is too far behind to compare is told again; differences are shown until it finds none.
func TestLedgerIsToldUntilItIsCompared(t *testing.T) {
	hub := hubtest.New(t)
	var told []wire.Ledger // of the hub's one session
	hub.OnLedger = func(l wire.Ledger) wire.LedgerAck {
		told = append(told, l)
		switch len(told) {
		case 1, 2:
			return wire.LedgerAck{ID: l.ID}
		case 3:
			return wire.LedgerAck{ID: l.ID, Compared: true, Unbalanced: 1}
		}
		return wire.LedgerAck{ID: l.ID, Compared: true}
	}
	address := hub.Start()
	b := &fakeBooks{entries: account}
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(openStore(t)), Books: b, LedgerEvery: time.Millisecond})
	eventually(t, "the difference is shown", func() bool { return c.Status().Unbalanced == 1 && c.Status().Compared == 1 })
	if !b.is(func(b *fakeBooks) bool { return len(b.compared) == 1 && slices.Equal(b.compared[0].Entries, account) }) {
		t.Errorf("the books are told that %+v was compared", b.compared)
	}
	b.set(func(b *fakeBooks) { b.entries = account })
	eventually(t, "the difference is over", func() bool { return c.Status().Unbalanced == 0 && c.Status().Compared == 2 })
	if st := c.Status(); st.Failures != 0 {
		t.Errorf("status %+v", st)
	}
}

// TestWrongLedgerAck: an answer to what was not told ends the session, and the next one goes on.
func TestWrongLedgerAck(t *testing.T) {
	hub := hubtest.New(t)
	first := true // of the hub's one session at a time
	hub.OnLedger = func(l wire.Ledger) wire.LedgerAck {
		if first {
			first = false
			return wire.LedgerAck{ID: l.ID + 7, Compared: true}
		}
		return wire.LedgerAck{ID: l.ID, Compared: true}
	}
	address := hub.Start()
	b := &fakeBooks{entries: account}
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(openStore(t)), Books: b, LedgerEvery: time.Millisecond})
	eventually(t, "the accounts are compared in another session", func() bool {
		st := c.Status()
		return st.Sessions == 2 && st.Failures == 1 && st.Compared == 1
	})
}

// TestBrokenBooksHoldNoReadingsUp: neither books that cannot be told nor a stretch that cannot be read again ends a session.
func TestBrokenBooksHoldNoReadingsUp(t *testing.T) {
	hub := hubtest.New(t)
	address := hub.Start()
	s := openStore(t)
	want := fill(t, s, 5, 10, 1)
	b := &fakeBooks{entries: account, fail: errors.New("the disk is broken"), series: 1}
	hub.Ask(wire.Resend{ID: "one", Point: "p0", From: 0, To: 1000})
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), Books: b, LedgerEvery: time.Millisecond})
	eventually(t, "everything is acked", func() bool { return s.Pending() == 0 })
	wantOnce(t, hub, want)
	b.set(func(b *fakeBooks) { b.fail = nil })
	eventually(t, "the accounts are told later", func() bool { return c.Status().Compared > 0 })
	if st := c.Status(); st.Failures != 0 || st.Resent != 0 {
		t.Errorf("status %+v: want no failure", st)
	}
}

// TestSendsAgain: a stretch goes part by part, each after the ack of the one before, series declared first; a newer request takes the
// place of an older; and what was sent again is told to the books.
func TestSendsAgain(t *testing.T) {
	hub := hubtest.New(t)
	address := hub.Start()
	s := openStore(t)
	fill(t, s, 1, 1, 1)
	b := &fakeBooks{series: 1}
	c := start(t, uplink.Options{Identity: enrolled(t, hub, address), Store: fromStore(s), Books: b, ResendEvery: time.Millisecond})
	const hour = meter.Millis(3_600_000)
	hub.Ask(wire.Resend{ID: "one", Point: "p0", From: 0, To: 4 * hour})
	eventually(t, "the stretch is through", func() bool { return b.is(func(b *fakeBooks) bool { return len(b.again) == 1 }) })
	got := hub.Resent()
	if len(got) != 4 || c.Status().Resent != 4 {
		t.Fatalf("%d parts: want 4", len(got))
	}
	for i, p := range got {
		if p.From != hour*meter.Millis(i) || p.To != p.From+hour || p.Done != (i == 3) {
			t.Errorf("part %d is [%d, %d), done %t", i, p.From, p.To, p.Done)
		}
	}
	if want := (wire.Resend{ID: "one", Point: "p0", From: 0, To: 4 * hour}); b.again[0] != want {
		t.Errorf("the books are told of %+v: want %+v", b.again[0], want)
	}

	hub.Ask(wire.Resend{ID: "two", Point: "p0", From: 0, To: 400 * hour}, wire.Resend{ID: "three", Point: "p0", From: 0, To: 2 * hour})
	eventually(t, "the newer stretch is through", func() bool { return b.is(func(b *fakeBooks) bool { return len(b.again) == 2 }) })
	if b.again[1].ID != "three" || len(hub.Resent()) > 4+2+2 {
		t.Errorf("%+v after %d parts: want the newer request, and of the older what was in flight", b.again[1], len(hub.Resent()))
	}
	if st := c.Status(); st.Failures != 0 {
		t.Errorf("status %+v", st)
	}
}
