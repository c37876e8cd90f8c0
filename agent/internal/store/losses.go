package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"fluxora.dev/shared/meter"
)

// Why readings left the store, or never were in it.
const (
	evicted = "evicted" // the cap or the floor of free space was reached
	damaged = "damaged" // the disk lost them
	thinned = "thinned" // spared to make room: the energy of every interval is still in the readings left
	skipped = "skipped" // sequences passed over after damage, so that none is given twice; no reading is known to have had one
)

// Lost is a range of sequences that left the store, wholly or in part, before the hub had it.
type Lost struct {
	Range           // for damage, the sequences that the file can have held at most
	Why      string // "evicted", "damaged", "thinned", "skipped" or "unstorable" (see SetAside)
	From, To meter.Millis
	At       meter.Millis // when it happened
	Days     []DayLoss    `json:",omitempty"` // what it was, when that is known
	Unsure   bool         `json:",omitempty"` // the hub may have it: that was forgotten too
}

// DayLoss is how many readings of a series and a day, in UTC by their own instants, left the store.
type DayLoss struct {
	Series   meter.SeriesID
	Day      meter.Millis
	Readings uint64
}

// maxLost bounds the list of lost ranges; the oldest that the hub knows of are dropped first.
const maxLost = 1000

// Lost lists the ranges that left the store before the hub had them, oldest first.
func (s *Store) Lost() []Lost {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lost)
}

// Thinned lists the ranges of which readings were spared before the hub had them, oldest first.
func (s *Store) Thinned() []Lost {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.thinned)
}

// lose records a lost range. The caller holds mu, or is Open.
func (s *Store) lose(l Lost) {
	if l.Len() == 0 {
		return
	}
	l.At = meter.MillisOf(s.o.Now())
	s.lost = append(s.lost, l)
	s.dirty.head = true
	if l.Why == skipped {
		s.o.Log.Warn("sequences passed over", "first", l.First, "end", l.End)
	} else {
		s.o.Log.Error("readings lost", "why", l.Why, "first", l.First, "end", l.End, "from", l.From, "to", l.To)
	}
	for len(s.lost) > maxLost {
		i := max(0, slices.IndexFunc(s.lost, func(l Lost) bool { return s.acked.contains(l.Range) }))
		if s.lost[i].Why == skipped {
			s.old.Skipped += s.lost[i].Len()
		} else {
			s.old.Evicted += s.lost[i].Len()
		}
		s.lost = slices.Delete(s.lost, i, i+1)
	}
}

// gone returns the ranges that are listed as lost. The caller holds mu.
func (s *Store) gone() ranges {
	var rs ranges
	for _, l := range s.lost {
		rs = rs.add(l.Range)
	}
	return rs
}

// loseUnacked records a lost range, less what the hub has and what is recorded already. The caller holds mu, or is Open.
func (s *Store) loseUnacked(l Lost) {
	known := s.gone()
	for _, r := range s.acked {
		known = known.add(r)
	}
	for _, r := range known.without(l.Range) {
		l.Range = r
		s.lose(l)
	}
}

// explained reports whether it is known why nothing can be read of r.
func (s *Store) explained(r Range) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.gone()
	for _, x := range s.acked {
		known = known.add(x)
	}
	for _, g := range s.segments {
		for _, t := range g.thin {
			known = known.add(t.Range)
		}
	}
	return known.contains(r)
}

// loseSegment records that g is gone, and what of it the hub has not got. The caller holds mu.
func (s *Store) loseSegment(g *segment, why string, days []DayLoss) {
	l := Lost{Why: why, Days: days}
	for id, sp := range g.Series {
		s.trimmed[id] = max(s.trimmed[id], sp.To)
		if l.To == 0 && l.From == 0 {
			l.From, l.To = sp.From, sp.To
		}
		l.From, l.To = min(l.From, sp.From), max(l.To, sp.To)
	}
	gone := s.gone()
	for _, t := range g.thin {
		if s.acked.contains(t.Range) && !gone.contains(t.Range) {
			s.old.Thinned += t.readings
		}
	}
	l.Range = Range{g.first, g.End}
	s.loseUnacked(l)
}

// Trimmed returns the last instant of a series that was in a segment which is gone: the log holds everything after it.
// Without such a segment it returns false.
func (s *Store) Trimmed(id meter.SeriesID) (meter.Millis, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.trimmed[id]
	return at, ok
}

// oldLosses counts what is no longer listed.
type oldLosses struct{ Evicted, Skipped, Thinned uint64 }

// losses is what is kept of segments that are gone. Old is how version 1 counts.
type losses struct {
	Lost    []Lost
	Old     uint64
	Trimmed map[meter.SeriesID]meter.Millis
	Counts  oldLosses
	Thinned []Lost
}

func (s *Store) encodeLosses() ([]byte, error) {
	return json.Marshal(losses{s.lost, s.old.Evicted, s.trimmed, s.old, s.thinned})
}

func (s *Store) decodeLosses(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var l losses
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("%w: lost ranges: %w", errDamaged, err)
	}
	s.lost, s.old, s.thinned = l.Lost, l.Counts, l.Thinned
	s.old.Evicted = max(s.old.Evicted, l.Old)
	maps.Copy(s.trimmed, l.Trimmed)
	return nil
}

// dayCount counts readings by series and day.
type dayCount map[DayLoss]uint64

func (d dayCount) add(r meter.Reading) {
	d[DayLoss{Series: r.Series, Day: r.At.Floor(24 * time.Hour)}]++
}

func (d dayCount) list() []DayLoss {
	out := make([]DayLoss, 0, len(d))
	for k, n := range d {
		k.Readings = n
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b DayLoss) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Series, b.Series))
	})
	return out
}
