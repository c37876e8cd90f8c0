package uplink

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// log is a Store of atoms that hold readings.
type log struct {
	atoms
	readings map[uint64][]meter.Reading // by the atom's first sequence
}

func newLog() *log {
	return &log{atoms{borders: []uint64{1}}, make(map[uint64][]meter.Reading)}
}

func (l *log) append(rs ...meter.Reading) {
	l.readings[l.Next()] = rs
	l.borders = append(l.borders, l.Next()+uint64(len(rs)))
}

func (l *log) ReadFrom(first uint64, most int) (wire.Batch, error) {
	b, err := l.atoms.ReadFrom(first, most)
	for seq := b.First; seq < b.First+b.Count; seq += uint64(len(l.readings[seq])) {
		for _, r := range l.readings[seq] {
			c, err := chunk.Append(nil, []meter.Reading{r})
			if err != nil {
				return b, err
			}
			b.Blocks = append(b.Blocks, wire.Block{Series: r.Series, Chunk: c})
		}
	}
	return b, err
}

type instant struct {
	series meter.SeriesID
	at     meter.Millis
}

// arrived is what a hub holds: of one instant the value that arrived last.
type arrived map[instant]int64

func (a arrived) take(t interface{ Fatal(...any) }, b wire.Batch) {
	for _, x := range b.Blocks {
		rs, err := chunk.Decode(nil, x.Chunk, x.Series)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rs {
			a[instant{r.Series, r.At}] = r.Value
		}
	}
}

// TestCorrectionDoesNotPassWhatItCorrects is a fault of the campaign: after a long outage a corrected value went up in the live
// lane, before the value it corrects, and the hub took the wrong one for the later.
func TestCorrectionDoesNotPassWhatItCorrects(t *testing.T) {
	l := newLog()
	for i := range int64(100) {
		l.append(meter.Reading{Series: 1, At: meter.Millis(i), Value: i})
	}
	l.append(meter.Reading{Series: 1, At: 3, Value: 333})
	s := newSender(l, Options{BatchReadings: 10, Fresh: 20, InFlight: 1000, InFlightBytes: 1 << 20}, 0)
	hub := make(arrived)
	for b, ok, err := s.next(); ok; b, ok, err = s.next() {
		if err != nil {
			t.Fatal(err)
		}
		s.sent(b, time.Time{})
		hub.take(t, b)
	}
	if v := hub[instant{1, 3}]; v != 333 || len(hub) != 100 {
		t.Errorf("the hub holds %d for the corrected instant, of %d instants: want 333 of 100", v, len(hub))
	}
}

// TestFreshReadingsStillPass shows that without corrections the newest go first.
func TestFreshReadingsStillPass(t *testing.T) {
	l := newLog()
	for i := range int64(100) {
		l.append(meter.Reading{Series: meter.SeriesID(1 + i%3), At: meter.Millis(i), Value: i})
	}
	s := newSender(l, Options{BatchReadings: 10, Fresh: 20, InFlight: 1000, InFlightBytes: 1 << 20}, 0)
	if b, ok, err := s.next(); err != nil || !ok || b.First != 81 {
		t.Errorf("first goes %d, %t, %v: want the newest 20 readings, from 81 on", b.First, ok, err)
	}
}

// TestLastValueArrivesLast lets appends with late and corrected readings, sends, acks and new sessions come as they like: what the
// hub holds in the end is the value of each instant that was appended last.
func TestLastValueArrivesLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, want, hub := newLog(), make(arrived), make(arrived)
		o := Options{
			BatchReadings: rapid.IntRange(1, 30).Draw(t, "batch"), Fresh: rapid.Uint64Range(1, 60).Draw(t, "fresh"),
			InFlight: rapid.Uint64Range(1, 60).Draw(t, "window"), InFlightBytes: 1 << 20,
		}
		s, now := newSender(l, o, 0), int64(0)
		grow := func() {
			var rs []meter.Reading
			for range rapid.IntRange(1, 4).Draw(t, "readings") {
				now++
				at := now
				if rapid.IntRange(0, 14).Draw(t, "late") == 0 {
					at = rapid.Int64Range(1, now).Draw(t, "at")
				}
				r := meter.Reading{Series: meter.SeriesID(rapid.IntRange(1, 2).Draw(t, "series")), At: meter.Millis(at), Value: now}
				rs = append(rs, r)
				want[instant{r.Series, r.At}] = r.Value
			}
			l.append(rs...)
		}
		// The hub commits in the order of sending, and a session that breaks takes what it had not committed with it.
		var waiting []wire.Batch
		send := func() bool {
			b, ok, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				s.sent(b, time.Time{})
				waiting = append(waiting, b)
			}
			return ok
		}
		commit := func() {
			b := waiting[0]
			waiting = waiting[1:]
			hub.take(t, b)
			if _, ok := s.landed(b.Range()); !ok {
				t.Fatal("a flight does not land")
			}
			_ = l.Ack(b.Range())
		}
		for range rapid.IntRange(0, 60).Draw(t, "backlog") {
			grow()
		}
		for range rapid.IntRange(0, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 12).Draw(t, "do") {
			case 0, 1, 2, 3:
				grow()
			case 4, 5, 6, 7:
				send()
			case 8, 9, 10, 11:
				if len(waiting) > 0 {
					commit()
				}
			case 12:
				s, waiting = newSender(l, o, 0), nil
			}
		}
		for l.Pending() > 0 {
			if !send() {
				if len(waiting) == 0 {
					t.Fatalf("stuck with %v left", l.Unacked())
				}
				commit()
			}
		}
		for len(waiting) > 0 {
			commit()
		}
		for i, v := range want {
			if hub[i] != v {
				t.Fatalf("instant %v is %d at the hub: want %d, which was appended last", i, hub[i], v)
			}
		}
	})
}
