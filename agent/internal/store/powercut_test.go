package store

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
)

// What a disk was told, one after the other. Writes of bbolt are found by comparing its file before and after a commit, in
// the order that it keeps: room, data pages, sync, a meta page, sync.
type operation struct {
	what string // "write", "truncate", "sync" of a file; "create", "rename", "link", "remove", "syncdir"
	file int
	at   int64
	data []byte
	from string
	to   string
}

// recorder is a disk that remembers what it was told.
type recorder struct {
	ops   []operation
	names map[string]int // the files as they are now
	held  map[int][]byte
	files int
}

func newRecorder() *recorder {
	return &recorder{names: make(map[string]int), held: make(map[int][]byte)}
}

func (r *recorder) add(o operation) { r.ops = append(r.ops, o) }

func (r *recorder) id(path string) int {
	name := filepath.Base(path)
	id, ok := r.names[name]
	if !ok {
		r.files++
		id = r.files
		r.names[name] = id
		r.add(operation{what: "create", file: id, to: name})
	}
	return id
}

func (r *recorder) write(id int, at int64, b []byte) {
	b = bytes.Clone(b)
	r.add(operation{what: "write", file: id, at: at, data: b})
	r.held[id] = written(r.held[id], at, b)
}

func written(held []byte, at int64, b []byte) []byte {
	if n := at + int64(len(b)); n > int64(len(held)) {
		held = append(held, make([]byte, n-int64(len(held)))...)
	}
	copy(held[at:], b)
	return held
}

func resized(held []byte, size int64) []byte {
	if size <= int64(len(held)) {
		return held[:size:size]
	}
	return append(slices.Clone(held), make([]byte, size-int64(len(held)))...)
}

func (r *recorder) disk() disk {
	d := realDisk()
	d.committed = func(path string) error {
		now, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		id := r.id(path)
		if len(now) != len(r.held[id]) {
			r.add(operation{what: "truncate", file: id, at: int64(len(now))})
			r.add(operation{what: "sync", file: id})
			r.held[id] = resized(r.held[id], int64(len(now)))
		}
		for _, meta := range []bool{false, true} {
			for at := 0; at < len(now); at += pageSize {
				end := min(at+pageSize, len(now))
				if at < 2*pageSize == meta && !bytes.Equal(now[at:end], r.held[id][at:end]) {
					r.write(id, int64(at), now[at:end])
				}
			}
			r.add(operation{what: "sync", file: id})
		}
		return nil
	}
	d.openJournal = func(path string) (journalFile, error) {
		f, err := realDisk().openJournal(path)
		if err != nil {
			return nil, err
		}
		return recordedJournal{f, r, r.id(path)}, nil
	}
	d.rename = func(from, to string) error {
		r.add(operation{what: "rename", from: filepath.Base(from), to: filepath.Base(to)})
		r.names[filepath.Base(to)] = r.names[filepath.Base(from)]
		delete(r.names, filepath.Base(from))
		return os.Rename(from, to)
	}
	d.link = func(from, to string) error {
		r.add(operation{what: "link", from: filepath.Base(from), to: filepath.Base(to)})
		r.names[filepath.Base(to)] = r.names[filepath.Base(from)]
		return os.Link(from, to)
	}
	d.remove = func(path string) error {
		err := os.Remove(path)
		if err == nil {
			r.add(operation{what: "remove", from: filepath.Base(path)})
			delete(r.names, filepath.Base(path))
		}
		return err
	}
	d.truncate = func(path string, size int64) error {
		id := r.id(path)
		r.add(operation{what: "truncate", file: id, at: size})
		r.held[id] = resized(r.held[id], size)
		return os.Truncate(path, size)
	}
	d.syncDir = func(dir string) error {
		r.add(operation{what: "syncdir"})
		return syncDir(dir)
	}
	return d
}

type recordedJournal struct {
	journalFile
	r  *recorder
	id int
}

func (j recordedJournal) WriteAt(b []byte, at int64) (int, error) {
	j.r.write(j.id, at, b)
	return j.journalFile.WriteAt(b, at)
}

func (j recordedJournal) Sync() error {
	j.r.add(operation{what: "sync", file: j.id})
	return j.journalFile.Sync()
}

// cut writes into dir what a disk may hold when the power goes after the first n operations: of what was not synced, any
// sectors in any order, and of the directory the changes up to any one.
func (r *recorder) cut(n int, random *rand.Rand, dir string) error {
	const sector = 512
	synced := make(map[int]int) // file → operations that are safe
	safe := 0
	for i, o := range r.ops[:n] {
		switch o.what {
		case "sync":
			synced[o.file] = i
		case "syncdir":
			safe = i
		}
	}
	upTo := safe + random.IntN(n-safe+1)
	names, held := make(map[string]int), make(map[int][]byte)
	for i, o := range r.ops[:n] {
		sure := i < synced[o.file]
		switch o.what {
		case "write":
			for at := 0; at < len(o.data); {
				end := min(at+sector-int(o.at+int64(at))%sector, len(o.data))
				if sure || random.IntN(2) == 0 {
					held[o.file] = written(held[o.file], o.at+int64(at), o.data[at:end])
				}
				at = end
			}
		case "truncate":
			if sure || random.IntN(2) == 0 {
				held[o.file] = resized(held[o.file], o.at)
			}
		}
		if i >= upTo {
			continue
		}
		switch o.what {
		case "create":
			names[o.to] = o.file
		case "rename":
			names[o.to] = names[o.from]
			delete(names, o.from)
		case "link":
			names[o.to] = names[o.from]
		case "remove":
			delete(names, o.from)
		}
	}
	for name, id := range names {
		if err := os.WriteFile(filepath.Join(dir, name), held[id], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// promised is an Append that returned.
type promised struct {
	ops      int // operations when it did
	first    uint64
	readings []meter.Reading
}

// busy uses a store for a while and returns what it promised.
func busy(t *testing.T, s *Store, r *recorder, random *rand.Rand, appends int) (out []promised) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var ids []meter.SeriesID
	value := int64(0)
	for range appends {
		if len(ids) < 8 && random.IntN(4) == 0 {
			id, err := s.SeriesID(meter.Series{Point: fmt.Sprintf("p%d", len(ids)), Register: meter.EnergyImport, Kind: meter.Counter})
			must(err)
			ids = append(ids, id)
		}
		if len(ids) == 0 {
			continue
		}
		n := 1 + random.IntN(40)
		if random.IntN(15) == 0 {
			n = 4000 + random.IntN(1500)
		}
		rs := make([]meter.Reading, n)
		for i := range rs {
			value++
			rs[i] = meter.Reading{Series: ids[i*len(ids)/n], At: meter.Millis(value * 1000), Value: value * 1013}
		}
		first, err := s.Append(context.Background(), rs)
		must(err)
		out = append(out, promised{len(r.ops), first, rs})
		switch random.IntN(25) {
		case 0:
			must(s.PutDerived(s.Next(), []Entry{{Key: []byte("k"), Value: binaryOf(value)}}))
		case 1:
			must(s.Quarantine([]Quarantined{{Reason: "malformed"}}))
		case 2:
			a := out[random.IntN(len(out))]
			must(s.Ack(Range{a.first, a.first + uint64(len(a.readings))}))
		case 3:
			must(s.Flush())
		case 4:
			must(s.Put("name", binaryOf(value)))
		}
	}
	return out
}

func binaryOf(v int64) []byte { return []byte(fmt.Sprint(v)) }

// everyTenth keeps every tenth reading and the edges.
func everyTenth(_ meter.Series, rs []meter.Reading) []bool {
	stay := make([]bool, len(rs))
	for i := range stay {
		stay[i] = i%10 == 0 || i == len(stay)-1
	}
	return stay
}

// TestPowerCuts cuts the power between any two writes to the disk, and in the middle of them, and wants every reading that
// was promised, once and as it was, no sequence again, and no word of damage.
func TestPowerCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, o := range map[string]Options{
		"room":    {MaxBytes: 8 << 20},
		"no room": {MaxBytes: 1 << 20, Thin: everyTenth},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			r := newRecorder()
			o.Now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
			o.MinFree = -1
			recorded := o
			recorded.disk = r.disk()
			var promises []promised
			dir := QuickDir(t)
			for range 3 { // closed properly twice, and at last not at all
				s, err := Open(dir, recorded)
				if err != nil {
					t.Fatal(err)
				}
				more := busy(t, s, r, random, 120)
				promises = append(promises, more...)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for round := range *powerCuts {
				n := random.IntN(len(r.ops) + 1)
				cut, err := os.MkdirTemp(QuickDir(t), "cut")
				if err != nil {
					t.Fatal(err)
				}
				if err := r.cut(n, random, cut); err != nil {
					t.Fatal(err)
				}
				if err := keeps(cut, o, promises, n); err != nil {
					t.Fatalf("round %d, power cut after %d of %d operations (%+v): %v", round, n, len(r.ops), last(r.ops[:n]), err)
				}
				_ = os.RemoveAll(cut)
			}
		})
	}
}

// powerCuts is how many power cuts are tried of each kind of store; a campaign by hand asks for thousands.
var powerCuts = flag.Int("powercuts", 15, "power cuts to try")

func last(ops []operation) operation {
	if len(ops) == 0 {
		return operation{}
	}
	o := ops[len(ops)-1]
	o.data = nil
	return o
}

// keeps opens what a power cut left and compares it with what was promised before.
func keeps(dir string, o Options, promises []promised, ops int) error {
	s, err := Open(dir, o)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if d := s.Damage(); len(d) > 0 {
		return fmt.Errorf("damage: %v", d)
	}
	end := uint64(1)
	want := make(map[uint64]promised)
	for _, p := range promises {
		if p.ops <= ops {
			want[p.first] = p
			end = max(end, p.first+uint64(len(p.readings)))
		}
	}
	if s.Next() < end {
		return fmt.Errorf("next sequence %d, but %d were promised", s.Next(), end)
	}
	if err := sameAs(s, want); err != nil {
		return err
	}
	// It goes on, and keeps what it had.
	id, err := s.SeriesID(meter.Series{Point: "after", Register: meter.EnergyImport, Kind: meter.Counter})
	if err != nil {
		return err
	}
	rs := []meter.Reading{{Series: id, At: 5, Value: 6}, {Series: id, At: 6, Value: 7}}
	first, err := s.Append(context.Background(), rs)
	if err != nil {
		return err
	}
	if first < end {
		return fmt.Errorf("sequence %d given again: %d were promised", first, end)
	}
	want[first] = promised{first: first, readings: rs}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(dir, o); err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if err := sameAs(s, want); err != nil {
		return fmt.Errorf("after a further start: %w", err)
	}
	if l := s.Ledger(); l.Received != l.Delivered+l.Evicted+l.Thinned+l.Pending {
		return fmt.Errorf("ledger %+v does not balance", l)
	}
	return nil
}

// sameAs compares what s holds with what was promised, less what it says it let go.
func sameAs(s *Store, want map[uint64]promised) error {
	held := make(map[uint64]atom)
	for at := uint64(1); at < s.Next(); {
		next, err := s.atoms(at, func(a atom) bool {
			blocks := make([]Block, len(a.blocks))
			for i, b := range a.blocks {
				blocks[i] = Block{b.Series, bytes.Clone(b.Chunk)}
			}
			a.blocks = blocks
			held[a.first] = a
			return true
		}, func(Range) bool { return true })
		if err != nil {
			return err
		}
		if next <= at {
			return fmt.Errorf("nothing at sequence %d, which is below next", at)
		}
		at = next
	}
	s.mu.Lock()
	let := s.gone()
	for _, r := range s.acked {
		let = let.add(r)
	}
	for _, l := range s.lost {
		if l.Why == damaged {
			s.mu.Unlock()
			return fmt.Errorf("lost as damaged: %+v", l)
		}
	}
	for _, l := range s.thinned {
		let = let.add(l.Range)
	}
	s.mu.Unlock()
	for _, first := range slices.Sorted(maps.Keys(want)) {
		p := want[first]
		var got []meter.Reading
		for at := first; at < first+uint64(len(p.readings)); {
			a, ok := held[at]
			if !ok {
				break
			}
			for _, b := range a.blocks {
				more, err := decodeBlock(got, b)
				if err != nil {
					return err
				}
				got = more
			}
			at += a.count
		}
		all := make(map[meter.Reading]bool)
		for _, r := range p.readings {
			all[r] = true
		}
		for _, r := range got {
			if !all[r] {
				return fmt.Errorf("sequence %d: reading %+v was never appended there", first, r)
			}
			delete(all, r)
		}
		if r := (Range{first, first + uint64(len(p.readings))}); len(all) > 0 && !let.contains(r) {
			return fmt.Errorf("%d readings of %s are missing, without a word of it", len(all), r)
		}
	}
	return nil
}
