package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
)

// failing is a disk of which any operation fails now and then, while it is told to.
type failing struct {
	random *rand.Rand
	now    bool
	reads  int        // reads that failed in a row
	bolts  []*os.File // what bbolt writes to
}

func (f *failing) fail() error {
	if f.now && f.random.IntN(3) == 0 {
		return &os.PathError{Op: "write", Path: "somewhere", Err: []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS}[f.random.IntN(3)]}
	}
	return nil
}

func (f *failing) disk() disk {
	d := realDisk()
	d.openBolt = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		if err := f.fail(); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(path, flag, mode)
		if err == nil && flag&os.O_RDWR != 0 && !strings.HasSuffix(path, ".new") {
			f.bolts = append(f.bolts, file)
		}
		return file, err
	}
	d.committed = func(string) error { return f.fail() }
	d.open = func(path string) (readFile, error) {
		file, err := os.Open(path)
		return failingReads{file, f}, err
	}
	d.openJournal = func(path string) (journalFile, error) {
		file, err := realDisk().openJournal(path)
		return failingJournal{file, f.fail}, errors.Join(err, f.fail())
	}
	d.rename = func(from, to string) error { return orElse(f.fail(), func() error { return os.Rename(from, to) }) }
	d.link = func(from, to string) error { return orElse(f.fail(), func() error { return os.Link(from, to) }) }
	d.remove = func(path string) error { return orElse(f.fail(), func() error { return os.Remove(path) }) }
	d.truncate = func(path string, size int64) error {
		return orElse(f.fail(), func() error { return os.Truncate(path, size) })
	}
	d.syncDir = func(dir string) error { return orElse(f.fail(), func() error { return syncDir(dir) }) }
	return d
}

func orElse(err error, otherwise func() error) error {
	if err != nil {
		return err
	}
	return otherwise()
}

// failingReads is a file whose reads fail now and then, twice in a row at most.
type failingReads struct {
	*os.File
	f *failing
}

func (r failingReads) ReadAt(b []byte, at int64) (int, error) {
	if err := r.f.fail(); err != nil && r.f.reads < 2 {
		r.f.reads++
		clear(b)
		return 0, syscall.EIO
	}
	r.f.reads = 0
	return r.File.ReadAt(b, at)
}

type failingJournal struct {
	journalFile
	fail func() error
}

func (j failingJournal) WriteAt(b []byte, at int64) (int, error) {
	if err := j.fail(); err != nil {
		n, _ := j.journalFile.WriteAt(b[:len(b)/2], at)
		return n, err
	}
	return j.journalFile.WriteAt(b, at)
}

func (j failingJournal) Sync() error {
	if err := j.fail(); err != nil {
		return err
	}
	return j.journalFile.Sync()
}

// TestFailingDisk makes any operation of a disk fail under a store at work: writes, syncs of which nobody knows what they wrote,
// reads, names, room. It wants an error or the thing done, durably, no sequence twice, and the store to go on once the disk does.
func TestFailingDisk(t *testing.T) {
	seed := cmp.Or(*salvageAt, rand.Uint64())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := 20 // of seed 17446510043176401222, passed-over sequences were forgotten by a second kill
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		where := fmt.Sprintf("seed %d, round %d", seed, round)
		f := &failing{random: random}
		o := Options{MaxBytes: 1 << 20, MinFree: -1, Thin: everyTenth, disk: f.disk(), Now: func() time.Time { return time.Unix(1e9, 0) }}
		dir := QuickDir(t)
		s, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		w := &kept{appends: make(map[uint64]promised)}
		for range 80 {
			f.now = random.IntN(3) == 0
			var swapped *swap
			if f.now && random.IntN(3) == 0 {
				swapped = swapOut(t, f.bolts, []string{"/dev/full", "/dev/null"}[random.IntN(2)])
			}
			err := w.step(s, random)
			swapped.back(t)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			if random.IntN(20) == 0 { // the agent is killed, or stopped
				if f.now = f.now && random.IntN(2) == 0; random.IntN(2) == 0 {
					_ = s.Close()
				} else {
					s.shut()
				}
				f.bolts, f.now = nil, false
				if s, err = Open(dir, o); err != nil {
					t.Fatalf("%s: %v", where, err)
				}
			}
		}
		f.now = false
		for range 2 {
			if err := w.wants(s); err != nil {
				t.Fatalf("%s, %d calls failed: %v", where, w.failed, err)
			}
			_ = s.Close()
			f.bolts = nil
			if s, err = Open(dir, o); err != nil {
				t.Fatal(err)
			}
		}
		if d := s.Damage(); len(d) > 0 {
			t.Errorf("%s: damage: %v", where, d)
		}
		_ = s.Close()
	}
}

// kept is what a store said that it keeps.
type kept struct {
	appends     map[uint64]promised
	value       int64
	end         uint64
	named       []string // the named value is one of these
	quarantined int
	failed      int
}

// step does one thing to a store. An error says that it must not have been answered so.
func (w *kept) step(s *Store, random *rand.Rand) error {
	var err error
	switch random.IntN(12) {
	case 0:
		w.value++
		v := fmt.Sprint(w.value)
		if err = s.Put("name", []byte(v)); err != nil {
			w.named = append(w.named, v) // it may have been written
		} else {
			w.named = []string{v}
		}
	case 1:
		if err = s.Quarantine([]Quarantined{{Reason: "malformed"}}); err == nil {
			w.quarantined++
		}
	case 2:
		err = s.PutDerived(s.Next(), []Entry{{Key: []byte("k"), Value: binaryOf(w.value)}})
	case 3:
		err = s.Flush()
	case 4:
		err = s.Trim()
	case 5:
		_, _, err = s.Readings(1, 1<<30)
	default:
		id, idErr := s.SeriesID(meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter})
		if idErr != nil {
			return idErr
		}
		rs := make([]meter.Reading, 1+random.IntN(600))
		for i := range rs {
			w.value++
			rs[i] = meter.Reading{Series: id, At: meter.Millis(w.value), Value: w.value * 7919 % 100_003}
		}
		first, appendErr := s.Append(context.Background(), rs)
		if err = appendErr; err == nil {
			if first < w.end {
				return fmt.Errorf("sequence %d was given again: %d were", first, w.end)
			}
			w.end = first + uint64(len(rs))
			w.appends[first] = promised{first: first, readings: rs}
		}
	}
	if err != nil {
		w.failed++
	}
	return nil
}

// wants compares a store with what it said, and has it take one reading more.
func (w *kept) wants(s *Store) error {
	if err := sameAs(s, w.appends); err != nil {
		return err
	}
	if v, err := s.Value("name"); err != nil || len(w.named) > 0 && !slices.Contains(w.named, string(v)) {
		return fmt.Errorf("named value %q, %v: want one of %q", v, err, w.named)
	}
	if q, err := s.Quarantined(0, 1000); err != nil || len(q) < w.quarantined {
		return fmt.Errorf("%d messages in quarantine, %v: want at least %d", len(q), err, w.quarantined)
	}
	if l := s.Ledger(); l.Received != l.Delivered+l.Evicted+l.Thinned+l.Pending {
		return fmt.Errorf("ledger %+v does not balance", l)
	}
	w.value++
	rs := []meter.Reading{{Series: 1, At: meter.Millis(w.value), Value: w.value}}
	if _, err := s.SeriesID(meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter}); err != nil {
		return err
	}
	first, err := s.Append(context.Background(), rs)
	if err != nil || first < w.end {
		return fmt.Errorf("the disk is good again, but: sequence %d, %v: %d were given", first, err, w.end)
	}
	w.end = first + 1
	w.appends[first] = promised{first: first, readings: rs}
	return nil
}

// TestLiveDamage damages closed segments under a store that has them open, in every way, or makes sectors of them unreadable, and
// wants every reading of which the bytes are still there, the others listed as lost, and the store to go on.
func TestLiveDamage(t *testing.T) {
	seed := cmp.Or(*salvageAt, rand.Uint64())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 12 {
		where := fmt.Sprintf("seed %d, round %d", seed, round)
		var bad Range // sectors that cannot be read, of the file
		var of os.FileInfo
		d := realDisk()
		d.open = func(path string) (readFile, error) {
			file, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			if info, err := file.Stat(); err == nil && of != nil && os.SameFile(info, of) {
				return unreadable{file, bad}, nil
			}
			return file, nil
		}
		s, err := Open(QuickDir(t), Options{MaxBytes: 1 << 20, MinFree: -1, disk: d, Now: func() time.Time { return time.Unix(1e9, 0) }})
		if err != nil {
			t.Fatal(err)
		}
		var promises []promised
		for len(s.segments) < 4 {
			promises = append(promises, busy(t, s, newRecorder(), random, 20)...)
		}
		s.mu.Lock()
		s.acked = nil
		s.mu.Unlock()
		victim := s.segments[random.IntN(3)].path
		before, err := os.ReadFile(victim)
		if err != nil {
			t.Fatal(err)
		}
		after := bytes.Clone(before)
		if what := "unreadable"; round%3 == 0 {
			from := uint64(random.IntN(len(before)/sectorSize)) * sectorSize
			bad = Range{from, from + uint64(1+random.IntN(20))*sectorSize}
			if of, err = os.Stat(victim); err != nil {
				t.Fatal(err)
			}
			clear(after[bad.First:min(bad.End, uint64(len(after)))])
			where += ", " + what
		} else {
			what, after = harm(after, random)
			if err := os.WriteFile(victim, after, 0o600); err != nil {
				t.Fatal(err)
			}
			where += ", " + what
		}
		good := untouched(before, after)
		held := heldBy(t, s, where)
		s.mu.Lock()
		lost := s.gone()
		s.mu.Unlock()
		for _, p := range promises {
			for i := 0; i < len(p.readings); i += MaxAtom {
				first := p.first + uint64(i)
				atom := Range{first, first + uint64(min(MaxAtom, len(p.readings)-i))}
				was, inVictim := good[first]
				switch {
				case !held[first] && (!inVictim || was):
					t.Errorf("%s: atom %s is missing, though its bytes are all there", where, atom)
				case !held[first] && !lost.contains(atom):
					t.Errorf("%s: atom %s is missing without a word", where, atom)
				}
			}
		}
		busy(t, s, newRecorder(), random, 20)
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// unreadable is a file of which some sectors cannot be read.
type unreadable struct {
	*os.File
	bad Range
}

func (u unreadable) ReadAt(b []byte, at int64) (int, error) {
	if from, end := max(uint64(at), u.bad.First), min(uint64(at)+uint64(len(b)), u.bad.End); from < end {
		n, err := u.File.ReadAt(b[:from-uint64(at)], at)
		if err != nil {
			return n, err
		}
		return n, syscall.EIO
	}
	return u.File.ReadAt(b, at)
}
