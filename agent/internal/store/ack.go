package store

import "fmt"

// Ledger accounts for every sequence ever given: Received = Delivered + Evicted + Thinned + Pending.
type Ledger struct {
	Received  uint64 // readings given a sequence
	Delivered uint64 // acked by the hub
	Evicted   uint64 // lost before the hub had them, to the cap or to damage, or set aside as unstorable
	Thinned   uint64 // spared before the hub had them, with the energy of their intervals still in the others
	Pending   uint64 // waiting for the hub
}

// Ledger returns the account of this epoch. Of a range that was thinned first and lost later, all counts as evicted.
func (s *Store) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := Range{1, s.next}
	l := Ledger{Received: all.Len() - s.old.Skipped, Evicted: s.old.Evicted, Thinned: s.old.Thinned}
	away := s.old.Evicted + s.old.Thinned + s.old.Skipped // acked, but not delivered
	for _, x := range s.lost {
		if x.Why == skipped {
			l.Received -= x.Len()
		} else {
			l.Evicted += x.Len()
		}
		away += s.acked.overlap(x.Range)
	}
	gone := s.gone()
	for _, g := range s.segments {
		for _, t := range g.thin {
			left, n := t.Len(), s.acked.overlap(t.Range)
			if lost := gone.overlap(t.Range); lost > 0 {
				continue
			}
			l.Thinned += t.readings
			if n == left {
				away += t.readings
			} else if t.readings == left { // nothing is left of it: it may be acked in parts
				away += n
			}
		}
	}
	acked := s.acked.overlap(all)
	l.Delivered = acked - min(away, acked)
	l.Pending = l.Received - min(l.Received, l.Delivered+l.Evicted+l.Thinned)
	return l
}

// Pending returns how many readings wait for the hub.
func (s *Store) Pending() uint64 { return s.Ledger().Pending }

// Cursor returns the sequence below which the hub has everything; 1 when it has nothing.
func (s *Store) Cursor() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.acked) > 0 && s.acked[0].First <= 1 {
		return s.acked[0].End
	}
	return 1
}

// Unacked returns the ranges that the hub has not acked, ascending. Lost ranges are among them until the hub knows.
func (s *Store) Unacked() []Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked.without(Range{1, s.next})
}

// Ack records that the hub has committed r. It lasts from the next Flush on; forgetting it costs one repeated batch at
// most, which the hub knows.
func (s *Store) Ack(r Range) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.First < 1 || r.End > s.next || r.Len() == 0 {
		return fmt.Errorf("ack %s: want a range within [1,%d)", r, s.next)
	}
	s.acked = s.acked.add(r)
	s.met, s.dirty.head = true, true
	return nil
}
