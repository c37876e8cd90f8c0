package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"fluxora.dev/shared/meter"
)

// ErrTooManySeries says that the agent may not number any more series.
var ErrTooManySeries = errors.New("too many series")

// RegisteredSeries is a series and its number.
type RegisteredSeries struct {
	ID meter.SeriesID
	meter.Series
}

// SeriesID returns the number of a series, giving it one at first sight. The number becomes durable with the first
// Append that uses it.
func (s *Store) SeriesID(of meter.Series) (meter.SeriesID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.ids[of]; ok {
		return id, nil
	}
	if err := of.Check(); err != nil {
		return 0, err
	}
	if len(s.ids) >= s.o.MaxSeries {
		return 0, fmt.Errorf("%w: %d are known already; raise limits.series if they are real", ErrTooManySeries, len(s.ids))
	}
	id := meter.SeriesID(1)
	for known := range s.series {
		id = max(id, known+1)
	}
	s.series[id], s.ids[of] = of, id
	s.dirty.series[id] = true
	return id, nil
}

// Series returns every series, by number.
func (s *Store) Series() []RegisteredSeries {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]RegisteredSeries, 0, len(s.series))
	for id, of := range s.series {
		out = append(out, RegisteredSeries{id, of})
	}
	slices.SortFunc(out, func(a, b RegisteredSeries) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// LookupSeries returns the series with a number.
func (s *Store) LookupSeries(id meter.SeriesID) (meter.Series, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := s.series[id]
	return of, ok
}

// learnSeries fills the reverse index. The caller is Open.
func (s *Store) learnSeries() {
	for id, of := range s.series {
		if old, ok := s.ids[of]; !ok || id < old {
			s.ids[of] = id
		}
	}
}

// Span returns the first and last instant that the log holds of a series.
func (s *Store) Span(id meter.SeriesID) (from, to meter.Millis, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		sp, has := g.Series[id]
		if !has {
			continue
		}
		if !ok {
			from, to, ok = sp.From, sp.To, true
		}
		from, to = min(from, sp.From), max(to, sp.To)
	}
	return from, to, ok
}
