package ledger_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/history"
	"fluxora.dev/agent/internal/ledger"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// fatal is what tests and rapid's have in common.
type fatal interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// site is an agent's store, history and books, and a hub that commits what it is given.
type site struct {
	dir     string
	options store.Options
	store   *store.Store
	history *history.History
	books   *ledger.Books

	epoch    uint64
	received []store.Range // of the hub
	hub      map[ledger.Key]uint64
	messages uint64
	copies   int

	forgotten uint64 // readings that the hub had and the store did not know it had, when it was opened after a crash
}

func newSite(t fatal, dir string, o store.Options) *site {
	o.MinFree = -1
	s := &site{dir: dir, options: o, hub: make(map[ledger.Key]uint64)}
	s.open(t)
	s.epoch = s.store.Epoch()
	return s
}

func (s *site) open(t fatal) {
	t.Helper()
	var err error
	if s.store, err = store.Open(s.dir, s.options); err != nil {
		t.Fatal(err)
	}
	if s.books, err = ledger.Open(s.store, nil); err != nil {
		t.Fatal(err)
	}
	if s.history, err = history.Open(s.store, history.Options{Config: config.Default(), Books: s.books, Now: s.options.Now}); err != nil {
		t.Fatal(err)
	}
}

// crash goes on with what is on the disk at this moment.
func (s *site) crash(t fatal) {
	t.Helper()
	s.copies++
	to := fmt.Sprintf("%s-%d", s.dir, s.copies)
	if err := os.CopyFS(to, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	_ = s.store.Close()
	_ = os.RemoveAll(s.dir)
	_ = os.Remove(filepath.Join(to, "lock"))
	s.dir = to
	s.open(t)
	for _, u := range s.store.Unacked() {
		for _, r := range s.received {
			s.forgotten += store.Range{First: max(u.First, r.First), End: min(u.End, r.End)}.Len()
		}
	}
}

// session makes the store know what the hub has.
func (s *site) session(t fatal) {
	t.Helper()
	cursor, beyond := uint64(1), slices.Clone(s.received)
	if len(beyond) > 0 && beyond[0].First == 1 {
		cursor, beyond = beyond[0].End, beyond[1:]
	}
	if err := s.store.SetReceived(cursor, beyond); err != nil {
		t.Fatal(err)
	}
}

// commit is the hub's side of a batch.
func (s *site) commit(t fatal, b store.Batch) {
	t.Helper()
	for _, x := range b.Blocks {
		rs, err := chunk.Decode(nil, x.Chunk, x.Series)
		if err != nil {
			t.Fatal(err)
		}
		of, _ := s.store.LookupSeries(x.Series)
		for _, r := range rs {
			s.hub[key(of, r.At)]++
		}
	}
	s.received = append(s.received, store.Range{First: b.First, End: b.First + b.Count})
	slices.SortFunc(s.received, func(a, b store.Range) int { return int(int64(a.First) - int64(b.First)) })
	merged := s.received[:1]
	for _, r := range s.received[1:] {
		if last := &merged[len(merged)-1]; last.End == r.First {
			last.End = r.End
			continue
		}
		merged = append(merged, r)
	}
	s.received = merged
}

// write brings history and books up to date and writes them.
func (s *site) write(t fatal) {
	t.Helper()
	if err := s.history.CatchUp(); err != nil {
		t.Fatal(err)
	}
	if err := s.history.Write(); err != nil {
		t.Fatal(err)
	}
}

func key(of meter.Series, at meter.Millis) ledger.Key {
	return ledger.Key{Point: of.Point, Register: of.Register, Day: int32(at / 86_400_000)}
}

// send delivers one batch that begins at an unacked sequence, and loses its ack if it is to.
func (s *site) send(t fatal, r *rand.Rand, loseAck bool) (more bool) {
	t.Helper()
	unacked := s.store.Unacked()
	if len(unacked) == 0 {
		return false
	}
	u := unacked[0]
	if r.IntN(3) == 0 {
		u = unacked[len(unacked)-1]
	}
	b, err := s.store.ReadFrom(u.First, 1+r.IntN(5000))
	if err != nil {
		t.Fatal(err)
	}
	if b.Count == 0 {
		return false
	}
	if b.Refused == b.Count && b.First+b.Count > u.End {
		b.Count = u.End - b.First
		b.Refused = b.Count
	}
	s.commit(t, b)
	if loseAck {
		s.session(t)
		return true
	}
	if err := s.store.Ack(store.Range{First: b.First, End: b.First + b.Count}); err != nil {
		t.Fatal(err)
	}
	return true
}

// check compares the books with the hub's and with themselves.
func (s *site) check(t fatal) {
	t.Helper()
	s.session(t)
	if err := s.history.CatchUp(); err != nil {
		t.Fatal(err)
	}
	all, err := s.books.Accounts("", -1<<31, 1<<31-1)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Balance() != 0 {
			t.Fatalf("%+v: balance %d", a, a.Balance())
		}
		// What was written off after a crash made the acks forgotten may have arrived all the same. Nothing else may differ.
		has := s.hub[ledger.Key{Point: a.Point, Register: a.Register, Day: a.Day}]
		if more := has - a.Delivered; has < a.Delivered || more > s.forgotten+s.books.Unknown() {
			t.Fatalf("%+v: the hub has %d; up to %d may have been written off though they had arrived; lost %+v, thinned %+v", a, has, s.forgotten, s.store.Lost(), s.store.Thinned())
		}
	}
	totals, err := s.books.Balance()
	if err != nil {
		t.Fatal(err)
	}
	if totals.Unbalanced != 0 || totals.Unapplied != 0 {
		t.Fatalf("%+v; the store says %+v; lost %+v", totals, s.store.Ledger(), s.store.Lost())
	}
	if q := s.store.QuarantineStats(); totals.Quarantined < s.messages && q.Dropped == 0 {
		t.Fatalf("%d quarantined, want %d", totals.Quarantined, s.messages)
	}
}

func (s *site) series(t fatal, n int) meter.SeriesID {
	t.Helper()
	id, err := s.store.SeriesID(meter.Series{
		Point: fmt.Sprintf("point-%d", n), Register: []meter.Register{meter.EnergyImport, meter.PowerImport}[n%2], Kind: []meter.Kind{meter.Counter, meter.Power}[n%2],
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var (
	seedFlag = flag.Uint64("ledger.seed", 0, "seed of TestBooksBalance; 0 takes one from the clock")
	rounds   = flag.Int("ledger.rounds", 8, "histories of TestBooksBalance")
)

// TestBooksBalance is the promise: whatever is appended, acked, forgotten, evicted, thinned, repeated, corrected, quarantined and
// refused, however often a session breaks and the power goes, every reading is in the books once, and what they call delivered is
// what the hub has.
func TestBooksBalance(t *testing.T) {
	first := *seedFlag
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for seed := first; seed < first+uint64(*rounds); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(rt *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			now := noon
			o := store.Options{MaxBytes: 1 << 20, Now: func() time.Time { return now }, QuarantineCount: 50}
			if r.IntN(2) == 0 { // of a counter, one reading in eight stays
				o.Thin = func(_ meter.Series, rs []meter.Reading) []bool {
					stay := make([]bool, len(rs))
					for i := range stay {
						stay[i] = i%8 == 0 || i == len(rs)-1
					}
					return stay
				}
			}
			greatest := []int{200, 5000, 16_000}[r.IntN(3)] // the last fills the store
			s := newSite(rt, filepath.Join(rt.TempDir(), "store"), o)
			defer func() { _ = s.store.Close() }()
			online := true
			for range 50 {
				now = now.Add(time.Duration(r.IntN(7200)) * time.Second)
				if err := s.history.CatchUp(); err != nil { // it runs all the time
					rt.Fatal(err)
				}
				switch n := r.IntN(14); {
				case n < 5:
					size := 1 + r.IntN(40)
					if r.IntN(2) == 0 {
						size = 1 + r.IntN(greatest)
					}
					rs := make([]meter.Reading, size)
					for i := range rs {
						at := now.Add(-time.Duration(r.IntN(30*3600)) * time.Second)
						if r.IntN(2) == 0 {
							at = now.Add(-time.Duration(size-i) * time.Second)
						}
						rs[i] = meter.Reading{Series: s.series(rt, r.IntN(4)), At: meter.MillisOf(at), Value: r.Int64N(1 << 59)}
						if i > 0 && r.IntN(50) == 0 { // a correction
							rs[i] = rs[r.IntN(i)]
							rs[i].Value++
						}
					}
					if _, err := s.store.Append(t.Context(), rs); err != nil {
						rt.Fatal(err)
					}
				case n < 8 && online:
					s.session(rt)
					for range 1 + r.IntN(10) {
						if !s.send(rt, r, r.IntN(8) == 0) {
							break
						}
					}
				case n == 8:
					online = !online
				case n == 9:
					qs := make([]store.Quarantined, 1+r.IntN(5))
					for i := range qs {
						qs[i] = store.Quarantined{Reason: string(meter.Malformed), Point: "point-1", Received: meter.MillisOf(now)}
					}
					if err := s.store.Quarantine(qs); err != nil {
						rt.Fatal(err)
					}
					s.messages += uint64(len(qs))
					if err := s.history.CatchUp(); err != nil {
						rt.Fatal(err)
					}
					if err := s.history.Write(); err != nil { // before the next ones push them out
						rt.Fatal(err)
					}
				case n == 10:
					if err := s.history.CatchUp(); err != nil {
						rt.Fatal(err)
					}
					if r.IntN(2) == 0 {
						if err := s.history.Write(); err != nil {
							rt.Fatal(err)
						}
					}
				case n == 11:
					s.crash(rt)
				case n == 12 && online: // the hub can never store an atom
					s.session(rt)
					if u := s.store.Unacked(); len(u) > 0 {
						b, err := s.store.ReadFrom(u[0].First, 1)
						if err != nil {
							rt.Fatal(err)
						}
						if b.Count > 0 && b.Refused == 0 {
							if err := s.store.SetAside(store.Range{First: b.First, End: b.First + b.Count}, "of a test"); err != nil {
								rt.Fatal(err)
							}
							s.write(rt) // before the atom may be evicted
						}
					}
				case n == 13:
					s.check(rt)
				}
			}
			s.check(rt)
			for s.send(rt, r, false) {
			}
			s.check(rt)
			totals, _ := s.books.Balance()
			if totals.Pending != 0 {
				rt.Fatalf("%+v: all was sent", totals)
			}
			if err := s.history.Write(); err != nil {
				rt.Fatal(err)
			}
			s.crash(rt)
			s.check(rt)
			rt.Logf("%+v", totals)
		})
	}
}
