package store

import (
	"fmt"
	"os"
	"sync"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

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
	named     map[string][]byte // named values that may wait
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
		dirty: dirty{series: make(map[meter.SeriesID]bool), forecasts: make(map[pointRegister]bool), named: make(map[string][]byte)},
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

// Epoch returns the random number that tells this run of sequences from any other of the same agent.
func (s *Store) Epoch() uint64 { return s.epoch }

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
