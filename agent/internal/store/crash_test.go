package store_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// childDir tells a child process of this test binary to append to a store until it is killed.
const childDir = "FLUXORA_STORE_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		appendForEver(dir)
	}
	_ = flag.Set("rapid.checks", "25") // each step syncs; the command line may ask for more
	os.Exit(m.Run())
}

// appendForEver appends readings with values 1, 2, 3 …, going on where the store ends, and prints the last value of each
// append once it has returned. It flushes, quarantines and acks in between.
func appendForEver(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	s, err := store.Open(dir, store.Options{MaxBytes: 8 << 20})
	fail(err)
	id, err := s.SeriesID(meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter})
	fail(err)
	for n := int64(s.Next()); ; {
		rs := make([]meter.Reading, 1+rand.IntN(200))
		for i := range rs {
			rs[i] = meter.Reading{Series: id, At: meter.Millis(n * 1000), Value: n}
			n++
		}
		_, err := s.Append(context.Background(), rs)
		fail(err)
		fmt.Println(n - 1)
		switch rand.IntN(20) {
		case 0:
			fail(s.PutDerived(s.Next(), []store.Entry{{Key: []byte("k"), Value: []byte(fmt.Sprint(n))}}))
		case 1:
			fail(s.Quarantine([]store.Quarantined{{Reason: "malformed"}}))
		case 2:
			fail(s.Ack(store.Range{First: 1, End: s.Next()}))
			fail(s.Flush())
		}
	}
}

func TestKilledWhileAppending(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	for round := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acked, lines := int64(0), bufio.NewScanner(out)
		after := 1 + random.IntN(60)
		for n := 0; lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Error(lines.Text())
			}
			_, _ = fmt.Sscan(lines.Text(), &acked)
			if n == after {
				time.AfterFunc(time.Duration(random.IntN(5000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait()

		s := open(t, dir, store.Options{MaxBytes: 8 << 20})
		if d := s.Damage(); len(d) > 0 {
			t.Fatalf("round %d: damage after a kill: %v", round, d)
		}
		rs := contents(t, s)
		if int64(len(rs)) < acked {
			t.Fatalf("round %d: %d readings, %d were acked", round, len(rs), acked)
		}
		for i, r := range rs {
			if r.Value != int64(i+1) {
				t.Fatalf("round %d: reading %d has value %d: want each exactly once, in order", round, i+1, r.Value)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAgainstModel appends, acks, reads, scans and reopens at random, beside a model that is a slice.
func TestAgainstModel(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "run")
		if err != nil {
			t.Fatal(err)
		}
		openStore := func() *store.Store {
			s, err := store.Open(dir, store.Options{Now: func() time.Time { return noon }})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := openStore()
		defer func() { _ = s.Close() }()
		var model []meter.Reading // index is sequence - 1
		acked := map[uint64]bool{}
		var atoms []uint64 // first sequences
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				var rs []meter.Reading
				for range rapid.IntRange(1, 30).Draw(t, "n") {
					id, err := s.SeriesID(meter.Series{Point: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "point"), Register: meter.PowerImport, Kind: meter.Power})
					if err != nil {
						t.Fatal(err)
					}
					rs = append(rs, meter.Reading{Series: id, At: meter.Millis(rapid.Int64Range(0, 1e6).Draw(t, "at")), Value: rapid.Int64().Draw(t, "value")})
				}
				first, err := s.Append(context.Background(), rs)
				if err != nil || first != uint64(len(model)+1) {
					t.Fatalf("first %d, %v, want %d", first, err, len(model)+1)
				}
				atoms = append(atoms, first)
				// The order inside an atom is by series, in the order in which they first appear.
				var order []meter.SeriesID
				for _, r := range rs {
					if !slices.Contains(order, r.Series) {
						order = append(order, r.Series)
					}
				}
				slices.SortStableFunc(rs, func(a, b meter.Reading) int {
					return slices.Index(order, a.Series) - slices.Index(order, b.Series)
				})
				model = append(model, rs...)
			},
			"ack": func(t *rapid.T) {
				if len(atoms) == 0 {
					return // nothing to ack yet
				}
				first := rapid.SampledFrom(atoms).Draw(t, "first")
				end := uint64(len(model) + 1)
				if i := slices.Index(atoms, first); i+1 < len(atoms) {
					end = atoms[i+1]
				}
				if err := s.Ack(store.Range{First: first, End: end}); err != nil {
					t.Fatal(err)
				}
				for ; first < end; first++ {
					acked[first] = true
				}
			},
			"reopen": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openStore()
			},
			"drain a copy": func(t *rapid.T) {
				got := uint64(0)
				for _, r := range s.Unacked() {
					for at := r.First; at < r.End; {
						b, err := s.ReadFrom(at, rapid.IntRange(1, 100).Draw(t, "most"))
						if err != nil || b.First != at || b.Count == 0 || b.Refused != 0 || b.First+b.Count > r.End {
							t.Fatalf("batch %+v at %d of %s: %v", b, at, r, err)
						}
						got += b.Count
						at += b.Count
					}
				}
				if want := uint64(len(model) - len(acked)); got != want || s.Pending() != want {
					t.Fatalf("%d readings in batches, %d pending, want %d", got, s.Pending(), want)
				}
			},
			"": func(t *rapid.T) {
				if s.Next() != uint64(len(model)+1) {
					t.Fatalf("next %d, want %d", s.Next(), len(model)+1)
				}
				all, _, err := s.Readings(1, 1<<30)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(model, all); d != "" {
					t.Fatal(d)
				}
				for _, x := range s.Series() {
					var want, got []meter.Reading
					for _, r := range model {
						if r.Series == x.ID && r.At >= 1000 && r.At < 500_000 {
							want = append(want, r)
						}
					}
					if err := s.Scan(x.ID, 1000, 500_000, func(r meter.Reading) error { got = append(got, r); return nil }); err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Fatal(d)
					}
				}
			},
		})
	})
}

// TestDamage flips bits in and cuts off every kind of file, and wants the store to start, to say so, to give out no
// sequence twice and to keep its account balanced.
func TestDamage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	whole := t.TempDir()
	s := open(t, whole, store.Options{MaxBytes: 1 << 20})
	a := series(t, s, "main")
	for i := range 60 {
		rs := counter(a, i*300, 300)
		for i := range rs {
			rs[i].Value ^= int64(i*7919) % 65521
		}
		appendAll(t, s, rs)
	}
	next, epoch := s.Next(), s.Epoch()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(whole, "*.db"))
	if err != nil || len(files) < 3 {
		t.Fatalf("files %v, %v: want state and several segments", files, err)
	}
	for round := range 40 {
		dir := filepath.Join(t.TempDir(), "store")
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		victim := filepath.Base(files[round%len(files)])
		b, err := os.ReadFile(filepath.Join(whole, victim))
		if err != nil {
			t.Fatal(err)
		}
		what := "bits"
		switch random.IntN(4) {
		case 0:
			what, b = "cut", b[:random.IntN(len(b))]
		case 1:
			what = "zeros"
			at := random.IntN(len(b))
			clear(b[at:min(at+4096, len(b))])
		default:
			for range 1 + random.IntN(20) {
				b[random.IntN(len(b))] ^= 1 << random.IntN(8)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, victim), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(dir, store.Options{MaxBytes: 1 << 20, Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatalf("round %d (%s in %s): %v", round, what, victim, err)
		}
		held := contents(t, s)
		if s.Epoch() == epoch && s.Next() < next && !strings.Contains(victim, "readings") {
			t.Errorf("round %d (%s in %s): next %d, was %d: sequences would be given twice", round, what, victim, s.Next(), next)
		}
		id := series(t, s, "main")
		first := appendAll(t, s, counter(id, 0, 10))
		if s.Epoch() == epoch && first < next {
			t.Errorf("round %d (%s in %s): sequence %d given again", round, what, victim, first)
		}
		sent, refused := uint64(0), uint64(0)
		for _, r := range s.Unacked() {
			for at := r.First; at < r.End; {
				b, err := s.ReadFrom(at, 1000)
				if err != nil || b.Count == 0 {
					t.Fatalf("round %d (%s in %s): batch at %d: %+v, %v", round, what, victim, at, b, err)
				}
				sent, refused = sent+b.Count-b.Refused, refused+b.Refused
				at = b.First + b.Count
				if err := s.Ack(store.Range{First: b.First, End: at}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if l := s.Ledger(); l.Pending != 0 || l.Received != l.Delivered+l.Evicted || sent+refused < uint64(len(held)) {
			t.Errorf("round %d (%s in %s): ledger %+v, %d sent, %d refused, %d held", round, what, victim, l, sent, refused, len(held))
		}
		if err := s.Close(); err != nil {
			t.Errorf("round %d (%s in %s): close: %v", round, what, victim, err)
		}
		_ = os.RemoveAll(dir)
	}
}
