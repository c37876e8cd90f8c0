package store

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// ErrLocked says that another agent has the directory.
var ErrLocked = errors.New("the data directory is in use by another agent")

// Options are the settings of a store. Zero values mean the defaults.
type Options struct {
	MaxBytes        int64            // cap over all files; default 256 MiB, least 1 MiB
	Retention       time.Duration    // how long acked readings are kept, by arrival; default 35 days
	MaxSeries       int              // series that may be numbered; default 1000
	QuarantineCount int              // quarantined messages kept; default 10,000
	QuarantineBytes int64            // bytes of quarantine kept; default MaxBytes/32
	LockTimeout     time.Duration    // how long Open waits for another agent to let go; default 2 s
	Now             func() time.Time // default time.Now
	Log             *slog.Logger     // default discards
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

	appending sync.Mutex // held by the one Append at work, and by whoever replaces the active segment
	grouper   grouper

	quarantining sync.Mutex // held by the one Quarantine at work; taken before flushing

	flushing sync.Mutex // held during a write to state.db; taken after appending, before mu

	mu       sync.Mutex
	epoch    uint64
	next     uint64
	acked    ranges
	lost     []Lost
	trimmed  map[meter.SeriesID]meter.Millis // see Trimmed
	lostOld  uint64                          // readings in lost ranges that were acked and dropped from the list
	segments []*segment                      // ascending; the last one is active
	series   map[meter.SeriesID]meter.Series
	ids      map[meter.Series]meter.SeriesID
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
		dir: dir, o: o, segmentSize: min(16<<20, o.MaxBytes/16/pageSize*pageSize), changed: make(chan struct{}, 1),
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

func (s *Store) takeLock() error {
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	until := time.Now().Add(s.o.LockTimeout)
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			s.lock = f
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(until) {
			_ = f.Close()
			return fmt.Errorf("%w: %s (%w); stop it or give this one another data_dir", ErrLocked, s.dir, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
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
			found = append(found, &segment{path: path, first: first})
			continue
		}
		if strings.HasSuffix(e.Name(), ".new") {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		if info, err := e.Info(); err == nil && isSetAside(e.Name()) {
			s.setAside[e.Name()] = info.Size()
		}
	}
	slices.SortFunc(found, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })

	type open struct {
		*segment
		sealed bool
	}
	var good []open
	var bad []*segment
	for i, g := range found {
		epoch, sealed, err := s.readSegment(g, i == len(found)-1)
		if err == nil && s.epoch != 0 && epoch != s.epoch {
			err = fmt.Errorf("%w: epoch %d: the store has %d", errDamaged, epoch, s.epoch)
		}
		if errors.Is(err, errDamaged) {
			bad = append(bad, g)
			s.putAside(g.path, err)
			continue
		} else if err != nil {
			return fmt.Errorf("segment %s: %w", filepath.Base(g.path), err)
		}
		s.epoch = cmp.Or(s.epoch, epoch)
		good = append(good, open{g, sealed})
	}
	if s.epoch == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		s.epoch = binary.BigEndian.Uint64(b[:])>>1 | 1
		s.dirty.head = true
	}
	for _, g := range good {
		s.segments = append(s.segments, g.segment)
		s.next = max(s.next, g.End)
	}
	// A reading takes a byte at least, so this bounds what a damaged last segment can have held.
	if n := len(bad); n > 0 && (len(good) == 0 || bad[n-1].first > good[len(good)-1].first) {
		s.next = max(s.next, bad[n-1].first+uint64(2*s.segmentSize+1<<20))
		s.dirty.head = true
	}
	s.next = max(s.next, s.acked.end(), s.applied)
	s.learnSeries()
	s.findGaps()
	if s.applied > s.next {
		s.applied = s.next
	}

	if n := len(good); n > 0 && !good[n-1].sealed && good[n-1].End == s.next && good[n-1].size < s.segmentSize {
		err = good[n-1].openForWriting(s.segmentSize)
	} else {
		err = s.newSegment()
	}
	if err != nil {
		// A full or read-only file system must not keep the agent from starting: Append tries again and reports.
		s.o.Log.Error("no segment can be written at the moment", "error", err)
	}
	return nil
}

// readSegment reads the head of g and, if all is set, walks all of it. The file is closed again.
func (s *Store) readSegment(g *segment, all bool) (epoch uint64, sealed bool, err error) {
	if err := g.stat(); err != nil {
		return 0, false, err
	}
	if err := g.openForReading(); err != nil {
		return 0, false, err
	}
	defer func() {
		_ = g.db.Close()
		g.db = nil
	}()
	defs := make(map[meter.SeriesID]meter.Series)
	if epoch, sealed, err = g.readHead(defs); err != nil {
		return epoch, sealed, err
	}
	if all {
		if err := walk(g.db); err != nil {
			return epoch, sealed, err
		}
	}
	for id, d := range defs {
		if _, ok := s.series[id]; !ok {
			s.series[id] = d
			s.dirty.series[id] = true
		}
	}
	return epoch, sealed, nil
}

// findGaps lists as lost what is neither in a segment nor acked nor known to be lost.
func (s *Store) findGaps() {
	have := slices.Clone(s.acked)
	for _, g := range s.segments {
		have = have.add(Range{g.first, g.End})
	}
	for _, l := range s.lost {
		have = have.add(l.Range)
	}
	for _, r := range have.without(Range{1, s.next}) {
		s.lose(Lost{Range: r, Why: "damaged"})
		for id := range s.series { // which were in it is not known
			s.trimmed[id] = max(s.trimmed[id], meter.MillisOf(s.o.Now()))
		}
	}
}

// newSegment makes a segment that begins at next and appends it to the list. The caller holds appending, or is Open.
func (s *Store) newSegment() error {
	g, err := createSegment(s.dir, s.next, s.epoch, s.segmentSize)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.segments = append(s.segments, g)
	s.mu.Unlock()
	return nil
}

// putAside renames a damaged file and remembers why. The caller holds mu, or is Open.
func (s *Store) putAside(path string, why error) {
	name, err := setAside(path, s.o.Now())
	if err != nil {
		s.o.Log.Error("damaged file could not be set aside", "file", filepath.Base(path), "error", errors.Join(why, err))
		return
	}
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
		if g.users == 0 && g.db != nil {
			_ = g.db.Close()
			g.db = nil
		}
	}
	if s.state != nil {
		_ = s.state.Close()
		s.state = nil
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}
