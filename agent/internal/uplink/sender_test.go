package uplink

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxora.dev/proto/wire"
)

// atoms is a Store of atoms that hold nothing.
type atoms struct {
	borders []uint64 // ascending; atom i is [borders[i], borders[i+1])
	acked   []flight
}

func (a *atoms) Epoch() uint64                     { return 1 }
func (a *atoms) Next() uint64                      { return a.borders[len(a.borders)-1] }
func (a *atoms) Pending() uint64                   { return total(a.Unacked()) }
func (a *atoms) Changed() <-chan struct{}          { return nil }
func (a *atoms) Series() []wire.Series             { return nil }
func (a *atoms) SetAside(wire.Range, string) error { return nil }
func (a *atoms) SetReceived(r wire.Received) error { return nil }
func (a *atoms) Unacked() []wire.Range {
	if a.Next() == 1 {
		return nil
	}
	return subtract([]wire.Range{{First: 1, End: a.Next()}}, a.acked)
}

func (a *atoms) Ack(r wire.Range) error {
	a.acked = append(a.acked, flight{Range: r})
	return nil
}

func (a *atoms) ReadFrom(first uint64, most int) (wire.Batch, error) {
	i, exact := slices.BinarySearch(a.borders, first)
	if !exact {
		i--
	}
	b := wire.Batch{First: a.borders[i]}
	for ; i+1 < len(a.borders); i++ {
		n := a.borders[i+1] - a.borders[i]
		if b.Count > 0 && b.Count+n > uint64(most) {
			break
		}
		b.Count += n
	}
	return b, nil
}

// TestSenderSendsEachReadingOnce lets appends, sends and acks (in any order) come as they like: batches in flight never
// overlap one another or what is acked, divide at atoms, keep to the window, and in the end everything is acked.
func TestSenderSendsEachReadingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := &atoms{borders: []uint64{1}}
		s := newSender(store, Options{
			BatchReadings: rapid.IntRange(1, 60).Draw(t, "batch"), Fresh: rapid.Uint64Range(1, 200).Draw(t, "fresh"),
			InFlight: rapid.Uint64Range(1, 200).Draw(t, "window"), InFlightBytes: 1 << 20,
		}, 0)
		grow := func(n int) {
			for range n {
				store.borders = append(store.borders, store.Next()+rapid.Uint64Range(1, 20).Draw(t, "atom"))
			}
		}
		sent := make(map[uint64]bool)
		send := func() bool {
			b, ok, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return false
			}
			for seq := b.First; seq < b.First+b.Count; seq++ {
				if sent[seq] {
					t.Fatalf("sequence %d is sent twice", seq)
				}
				sent[seq] = true
			}
			for _, border := range []uint64{b.First, b.First + b.Count} {
				if _, ok := slices.BinarySearch(store.borders, border); !ok {
					t.Fatalf("a batch divides an atom at %d", border)
				}
			}
			s.sent(b, time.Time{})
			return true
		}
		land := func(i int) {
			r := s.flights[i].Range
			if _, ok := s.landed(r); !ok {
				t.Fatal("a flight does not land")
			}
			store.Ack(r)
		}
		grow(rapid.IntRange(0, 60).Draw(t, "backlog"))
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "do") {
			case 0:
				grow(1)
			case 1:
				send()
			case 2:
				if len(s.flights) > 0 {
					land(rapid.IntRange(0, len(s.flights)-1).Draw(t, "which"))
				}
			}
		}
		for store.Pending() > 0 {
			if !send() {
				if len(s.flights) == 0 {
					t.Fatalf("stuck with %v left", store.Unacked())
				}
				land(0)
			}
		}
		if n := uint64(len(sent)); n != store.Next()-1 || s.readings != 0 && len(s.flights) == 0 {
			t.Fatalf("%d sequences sent, want %d; %d in flight", n, store.Next()-1, s.readings)
		}
	})
}

// TestBadAtomsAreFoundAlone refuses every batch that holds a bad atom: each ends up alone, and every good one is acked.
func TestBadAtomsAreFoundAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		store := &atoms{borders: []uint64{1}}
		bad := make(map[uint64]bool)
		for range rapid.IntRange(1, 60).Draw(t, "atoms") {
			if rapid.IntRange(0, 9).Draw(t, "luck") == 0 {
				bad[store.Next()] = true
			}
			store.borders = append(store.borders, store.Next()+rapid.Uint64Range(1, 20).Draw(t, "atom"))
		}
		s := newSender(store, Options{
			BatchReadings: rapid.IntRange(1, 300).Draw(t, "batch"), Fresh: rapid.Uint64Range(1, 600).Draw(t, "fresh"),
			InFlight: rapid.Uint64Range(1, 300).Draw(t, "window"), InFlightBytes: 1 << 20,
		}, 0)
		aside, refusals := 0, 0
		for store.Pending() > 0 {
			b, ok, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				s.sent(b, time.Time{})
				continue
			}
			if len(s.flights) == 0 {
				t.Fatalf("stuck with %v left", store.Unacked())
			}
			f, _ := s.landed(s.flights[rapid.IntRange(0, len(s.flights)-1).Draw(t, "which")].Range)
			at, _ := slices.BinarySearch(store.borders, f.First)
			end, _ := slices.BinarySearch(store.borders, f.End)
			if !slices.ContainsFunc(store.borders[at:end], func(first uint64) bool { return bad[first] }) {
				store.Ack(f.Range)
				continue
			}
			if refusals++; s.divide(f) {
				continue
			}
			if end-at != 1 {
				t.Fatalf("%d atoms are set aside at once", end-at)
			}
			aside++
			store.Ack(f.Range)
		}
		if aside != len(bad) || refusals > 12*len(bad) {
			t.Fatalf("%d atoms set aside after %d refusals: want %d after at most %d", aside, refusals, len(bad), 12*len(bad))
		}
	})
}

func TestBackoff(t *testing.T) {
	b := backoff{least: time.Second, most: time.Minute}
	for _, span := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		span *= time.Second
		if d := b.next(); d < span/2 || d > span {
			t.Errorf("pause %s: want %s to %s", d, span/2, span)
		}
	}
	b.reset()
	if d := b.next(); d > time.Second {
		t.Errorf("pause %s after a success: want at most a second", d)
	}
}
