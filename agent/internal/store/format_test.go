package store_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// golden makes the golden store of the format that this code writes: go test -run TestGoldenStores -golden v2.
var golden = flag.String("golden", "", "make testdata/<name>.tar.gz")

const goldenReadings = 3000

// goldenReading is reading n of a golden store.
func goldenReading(ids []meter.SeriesID, n int) meter.Reading {
	return meter.Reading{Series: ids[n%len(ids)], At: meter.MillisOf(noon) + meter.Millis(n*5000), Value: int64(n)*33_000 + int64(n*7919%65521)}
}

// makeGolden fills a store in the middle of an outage: some of it acked, some in no flush, and not closed.
func makeGolden(t *testing.T, dir, to string) {
	s := open(t, dir, store.Options{MaxBytes: 1 << 20})
	ids := []meter.SeriesID{series(t, s, "main"), series(t, s, "roof")}
	for n := 0; n < goldenReadings; n += 60 {
		var rs []meter.Reading
		for i := range 60 {
			rs = append(rs, goldenReading(ids, n+i))
		}
		if _, err := s.Append(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
		if n == 1200 {
			if err := s.Ack(store.Range{First: 1, End: 601}); err != nil {
				t.Fatal(err)
			}
			if err := s.PutDerived(s.Next(), []store.Entry{{Key: []byte("i/k"), Value: []byte("v")}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Quarantine([]store.Quarantined{{Reason: "malformed", Topic: "t", Payload: []byte("x")}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Put("name", []byte("value")); err != nil {
				t.Fatal(err)
			}
		}
	}
	pack(t, dir, to)
}

func pack(t *testing.T, dir, to string) {
	t.Helper()
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []io.Closer{w, z, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func unpack(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return dir
		} else if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// holdsGolden checks everything that a golden store holds, and more readings behind it.
func holdsGolden(t *testing.T, s *store.Store, more int) {
	t.Helper()
	if d := s.Damage(); len(d) > 0 {
		t.Fatalf("damage %v", d)
	}
	holdsReadings(t, s, more)
	v, err := s.Value("name")
	q, err2 := s.UnsentQuarantine(10)
	derived := ""
	err3 := s.ScanDerived([]byte("i/"), []byte("i0"), func(_, v []byte) error { derived += string(v); return nil })
	if string(v) != "value" || len(q) != 1 || derived != "v" || err != nil || err2 != nil || err3 != nil {
		t.Fatalf("named %q, quarantine %v, derived %q, %v, %v, %v", v, q, derived, err, err2, err3)
	}
}

// holdsReadings checks the readings of a golden store, more behind it, and the account of them.
func holdsReadings(t *testing.T, s *store.Store, more int) {
	t.Helper()
	if len(s.Lost()) > 0 {
		t.Fatalf("lost %v", s.Lost())
	}
	ids := []meter.SeriesID{series(t, s, "main"), series(t, s, "roof")}
	want := make(map[meter.Reading]bool)
	for n := range goldenReadings + more {
		want[goldenReading(ids, n)] = true
	}
	for _, r := range contents(t, s) {
		if !want[r] {
			t.Fatalf("reading %+v was not there", r)
		}
		delete(want, r)
	}
	if len(want) > 0 {
		t.Fatalf("%d readings are missing", len(want))
	}
	if l := s.Ledger(); l != (store.Ledger{Received: uint64(goldenReadings + more), Delivered: 600, Pending: uint64(goldenReadings + more - 600)}) {
		t.Fatalf("ledger %+v", l)
	}
}

// TestGoldenStores opens a store of every format, goes on in it, goes down to every older one and up again, in the middle of an
// outage, and wants everything to be there.
func TestGoldenStores(t *testing.T) {
	if *golden != "" {
		makeGolden(t, t.TempDir(), filepath.Join("testdata", *golden+".tar.gz"))
	}
	for _, version := range []string{"v1", "v2", "v3"} {
		t.Run(version, func(t *testing.T) {
			dir := unpack(t, filepath.Join("testdata", version+".tar.gz"))
			o := store.Options{MaxBytes: 1 << 20}
			s := open(t, dir, o)
			epoch := s.Epoch()
			holdsGolden(t, s, 0)
			ids := []meter.SeriesID{series(t, s, "main"), series(t, s, "roof")}
			more := 0
			appendMore := func() {
				t.Helper()
				r := goldenReading(ids, goldenReadings+more)
				first, err := s.Append(context.Background(), []meter.Reading{r})
				if err != nil || first != uint64(goldenReadings+more+1) {
					t.Fatalf("sequence %d, %v, want %d", first, err, goldenReadings+more+1)
				}
				more++
			}
			for _, to := range []uint64{2, 1, 1, 2} {
				appendMore()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if err := store.Downgrade(dir, to); err != nil {
					t.Fatal(err)
				}
				paths, _ := filepath.Glob(filepath.Join(dir, "*.db"))
				for _, path := range paths {
					if d := cmp.Diff(to, store.SchemaForTest(t, path)); d != "" {
						t.Errorf("down to %d, %s: %s", to, filepath.Base(path), d)
					}
				}
				if _, err := os.Stat(filepath.Join(dir, "journal")); !os.IsNotExist(err) {
					t.Errorf("down to %d: there is a journal: %v", to, err)
				}
				s = open(t, dir, o)
				if s.Epoch() != epoch {
					t.Fatalf("epoch %d, was %d", s.Epoch(), epoch)
				}
				appendMore()
				holdsGolden(t, s, more)
			}
			for _, to := range []uint64{0, 3, 4} {
				if store.Downgrade(dir, to) == nil {
					t.Errorf("a downgrade to %d was accepted", to)
				}
			}
		})
	}
}
