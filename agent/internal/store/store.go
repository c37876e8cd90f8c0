package store

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// Options are the settings of a store. Zero values mean the defaults.
type Options struct {
	MaxBytes        int64             // cap over all files; default 256 MiB, least 1 MiB
	Retention       time.Duration     // how long acked readings are kept, by arrival; default 35 days
	MaxSeries       int               // series that may be numbered; default 1000
	QuarantineCount int               // quarantined messages kept; default 10,000
	QuarantineBytes int64             // bytes of quarantine kept; default MaxBytes/32
	MinFree         int64             // bytes of the file system to leave free; default the larger of 200 MiB and a tenth; below 0 none
	CommitWindow    time.Duration     // how long readings wait for others at most; see Window
	FlashBudget     int64             // bytes to write a day, which Window makes the best of; 0: Window is CommitWindow
	Thin            Thin              // says which readings can be spared when there is no more room; nil spares none
	Keep            func([]byte) bool // says which keys of derived state are of use when others of it were lost; nil none
	LockTimeout     time.Duration     // how long Open waits for another agent to let go; default 2 s
	Now             func() time.Time  // default time.Now
	Log             *slog.Logger      // default discards

	disk disk // default the operating system
}

func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, 256<<20)
	o.MaxBytes = max(o.MaxBytes, 1<<20)
	o.Retention = cmp.Or(o.Retention, 35*24*time.Hour)
	o.MaxSeries = cmp.Or(o.MaxSeries, 1000)
	o.QuarantineCount = cmp.Or(o.QuarantineCount, 10_000)
	o.QuarantineBytes = cmp.Or(o.QuarantineBytes, o.MaxBytes/32)
	o.LockTimeout = cmp.Or(o.LockTimeout, 2*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.disk.rename == nil {
		o.disk = realDisk()
	}
	return o
}

// Store is an open data directory. All methods may be called concurrently.
type Store struct {
	dir         string
	o           Options
	segmentSize int64
	lock        *os.File
	state       *bbolt.DB
	changed     chan struct{}
	subscribers []chan struct{} // changed among them; guarded by mu

	appending   sync.Mutex // held by the one Append at work, and by whoever replaces the active segment
	grouper     grouper
	journal     *journal // nil when none can be written
	journalSize int64
	upgraded    bool // state.db is of this version, so that there may be a journal

	wear    wear
	settled settled

	quarantining sync.Mutex // held by the one Quarantine at work; taken before flushing

	flushing sync.Mutex // held during a write to state.db; taken after appending, before mu

	mu       sync.Mutex
	schema   uint64 // of state.db, as it was found
	epoch    uint64
	next     uint64
	acked    ranges
	lost     []Lost
	trimmed  map[meter.SeriesID]meter.Millis // see Trimmed
	old      oldLosses                       // what was acked and dropped from the lists
	thinned  []Lost
	segments []*segment // ascending; the last one is active
	tail     tail       // the end of the last one, as far as it is in the journal only
	series   map[meter.SeriesID]meter.Series
	ids      map[meter.Series]meter.SeriesID
	opened   uint64 // next, when Open returned
	met      bool   // the hub has told what it has since then
	applied  uint64 // derived state holds every sequence below it
	flushed  uint64 // applied, as state.db has it
	dirty    dirty
	report   []string // what Open found damaged
	setAside map[string]int64
	latest   map[pointRegister]*storedForecast
	quar     quarantineState
	closed   bool
}

// dirty says what in memory differs from state.db.
type dirty struct {
	head      bool // epoch, next, acked, lost, applied
	series    map[meter.SeriesID]bool
	forecasts map[pointRegister]bool
}

type pointRegister struct {
	Point    string
	Register meter.Register
}

// storedForecast is a forecast and whether the hub has it.
type storedForecast struct {
	Forecast forecast.Forecast
	Sent     bool
}

// Open opens the store in dir, which is made if need be, and repairs or sets aside what a crash or a failing disk left.
// It fails only if the directory cannot be used at all, another agent has it (ErrLocked) or a newer agent wrote it
// (ErrNewerSchema). What was lost is logged and listed by Damage and Lost.
func Open(dir string, o Options) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		dir: dir, o: o, changed: make(chan struct{}, 1),
		segmentSize: min(16<<20, o.MaxBytes/16/pageSize*pageSize), journalSize: min(maxJournal, o.MaxBytes/64/pageSize*pageSize),
		series: make(map[meter.SeriesID]meter.Series), ids: make(map[meter.Series]meter.SeriesID),
		trimmed: make(map[meter.SeriesID]meter.Millis), setAside: make(map[string]int64), latest: make(map[pointRegister]*storedForecast), next: 1, applied: 1,
		dirty: dirty{series: make(map[meter.SeriesID]bool), forecasts: make(map[pointRegister]bool)},
	}
	s.subscribers = []chan struct{}{s.changed}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.takeLock(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	err := s.openState()
	if err == nil {
		err = s.openSegments()
	}
	if err != nil {
		s.shut()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

// openSegments lists the log, sets damaged files aside, and makes the active segment ready.
func (s *Store) openSegments() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var found []*segment
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		if first, ok := parseSegmentName(e.Name()); ok {
			found = append(found, s.segmentAt(path, first))
			continue
		}
		if strings.HasSuffix(e.Name(), ".new") {
			if err := s.o.disk.remove(path); err != nil {
				return err
			}
		}
		if info, err := e.Info(); err == nil && isSetAside(e.Name()) {
			s.setAside[e.Name()] = info.Size()
		}
	}
	slices.SortFunc(found, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })

	inJournal, err := s.o.disk.readJournal(s.dir, s.journalSize, s.schema >= 3)
	if err != nil {
		s.putAside(filepath.Join(s.dir, journalName), fmt.Errorf("the journal cannot be read: %w", err))
		inJournal.garbled = true
	}
	if err := s.takeSegments(found, inJournal.whole); err != nil {
		return err
	}
	records, end := s.replay(inJournal)
	s.learnSeries()
	given := max(s.next, s.acked.end(), s.applied, end) // below it, every sequence was
	s.next = max(given, inJournal.tornEnd(s.epoch))
	if inJournal.lost > 0 {
		s.o.Log.Error("storage lost a part of the journal: readings may be missing", "behind sequence", given, "sectors", inJournal.lost)
	}
	if inJournal.lost > 0 || inJournal.garbled {
		s.next += uint64(s.journalSize) // a reading takes a byte at least, so no sequence is given twice
	}
	known := len(s.lost)
	s.lose(Lost{Range: Range{given, s.next}, Why: skipped})
	s.findGaps(records)
	if len(s.lost) > known || len(s.report) > 0 {
		s.flushLosses() // before a segment begins behind them, which would make the one before seem cut short
	}
	s.startWriting(records, inJournal)
	s.opened = s.next
	return nil
}

// takeSegments reads the heads of the segments found, rescues what can be read of damaged ones, and settles the epoch.
func (s *Store) takeSegments(found []*segment, whole []record) error {
	damage := make(map[*segment]error)
	votes := make(map[uint64]int)
	for i, g := range found {
		err := s.readSegment(g, i == len(found)-1)
		if errors.Is(err, errDamaged) {
			damage[g] = err
			continue
		} else if err != nil {
			return fmt.Errorf("segment %s: %w", filepath.Base(g.path), err)
		}
		votes[g.epoch]++
	}
	for _, r := range whole {
		votes[r.epoch] += 1 << 20 // it has a checksum
	}
	s.settleEpoch(votes)
	found = slices.DeleteFunc(found, func(g *segment) bool {
		if damage[g] != nil || g.epoch == s.epoch {
			return false
		}
		why := fmt.Errorf("%w: epoch %d: the store has %d", errDamaged, g.epoch, s.epoch)
		if sameEpoch(g.epoch, s.epoch) {
			damage[g] = why
			return false
		}
		s.putAside(g.path, why)
		return true
	})
	for i, g := range found {
		why, bad := damage[g]
		if !bad {
			why = s.cutShort(g, found[i+1:], whole)
			bad = why != nil
		}
		if !bad {
			if n := len(s.segments); n > 0 && len(s.segments[n-1].Thinned) > 0 && s.segments[n-1].End >= g.End && g.End > g.first {
				// It was thinned into the one before, and the power went before it was deleted.
				if err := s.o.disk.remove(g.path); err != nil {
					return err
				}
				continue
			}
			s.segments = append(s.segments, g)
			s.next = max(s.next, g.End)
			for _, l := range g.Thinned {
				s.noteThinned(l)
			}
			continue
		}
		end := uint64(0)
		if i+1 < len(found) {
			end = found[i+1].first
		}
		fresh, err := s.rescue(g, end, whole, why)
		if err != nil {
			return err
		}
		if fresh != nil {
			s.segments = append(s.segments, fresh)
		}
	}
	if s.epoch == 0 {
		if err := s.newEpoch(); err != nil {
			return err
		}
	}
	return nil
}

// cutShort reports whether g ends before what follows it begins, without a reason that is known: bbolt then shows an
// earlier state of it, as when the newest meta page was lost, and salvage finds more.
func (s *Store) cutShort(g *segment, later []*segment, whole []record) error {
	next := s.next
	known := s.gone()
	for _, r := range s.acked {
		known = known.add(r)
	}
	if len(later) > 0 {
		next = later[0].first
	} else {
		for _, r := range whole {
			if r.epoch == s.epoch {
				known, next = known.add(Range{r.first, r.end()}), max(next, r.end())
			}
		}
	}
	if next <= g.End || known.contains(Range{g.End, next}) {
		return nil
	}
	return fmt.Errorf("%w: it ends at sequence %d: want %d", errDamaged, g.End, next)
}

// settleEpoch takes the epoch that most files tell, unless state.db tells quite another.
func (s *Store) settleEpoch(votes map[uint64]int) {
	best := uint64(0)
	for epoch, n := range votes {
		if epoch != 0 && (best == 0 || n > votes[best] || n == votes[best] && epoch < best) {
			best = epoch
		}
	}
	if best != 0 && (s.epoch == 0 || sameEpoch(best, s.epoch)) {
		s.dirty.head = s.dirty.head || best != s.epoch
		s.epoch = best
	}
}

// sameEpoch reports whether two epochs differ by damage at most: of two random ones about 31 bits differ.
func sameEpoch(a, b uint64) bool { return a == 0 || b == 0 || bits.OnesCount64(a^b) <= 8 }

func (s *Store) newEpoch() error {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	s.epoch = binary.BigEndian.Uint64(b[:])>>1 | 1
	s.dirty.head = true
	return nil
}

// startWriting makes the active segment and the journal ready, and carries over what the journal held. If that fails, as on
// a full or read-only file system, the agent starts all the same: Append tries again and reports.
func (s *Store) startWriting(records []record, inJournal journalContents) {
	var err error
	var g *segment
	if n := len(s.segments); n > 0 {
		g = s.segments[n-1]
	}
	if g != nil && !g.sealed && (len(records) > 0 || g.End == s.next) && g.size < s.segmentSize {
		err = g.openForWriting(s.segmentSize)
	} else {
		first := s.next
		if len(records) > 0 {
			first = records[0].first
		}
		err = s.newSegment(first)
	}
	for _, r := range records {
		s.tail.add(r)
	}
	if err == nil && len(records) > 0 {
		g = s.segments[len(s.segments)-1]
		s.noteTail(g)
		if err = s.carry(g, nil); err == nil {
			err = g.stat()
		}
	}
	if err != nil {
		s.o.Log.Error("no segment can be written at the moment", "error", err)
	}
	if len(s.tail.atoms) > 0 {
		s.journal = &journal{file: noFile{}, generation: inJournal.newest(), broken: true}
		return
	}
	s.openJournal(inJournal)
}

// noteTail takes what the journal holds into the summary of the active segment. The caller holds mu, or is Open.
func (s *Store) noteTail(g *segment) {
	for _, a := range s.tail.atoms {
		if x, err := decodeAtom(sequenceKey(a.first), a.value); err == nil {
			_ = g.note(x) // what does not decode is refused when it is read
		}
	}
}

// readSegment reads the head of g and, if all is set, checks all of it. The file is closed again.
func (s *Store) readSegment(g *segment, all bool) error {
	if err := g.stat(); err != nil {
		return err
	}
	if all {
		if err := s.o.disk.checkFile(g.path); err != nil {
			return err
		}
	}
	if err := g.openForReading(); err != nil {
		return err
	}
	defer g.close()
	defs := make(map[meter.SeriesID]meter.Series)
	if err := g.readHead(defs); err != nil {
		return err
	}
	if len(g.Thinned) > 0 {
		if err := g.learnThin(); err != nil {
			return err
		}
	}
	s.learnDefinitions(defs)
	return nil
}

// learnDefinitions takes definitions that are not known. The caller is Open.
func (s *Store) learnDefinitions(defs map[meter.SeriesID]meter.Series) {
	for id, d := range defs {
		if _, ok := s.series[id]; !ok {
			s.series[id] = d
			s.dirty.series[id] = true
		}
	}
}

// findGaps lists as lost what is neither in a segment nor in records of the journal nor acked nor known to be lost.
func (s *Store) findGaps(records []record) {
	have := slices.Clone(s.acked)
	for _, g := range s.segments {
		have = have.add(Range{g.first, g.End})
	}
	for _, r := range records {
		have = have.add(Range{r.first, r.end()})
	}
	for _, l := range s.lost {
		have = have.add(l.Range)
	}
	for _, r := range have.without(Range{1, s.next}) {
		s.lose(s.timed(Lost{Range: r, Why: damaged, Unsure: true}))
		for id := range s.series { // which were in it is not known
			s.trimmed[id] = max(s.trimmed[id], meter.MillisOf(s.o.Now()))
		}
	}
}

// timed adds to a lost range between which instants it must have been, by the segments around it. The caller holds mu, or
// is Open.
func (s *Store) timed(l Lost) Lost {
	for _, g := range s.segments {
		for _, sp := range g.Series {
			if g.End <= l.First {
				l.From = max(l.From, sp.To)
			} else if g.first >= l.End && (l.To == 0 || sp.From < l.To) {
				l.To = sp.From
			}
		}
	}
	return l
}

// newSegment makes a segment that begins at first and appends it to the list. The caller holds appending, or is Open.
func (s *Store) newSegment(first uint64) error {
	g, err := s.createSegment(first, nil, nil)
	if err == nil {
		err = g.openForWriting(s.segmentSize)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	// One that was empty had the same name, and its file is gone.
	for i := len(s.segments) - 1; i >= 0; i-- {
		if s.segments[i].path == g.path {
			s.remove(s.segments[i])
		}
	}
	s.segments = append(s.segments, g)
	s.mu.Unlock()
	return nil
}

// putAside renames a damaged file and remembers why. The caller holds mu, or is Open.
func (s *Store) putAside(path string, why error) {
	name, err := s.o.disk.setAside(path, s.o.Now(), false)
	if err != nil {
		s.o.Log.Error("damaged file could not be set aside", "file", filepath.Base(path), "error", errors.Join(why, err))
		return
	}
	s.reportAside(path, name, why)
}

func (s *Store) reportAside(path, name string, why error) {
	if info, err := os.Stat(filepath.Join(s.dir, name)); err == nil {
		s.setAside[name] = info.Size()
	}
	s.report = append(s.report, fmt.Sprintf("%s: %v; kept as %s", filepath.Base(path), why, name))
	s.o.Log.Error("damaged file set aside", "file", filepath.Base(path), "kept as", name, "error", why)
}

// Damage lists, in words, the files that were found damaged since Open began.
func (s *Store) Damage() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.report)
}

// Epoch returns the random number that tells this run of sequences from any other of the same agent.
func (s *Store) Epoch() uint64 { return s.epoch }

// Changed returns a channel that holds a value when readings were appended, or messages quarantined, since it was last
// received from. It serves one receiver; others must Subscribe.
func (s *Store) Changed() <-chan struct{} { return s.changed }

// Subscribe returns a channel of its own for a further receiver, which behaves like that of Changed.
func (s *Store) Subscribe() <-chan struct{} {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(s.subscribers, ch)
	return ch
}

// announce tells every receiver that there is news. The caller holds mu.
func (s *Store) announce() {
	for _, ch := range s.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Close flushes and closes the store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.appending.Lock()
	defer s.appending.Unlock()
	if g := s.active(); g != nil && len(s.tail.atoms) > 0 {
		if err := s.carry(g, nil); err != nil {
			s.o.Log.Warn("the journal could not be carried over; that is done at the next start", "error", err)
		}
	}
	err := s.flush(nil)
	s.shut()
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// shut closes files without writing.
func (s *Store) shut() {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		g.gone = true
		if g.users == 0 {
			g.close()
		}
	}
	if s.state != nil {
		_ = s.state.Close()
		s.state = nil
	}
	if s.journal != nil {
		_ = s.journal.file.Close()
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}
