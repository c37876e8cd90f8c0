package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"fluxora.dev/shared/meter"
)

// Report is what Check found in a directory.
type Report struct {
	Running bool   `json:"running"` // an agent has the directory: what it writes to meanwhile may seem damaged
	Schema  uint64 `json:"schema"`  // of state.db; 0 when it cannot be read
	Epoch   uint64 `json:"epoch"`
	Next    uint64 `json:"next"` // the sequence that the next reading gets, as far as the files tell
	Files   []File `json:"files"`
}

// File is what Check found in one file.
type File struct {
	Name     string       `json:"name"`
	Bytes    int64        `json:"bytes"`
	Schema   uint64       `json:"schema,omitempty"`
	First    uint64       `json:"first,omitempty"` // sequences [First, End) of readings
	End      uint64       `json:"end,omitempty"`
	Readings uint64       `json:"readings,omitempty"`
	From     meter.Millis `json:"from,omitempty"` // first and last instant
	To       meter.Millis `json:"to,omitempty"`
	Note     string       `json:"note,omitempty"`
	Damage   string       `json:"damage,omitempty"`  // what is wrong with it; empty when it is sound
	Salvage  string       `json:"salvage,omitempty"` // of a damaged file, what can be read all the same
}

// Damaged returns how many files are.
func (r Report) Damaged() (n int) {
	for _, f := range r.Files {
		if f.Damage != "" {
			n++
		}
	}
	return n
}

// Check reads all that is in dir, and says what is damaged and what Open would salvage. It changes nothing, and may be called
// while an agent has the directory.
func Check(dir string) (Report, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Report{}, fmt.Errorf("check store: %w", err)
	}
	r := Report{Running: isRunning(dir), Next: 1}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone meanwhile, or not ours
		}
		f := File{Name: e.Name(), Bytes: info.Size()}
		path := filepath.Join(dir, f.Name)
		first, segment := parseSegmentName(f.Name)
		switch {
		case f.Name == lockName:
			continue
		case segment:
			f.checkSegment(path, first)
		case f.Name == "state.db":
			f.checkState(path, &r)
		case f.Name == journalName:
			continue // last, since state.db tells how to read it
		case isSetAside(f.Name):
			f.Note = "set aside as damaged"
			if strings.HasPrefix(f.Name, "readings-") {
				f.salvageable(path)
			}
		case strings.HasSuffix(f.Name, ".new"):
			f.Note = "was being made; the next start removes it"
		default:
			f.Note = "not the store's"
		}
		r.Next = max(r.Next, f.End)
		r.Files = append(r.Files, f)
	}
	if info, err := os.Stat(filepath.Join(dir, journalName)); err == nil {
		f := File{Name: journalName, Bytes: info.Size()}
		f.checkJournal(dir, r)
		r.Next = max(r.Next, f.End)
		r.Files = append(r.Files, f)
	}
	slices.SortFunc(r.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return r, nil
}

// span widens the time that a file tells of.
func (f *File) span(from, to meter.Millis) {
	if f.From == 0 && f.To == 0 {
		f.From, f.To = from, to
	}
	f.From, f.To = min(f.From, from), max(f.To, to)
}

func (f *File) checkSegment(path string, first uint64) {
	g := &segment{path: path, first: first, disk: realDisk(), defined: make(map[meter.SeriesID]bool)}
	f.First, f.End = first, first
	if err := f.readSegment(g); err != nil {
		f.Damage = err.Error()
		f.salvageable(path)
		return
	}
	f.Schema, f.End = g.schema, g.End
	if len(g.Thinned) > 0 {
		f.Note = "thinned"
	}
	for _, sp := range g.Series {
		f.span(sp.From, sp.To)
	}
}

// readSegment reads all of a segment.
func (f *File) readSegment(g *segment) error {
	if err := g.disk.checkFile(g.path); err != nil {
		return err
	}
	if err := g.openForReading(); err != nil {
		return err
	}
	defer g.close()
	if err := g.readHead(make(map[meter.SeriesID]meter.Series)); err != nil {
		return err
	}
	var damaged error
	err := g.atomsFrom(0, func(a atom, err error) bool {
		f.Readings += a.held()
		damaged = cmp.Or(damaged, err)
		return true
	})
	return cmp.Or(err, damaged)
}

// salvageable says what can be read of a damaged segment.
func (f *File) salvageable(path string) {
	x, err := realDisk().salvageSegment(path, 1<<30)
	if err != nil {
		f.Salvage = err.Error()
		return
	}
	readings := uint64(0)
	for _, raw := range x.atoms {
		if a, err := decodeAtom(sequenceKey(raw.first), raw.value); err == nil {
			readings += a.held()
		}
	}
	f.Salvage = fmt.Sprintf("%d readings in %d commits", readings, len(x.atoms))
	if len(x.atoms) > 0 {
		f.Salvage += fmt.Sprintf(", sequences from %d to %d", x.atoms[0].first, x.end-1)
	}
}

// checkState checks state.db, and takes over what it tells of the store.
func (f *File) checkState(path string, r *Report) {
	head, err := realDisk().stateHead(path)
	if err == nil {
		err = realDisk().checkFile(path)
	}
	if err == nil {
		f.Schema, err = checkSchema(head[string(keySchema)])
	}
	if err != nil {
		f.Damage = err.Error()
		found, whole, err := realDisk().salvageState(path)
		switch {
		case err != nil:
			f.Salvage = err.Error()
		case whole:
			f.Salvage = "all of an earlier state"
		default:
			f.Salvage = fmt.Sprintf("%d entries; the log is applied again", sizeOf(found))
		}
		return
	}
	r.Schema, r.Epoch = f.Schema, uint64Of(head[string(keyEpoch)])
	r.Next = max(r.Next, uint64Of(head[string(keyNext)]))
}

// stateHead returns the single values of a state.db.
func (d disk) stateHead(path string) (map[string][]byte, error) {
	p, done, err := d.openPages(path)
	if err != nil {
		return nil, err
	}
	defer done()
	m, err := p.newest()
	if err != nil {
		return nil, err
	}
	head := make(map[string][]byte)
	t := &tree{pages: p, meta: m}
	t.want = func(bucket []byte) bool { return bytes.Equal(bucket, bucketStore) }
	t.fn = func(_, key, value []byte) { head[string(key)] = value }
	return head, cmp.Or(t.run(), checkHead(head))
}

// checkJournal counts what the journal holds that is in no segment.
func (f *File) checkJournal(dir string, r Report) {
	x, err := realDisk().readJournal(dir, f.Bytes, r.Schema != 1 && r.Schema != 2)
	if err != nil {
		f.Damage = err.Error()
		return
	}
	end := uint64(1)
	for _, s := range r.Files {
		end = max(end, s.End)
	}
	for _, rec := range x.whole {
		if rec.first < end || r.Epoch != 0 && rec.epoch != r.Epoch {
			continue // it is in a segment
		}
		f.First = cmp.Or(f.First, rec.first)
		f.End, end = rec.end(), rec.end()
		for _, raw := range rec.atoms {
			a, err := decodeAtom(sequenceKey(raw.first), raw.value)
			if err != nil {
				continue
			}
			f.Readings += a.held()
			f.span(a.times())
		}
	}
	f.Note = "not carried into a segment yet"
	if f.Readings == 0 {
		f.Note = "all of it is in segments"
	}
	if x.lost > 0 {
		f.Damage = fmt.Sprintf("%v: %d sectors were lost by the storage", errDamaged, x.lost)
		f.Salvage = fmt.Sprintf("%d records", len(x.whole))
	}
}

// isRunning reports whether an agent has the directory.
func isRunning(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
