package store

import (
	"fmt"
	"slices"

	"fluxora.dev/shared/meter"
)

// SetReceived replaces what is known to be acked by what the hub says it has: everything below cursor, and the ranges
// beyond. If that is less than was acked before, the hub was set back, and what the store still holds is sent again. If
// it is more than the store knew of when it was opened, the store was set back: sequences go on behind it, and what was taken
// in since then under sequences that the hub has already is appended again under new ones.
func (s *Store) SetReceived(cursor uint64, beyond []Range) error {
	var rs ranges
	rs = rs.add(Range{1, max(cursor, 1)})
	for _, r := range beyond {
		if r.First < 1 {
			return fmt.Errorf("received ranges: %s: sequences begin at 1", r)
		}
		rs = rs.add(r)
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	twice, err := s.takeReceived(rs)
	if err == nil && len(twice) > 0 {
		_, err = s.append(twice)
	}
	if err != nil {
		return fmt.Errorf("received ranges: %w", err)
	}
	return nil
}

// takeReceived takes over what the hub says, and returns the readings whose sequences the hub has for others. The caller holds
// appending.
func (s *Store) takeReceived(rs ranges) (twice []meter.Reading, err error) {
	s.mu.Lock()
	met, opened, next := s.met, s.opened, s.next
	s.mu.Unlock()
	if end := min(rs.end(), next); !met && end > opened {
		if twice, err = s.numberedTwice(rs, opened, end); err != nil {
			return nil, err
		}
		s.o.Log.Error("the hub has sequences that this store had forgotten: readings that got them again are numbered anew", "first", opened, "end", end, "readings", len(twice))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.met = true
	s.forgive(rs)
	if slices.Equal(rs, s.acked) {
		return twice, nil
	}
	if end := rs.end(); end > s.next {
		s.o.Log.Error("the hub has sequences that this store never gave: it was set back; going on behind them", "next", s.next, "hub", end)
		for _, r := range rs.without(Range{s.next, end}) {
			s.lose(s.timed(Lost{Range: r, Why: damaged}))
		}
		s.next = end
		if g := s.active(); g != nil {
			g.End = s.next
		}
	}
	s.acked = rs
	s.dirty.head = true
	return twice, nil
}

// numberedTwice returns the readings of atoms in [first, end) that are in rs, wholly or in part.
func (s *Store) numberedTwice(rs ranges, first, end uint64) (twice []meter.Reading, err error) {
	for at := first; at < end; {
		next, err := s.atoms(at, func(a atom) bool {
			if a.first >= end {
				return false
			}
			if rs.overlap(Range{a.first, a.first + a.count}) > 0 {
				for _, b := range a.blocks {
					if more, err := decodeBlock(twice, b); err == nil {
						twice = more
					}
				}
			}
			return true
		}, func(Range) bool { return true })
		if err != nil {
			return nil, err
		}
		if next <= at {
			break
		}
		at = next
	}
	return twice, nil
}

// forgive takes off the list of lost ranges what the hub had got before this store forgot that it was acked. The caller holds
// mu.
func (s *Store) forgive(rs ranges) {
	var left []Lost
	for _, l := range s.lost {
		if !l.Unsure {
			left = append(left, l)
			continue
		}
		s.dirty.head = true
		l.Unsure = false
		for _, r := range rs.without(l.Range) {
			l.Range = r
			left = append(left, l)
		}
	}
	s.lost = left
}
