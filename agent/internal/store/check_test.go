package store_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/agent/internal/store"
)

// sums returns a checksum of every file in dir.
func sums(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	found := make(map[string][32]byte)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = sha256.Sum256(b)
	}
	return found
}

// TestCheck looks into golden stores, sound and damaged, and wants to be told what they hold, with nothing changed.
func TestCheck(t *testing.T) {
	for i, version := range []string{"v1", "v2", "v3"} {
		dir := unpack(t, filepath.Join("testdata", version+".tar.gz"))
		before := sums(t, dir)
		r, err := store.Check(dir)
		if err != nil {
			t.Fatal(err)
		}
		readings, first := uint64(0), ""
		for _, f := range r.Files {
			readings += f.Readings
			if strings.HasPrefix(f.Name, "readings-") && first == "" {
				first = f.Name
			}
		}
		if readings != goldenReadings || r.Next != goldenReadings+1 || r.Schema != uint64(i+1) || r.Damaged() > 0 || r.Running {
			t.Errorf("%s: %d readings, %+v: want %d", version, readings, r, goldenReadings)
		}
		if d := cmp.Diff(before, sums(t, dir)); d != "" {
			t.Errorf("%s: the check changed files: %s", version, d)
		}

		path := filepath.Join(dir, first)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(b[:4096]) // a meta page
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err = store.Check(dir); err != nil || r.Damaged() != 1 {
			t.Fatalf("%s: %+v, %v: want one damaged file", version, r, err)
		}
		for _, f := range r.Files {
			if f.Name == first && (f.Damage == "" || !strings.Contains(f.Salvage, " readings in ")) {
				t.Errorf("%s: %+v: want what is wrong and what can be read", version, f)
			}
		}
		s := open(t, dir, store.Options{MaxBytes: 1 << 20})
		holdsReadings(t, s, 0)
		if r, err = store.Check(dir); err != nil || !r.Running {
			t.Errorf("%s: %+v, %v: want to be told that an agent has it", version, r, err)
		}
		_ = s.Close()
	}
}

func TestCheckOfNothing(t *testing.T) {
	if _, err := store.Check(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
	if err := store.Downgrade(t.TempDir(), 1); err == nil {
		t.Error("a store was made for a downgrade")
	}
}
