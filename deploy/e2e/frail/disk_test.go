package frail_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"fluxora.dev/deploy/e2e/frail"
)

const page = 4096

// mount returns a frail disk, its path and the directory behind it.
func mount(t *testing.T) (*frail.Disk, string, string) {
	t.Helper()
	backing, at := t.TempDir(), t.TempDir()
	d, err := frail.Mount(backing, at)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return d, at, backing
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func fill(c byte, pages int) []byte { return bytes.Repeat([]byte{c}, pages*page) }

// TestCutPowerLeavesWhatWasSynced shows that a loss of power takes nothing that was synced, and of the rest leaves sectors of
// the old or of the new contents, lost, torn and kept.
func TestCutPowerLeavesWhatWasSynced(t *testing.T) {
	d, at, _ := mount(t)
	old, lost, torn, kept := 0, 0, 0, 0
	for seed := range uint64(30) {
		path := filepath.Join(at, "file")
		f := open(t, path)
		_, err := f.WriteAt(fill('a', 8), 0)
		must(t, err)
		must(t, f.Sync())
		_, err = f.WriteAt(fill('b', 10), 2*page) // and four pages longer
		must(t, err)
		must(t, f.Close())
		what, err := d.CutPower(rand.New(rand.NewPCG(seed, 1)))
		must(t, err)
		t.Log(what)
		b, err := os.ReadFile(path)
		must(t, err)
		if len(b) != 8*page && len(b) != 12*page {
			t.Fatalf("seed %d: %d bytes: want the old length or the new one", seed, len(b))
		}
		for no := range len(b) / page {
			as, bs, zeros := 0, 0, 0
			for s := 0; s < page; s += 512 {
				switch sector := b[no*page+s : no*page+s+512]; {
				case bytes.Equal(sector, fill('a', 1)[:512]):
					as++
				case bytes.Equal(sector, fill('b', 1)[:512]):
					bs++
				case bytes.Equal(sector, make([]byte, 512)):
					zeros++
				}
			}
			if as+bs+zeros != 8 || no < 8 && zeros > 0 || no >= 8 && as > 0 || no < 2 && bs > 0 {
				t.Fatalf("seed %d, page %d: %d sectors old, %d new, %d zero", seed, no, as, bs, zeros)
			}
			switch {
			case no < 2:
				old++
			case bs == 0:
				lost++
			case bs == 8:
				kept++
			default:
				torn++
			}
		}
		must(t, os.Remove(path))
	}
	if old == 0 || lost == 0 || torn == 0 || kept == 0 {
		t.Errorf("%d pages synced, %d lost, %d torn, %d kept: want some of each", old, lost, torn, kept)
	}
}

// TestFailedSyncIsNotMadeGoodByTheNext shows the trap that a failed sync is.
func TestFailedSyncIsNotMadeGoodByTheNext(t *testing.T) {
	d, at, _ := mount(t)
	path := filepath.Join(at, "file")
	f := open(t, path)
	_, err := f.WriteAt(fill('a', 2), 0)
	must(t, err)
	must(t, f.Sync())
	_, err = f.WriteAt(fill('b', 2), 0)
	must(t, err)
	d.Set(frail.Trouble{Sync: 1}, 1)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v, want %v", err, syscall.EIO)
	}
	d.Set(frail.Trouble{}, 1)
	_, err = f.WriteAt(fill('c', 1), 0)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
	_, err = d.CutPower(rand.New(rand.NewPCG(1, 1)))
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	if want := append(fill('c', 1), fill('a', 1)...); !bytes.Equal(b, want) {
		t.Errorf("the pages begin with %c and %c: want c, written again, and a, from before the sync that failed", b[0], b[page])
	}
	if d.Failed() != 1 {
		t.Errorf("%d failures: want 1", d.Failed())
	}
}

// TestShortenedFile shows that what a truncation took is there again when it was not synced.
func TestShortenedFile(t *testing.T) {
	d, at, backing := mount(t)
	for seed := range uint64(20) {
		path := filepath.Join(at, "file")
		must(t, os.WriteFile(path, fill('a', 3), 0o600))
		f := open(t, path)
		must(t, f.Sync())
		must(t, f.Close())
		must(t, os.Truncate(path, 100))
		_, err := d.CutPower(rand.New(rand.NewPCG(seed, 1)))
		must(t, err)
		b, err := os.ReadFile(filepath.Join(backing, "file"))
		must(t, err)
		if len(b) != 100 && !(len(b) == 3*page && bytes.Equal(b[:100], fill('a', 1)[:100])) {
			t.Fatalf("seed %d: %d bytes: want 100, or all as before", seed, len(b))
		}
	}
}

// TestMemoryMapsAndLocks shows what bbolt needs: a shared map sees what is written, and a lock keeps others out.
func TestMemoryMapsAndLocks(t *testing.T) {
	_, at, _ := mount(t)
	path := filepath.Join(at, "file")
	f := open(t, path)
	must(t, f.Truncate(4*page))
	m, err := syscall.Mmap(int(f.Fd()), 0, 4*page, syscall.PROT_READ, syscall.MAP_SHARED)
	must(t, err)
	defer func() { must(t, syscall.Munmap(m)) }()
	for _, c := range []byte("xyz") {
		_, err := f.WriteAt(fill(c, 1), page)
		must(t, err)
		if m[page] != c || m[0] != 0 {
			t.Fatalf("the map has %c: want %c", m[page], c)
		}
	}
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	other := open(t, path)
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a second lock: %v, want %v", err, syscall.EWOULDBLOCK)
	}
}

// TestWritesFail shows that failures come as often as asked for, and leave the rest alone.
func TestWritesFail(t *testing.T) {
	d, at, _ := mount(t)
	f := open(t, filepath.Join(at, "file"))
	d.Set(frail.Trouble{Write: 0.5}, 7)
	good, bad := 0, 0
	for range 200 {
		if _, err := f.WriteAt(fill('a', 1), 0); errors.Is(err, syscall.EIO) {
			bad++
		} else {
			must(t, err)
			good++
		}
	}
	if good < 50 || bad < 50 || d.Failed() != bad {
		t.Errorf("%d writes went well and %d did not (%d counted): want about half", good, bad, d.Failed())
	}
}
