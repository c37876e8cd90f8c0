package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
)

// element is where a file keeps an atom: its element in the page, its key and its value.
type element struct {
	first uint64
	at    [][2]int // ranges of bytes
}

// elementsOf returns every place in a file that holds an atom.
func elementsOf(file []byte) (found []element) {
	p := pages{bytes.NewReader(file), int64(len(file))}
	for id := uint64(2); id < p.count(); id++ {
		b := p.page(id, 1)
		overflow := uint64(binary.LittleEndian.Uint32(b[12:]))
		if binary.LittleEndian.Uint64(b) != id || binary.LittleEndian.Uint16(b[8:]) != flagLeaf || overflow > maxOverflow {
			continue
		}
		b = p.page(id, overflow+1)
		head := int(id) * pageSize
		var note func(b []byte, base int)
		note = func(b []byte, base int) {
			for i := range int(binary.LittleEndian.Uint16(b[10:])) {
				e := pageHead + i*elementSize
				pos, k, v := int(binary.LittleEndian.Uint32(b[e+4:])), int(binary.LittleEndian.Uint32(b[e+8:])), int(binary.LittleEndian.Uint32(b[e+12:]))
				key, value := b[e+pos:e+pos+k], b[e+pos+k:e+pos+k+v]
				if b[e]&1 != 0 {
					if binary.LittleEndian.Uint64(value) == 0 {
						note(value[bucketHead:], base+e+pos+k+bucketHead)
					}
					continue
				}
				if a, err := decodeAtom(key, value); err == nil {
					found = append(found, element{a.first, [][2]int{{base + e, base + e + elementSize}, {base + e + pos, base + e + pos + k + v}}})
				}
			}
		}
		note(b, head)
		id += overflow
	}
	return found
}

// untouched returns the atoms of which some copy has no byte that differs.
func untouched(before, after []byte) map[uint64]bool {
	good := make(map[uint64]bool)
	for _, e := range elementsOf(before) {
		same := true
		for _, r := range e.at {
			same = same && r[1] <= len(after) && bytes.Equal(before[r[0]:r[1]], after[r[0]:r[1]])
		}
		good[e.first] = good[e.first] || same
	}
	return good
}

// harm damages b in one of the ways that storage does.
func harm(b []byte, random *rand.Rand) (what string, out []byte) {
	switch random.IntN(6) {
	case 0:
		return "cut", b[:random.IntN(len(b))]
	case 1:
		at := random.IntN(len(b)) / 512 * 512
		clear(b[at:min(at+512*(1+random.IntN(16)), len(b))])
		return "zeros", b
	case 2: // a block that is another's
		from, to := random.IntN(len(b))/pageSize*pageSize, random.IntN(len(b))/pageSize*pageSize
		copy(b[to:], bytes.Clone(b[from:min(from+pageSize, len(b))]))
		return "misdirected", b
	case 3: // the meta pages
		b[random.IntN(2*pageSize)&^0xff80|random.IntN(2)*pageSize] ^= 1 << random.IntN(8)
		return "meta", b
	case 4: // the head of a page
		b[random.IntN(len(b))/pageSize*pageSize+random.IntN(pageHead)] ^= 1 << random.IntN(8)
		return "head", b
	}
	for range 1 + random.IntN(20) {
		b[random.IntN(len(b))] ^= 1 << random.IntN(8)
	}
	return "bits", b
}

// salvageAt is what the damage is drawn from, beside the seeds below; a campaign by hand asks for many with -test.count.
var salvageAt = flag.Uint64("salvage.seed", 0, "seed of the damage in TestSalvage and TestSalvageState; 0 draws one")

// salvageSeeds runs a test under seeds that once found a hole in the salvage, and under a new one.
func salvageSeeds(t *testing.T, test func(t *testing.T, seed uint64), known map[string]uint64) {
	seed := cmp.Or(*salvageAt, rand.Uint64())
	if *salvageAt == 0 && !testing.Short() {
		for name, seed := range known {
			t.Run(name, func(t *testing.T) { test(t, seed) })
		}
	}
	t.Run("seed", func(t *testing.T) {
		t.Logf("seed %d", seed)
		test(t, seed)
	})
}

// TestSalvage damages segments in every way, and wants the store to start with every reading of which the bytes are still
// there, and to name exactly the others.
func TestSalvage(t *testing.T) {
	salvageSeeds(t, salvages, map[string]uint64{
		"half of the epoch is zeros":   7025830877641503164,
		"flags that bbolt passes over": 17552519853590137876,
		"bucket of another name":       5421319473222802335,
	})
}

func salvages(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	o := Options{MaxBytes: 1 << 20, MinFree: -1, Now: func() time.Time { return time.Unix(1e9, 0) }}
	whole := QuickDir(t)
	s, err := Open(whole, o)
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder()
	var promises []promised
	for len(s.segments) < 4 {
		for _, p := range busy(t, s, r, random, 20) {
			p.ops = 0
			promises = append(promises, p)
		}
	}
	s.mu.Lock()
	s.acked = nil // so that nothing is let go
	s.dirty.head = true
	s.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := s.Next()
	files, _ := filepath.Glob(filepath.Join(whole, "readings-*.db"))
	for round := range 60 {
		dir := filepath.Join(QuickDir(t), "store")
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		victim := files[round%len(files)]
		before, err := os.ReadFile(victim)
		if err != nil {
			t.Fatal(err)
		}
		what, after := harm(bytes.Clone(before), random)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(victim)), after, 0o600); err != nil {
			t.Fatal(err)
		}
		where := fmt.Sprintf("round %d, %s in %s", round, what, filepath.Base(victim))
		s, err := Open(dir, o)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		held := heldBy(t, s, where)
		good := untouched(before, after)
		var missing ranges
		for _, p := range promises {
			for i := 0; i < len(p.readings); i += MaxAtom {
				first := p.first + uint64(i)
				atom := Range{first, first + uint64(min(MaxAtom, len(p.readings)-i))}
				was, inVictim := good[first]
				if !held[first] {
					missing = missing.add(atom)
				}
				if !held[first] && (!inVictim || was) {
					t.Errorf("%s: atom %s is missing, though its bytes are all there", where, atom)
				}
			}
		}
		// What is missing is listed as lost, and nothing else.
		s.mu.Lock()
		var lost ranges
		for _, l := range s.lost {
			if l.Why == damaged {
				lost = lost.add(l.Range)
			}
		}
		s.mu.Unlock()
		if !slices.Equal(missing, lost) {
			t.Errorf("%s: missing %v, listed as lost %v", where, missing, lost)
		}
		if l := s.Ledger(); l.Received != l.Delivered+l.Evicted+l.Thinned+l.Pending || l.Received != next-1 {
			t.Errorf("%s: ledger %+v: want %d received", where, l, next-1)
		}
		id, err := s.SeriesID(meter.Series{Point: "after", Register: meter.EnergyImport, Kind: meter.Counter})
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.Append(t.Context(), []meter.Reading{{Series: id, At: 1, Value: 2}})
		if err != nil || first < next {
			t.Errorf("%s: sequence %d, %v: %d were given", where, first, err, next)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		_ = os.RemoveAll(dir)
	}
}

// heldBy returns the first sequence of every atom that can be read.
func heldBy(t *testing.T, s *Store, where string) map[uint64]bool {
	t.Helper()
	held := make(map[uint64]bool)
	for at := uint64(1); at < s.Next(); {
		next, err := s.atoms(at, func(a atom) bool {
			held[a.first] = true
			return true
		}, func(Range) bool { return true })
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		at = next
	}
	return held
}

// TestSalvageState damages state.db, and wants every reading, and of the rest what can be read.
func TestSalvageState(t *testing.T) {
	salvageSeeds(t, salvagesState, map[string]uint64{"flipped bit in the next sequence": 10771675204955413285})
}

func salvagesState(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	o := Options{MaxBytes: 1 << 20, MinFree: -1, Now: func() time.Time { return time.Unix(1e9, 0) }, Keep: func(k []byte) bool { return k[0] == 'i' }}
	whole := QuickDir(t)
	s, err := Open(whole, o)
	if err != nil {
		t.Fatal(err)
	}
	promises := busy(t, s, newRecorder(), random, 40)
	s.mu.Lock()
	s.acked = nil
	s.mu.Unlock()
	var entries []Entry
	for i := range 300 {
		entries = append(entries, Entry{Key: fmt.Appendf(nil, "i/%03d", i), Value: bytes.Repeat([]byte{byte(i)}, 100)})
	}
	if err := s.PutDerived(s.Next(), entries); err != nil {
		t.Fatal(err)
	}
	if err := s.Put("name", []byte("value")); err != nil { // now both meta pages have them
		t.Fatal(err)
	}
	epoch, next := s.Epoch(), s.Next()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept, damages := 0, 0
	for round := range 40 {
		dir := filepath.Join(QuickDir(t), "store")
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "state.db")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		what, b := harm(b, random)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		where := fmt.Sprintf("round %d, %s", round, what)
		_, whole, _ := realDisk().salvageState(path)
		s, err := Open(dir, o)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if s.Epoch() != epoch || s.Next() != next {
			t.Errorf("%s: epoch %d, next %d: want %d, %d", where, s.Epoch(), s.Next(), epoch, next)
		}
		held := heldBy(t, s, where)
		for _, p := range promises {
			if !held[p.first] {
				t.Errorf("%s: atom %d is missing", where, p.first)
			}
		}
		n := 0
		if err := s.ScanDerived([]byte("i/"), []byte("j"), func(k, v []byte) error { n++; return nil }); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if whole && n != len(entries) {
			t.Errorf("%s: %d entries of derived state: want all %d, since a whole state is there", where, n, len(entries))
		}
		if len(s.Damage()) > 0 {
			damages++
			kept += n
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		_ = os.RemoveAll(dir)
	}
	t.Logf("%d of 40 were damaged; of %d entries of derived state %d were kept", damages, damages*len(entries), kept)
}

// TestSalvageJournal damages the journal of a store that was not closed, and wants every reading of which the record is whole,
// no other, no sequence twice, and a word of all that is missing.
func TestSalvageJournal(t *testing.T) {
	salvageSeeds(t, salvagesJournal, map[string]uint64{
		"first record gone, segment still empty": 2323235278376700633,
		"zeros up to the end":                    381296869915951353,
		"cut within a sector":                    16241149645204945891,
	})
}

func salvagesJournal(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	o := Options{MaxBytes: 1 << 20, MinFree: -1, Now: func() time.Time { return time.Unix(1e9, 0) }}
	live := QuickDir(t)
	s, err := Open(live, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	promises := busy(t, s, newRecorder(), random, 5+random.IntN(80))
	next := s.Next()
	var acked ranges
	for _, r := range s.acked {
		acked = acked.add(r)
	}
	for round := range 40 {
		dir := filepath.Join(QuickDir(t), "store")
		if err := os.CopyFS(dir, os.DirFS(live)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, journalName)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		what, b := harm(b, random)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		where := fmt.Sprintf("round %d, %s", round, what)
		whole := make(map[uint64]bool)
		for _, r := range scanJournal(b, true).whole {
			whole[r.first] = true
		}
		s, err := Open(dir, o)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		held := heldBy(t, s, where)
		s.mu.Lock()
		told := s.gone()
		s.mu.Unlock()
		for _, p := range promises {
			r := Range{p.first, p.first + uint64(len(p.readings))}
			if whole[p.first] && !held[p.first] {
				t.Errorf("%s: %s is missing, though its record is whole", where, r)
			}
			if !held[p.first] && what != "misdirected" && !told.contains(r) && !acked.contains(r) {
				t.Errorf("%s: %s is missing without a word", where, r)
			}
		}
		// What storage put in the place of another's may hide that there was something.
		if id, err := s.SeriesID(meter.Series{Point: "after", Register: meter.EnergyImport, Kind: meter.Counter}); err != nil {
			t.Fatal(err)
		} else if first, err := s.Append(t.Context(), []meter.Reading{{Series: id, At: 1, Value: 2}}); err != nil || first < next && what != "misdirected" {
			t.Errorf("%s: sequence %d, %v: %d were given", where, first, err, next)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		_ = os.RemoveAll(dir)
	}
}
