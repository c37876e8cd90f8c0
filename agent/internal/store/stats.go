package store

import (
	"math"
	"time"
)

// minWindow is the narrowest that Window gets however wide the flash budget is: each commit syncs.
const minWindow = 100 * time.Millisecond

// Stats says how the store treats its flash and how long it can go on without the hub.
type Stats struct {
	Bytes, Limit int64 // of all files; Limit is what they may come to, less what the floor of free space takes of it
	// BytesPerDay is what the store writes in a day at the rate of the last one, or since the start: whole pages of every
	// commit, in bbolt's files and in the journal. The file system's own journal is not in it, nor what the flash does.
	BytesPerDay float64
	// SecondsAtRisk is how long a reading may wait before it is durable; it is not acknowledged until then.
	SecondsAtRisk float64
	// HoursUntilFull is how long readings of the last day's rate fit in if the hub takes none; +Inf when none come.
	HoursUntilFull float64
	SetAside       int // damaged files that are kept
}

// Stats returns what is known at the moment.
func (s *Store) Stats() Stats {
	now := s.o.Now()
	all, _, intake := s.wear.rates(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	x := Stats{Bytes: s.bytes(), Limit: s.o.MaxBytes, BytesPerDay: all, SecondsAtRisk: s.Window().Seconds(), HoursUntilFull: math.Inf(1), SetAside: len(s.setAside)}
	if free, total, err := s.o.disk.free(s.dir); err == nil && s.o.MinFree >= 0 {
		x.Limit = max(min(x.Limit, x.Bytes+free-s.floor(total)), s.o.MaxBytes/4)
	}
	kept := x.Bytes
	for _, g := range s.segments {
		if !g.writable && s.acked.contains(Range{g.first, g.End}) {
			kept -= g.size
		}
	}
	for _, size := range s.setAside {
		kept -= size
	}
	if intake > 0 {
		const overhead = 1.1 // of pages over what they hold
		x.HoursUntilFull = max(float64(x.Limit-kept)/(intake*overhead)*24, 0)
	}
	return x
}

// floor returns how much of the file system is to stay free.
func (s *Store) floor(total int64) int64 {
	if s.o.MinFree == 0 {
		return max(200<<20, total/10)
	}
	return s.o.MinFree
}

// Window returns how long readings should wait for others before they are appended: the commit window, or with a flash budget
// as short a time as stays within it, by what a commit has cost lately and by what else is written; never longer than the
// commit window. It may be called concurrently and does not block.
func (s *Store) Window() time.Duration {
	cost := s.wear.cost()
	if s.o.FlashBudget <= 0 || cost == 0 {
		return s.o.CommitWindow
	}
	all, appends, _ := s.wear.rates(s.o.Now())
	left := float64(s.o.FlashBudget) - (all - appends)
	if most := cost * float64(24*time.Hour) / float64(max(s.o.CommitWindow, 1)); left <= most {
		return s.o.CommitWindow
	}
	return min(max(time.Duration(float64(24*time.Hour)*cost/left), minWindow), s.o.CommitWindow)
}

// cost returns what an append has written lately, 0 before the first.
func (w *wear) cost() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.perCommit
}
