package store

import (
	"fmt"
	"slices"

	"fluxora.dev/shared/meter"
)

// unstorable is why a range is lost that SetAside took out of the hub's way.
const unstorable = "unstorable"

// SetAside keeps r, an atom that the hub can never store, from going up again: its blocks go into the quarantine, with the
// reason, in as many parts as they need, and r is listed as lost, so that ReadFrom gives it as refused. The readings stay in
// the log, for the history and the forecasts here. It is durable on return; a crash before may leave parts in the quarantine
// twice.
func (s *Store) SetAside(r Range, why string) error {
	b, err := s.ReadFrom(r.First, int(r.Len()))
	if err != nil {
		return fmt.Errorf("set %s aside: %w", r, err)
	}
	if b.First != r.First || b.Count != r.Len() {
		return fmt.Errorf("set %s aside: the log has [%d,%d) there", r, b.First, b.First+b.Count)
	}
	l := Lost{Range: r, Why: unstorable}
	now := meter.MillisOf(s.o.Now())
	points := make(map[meter.SeriesID]string)
	for _, x := range s.Series() {
		points[x.ID] = x.Point
	}
	var qs []Quarantined
	for _, x := range b.Blocks {
		if rs, err := decodeBlock(nil, x); err == nil {
			for _, reading := range rs {
				if l.From == 0 && l.To == 0 {
					l.From, l.To = reading.At, reading.At
				}
				l.From, l.To = min(l.From, reading.At), max(l.To, reading.At)
			}
		}
		parts := slices.Collect(slices.Chunk(x.Chunk, MaxQuarantinedPayload))
		for i, part := range parts {
			qs = append(qs, Quarantined{
				Reason: string(meter.Unstorable), Point: points[x.Series], Payload: part, Received: now,
				Detail: fmt.Sprintf("chunk of series %d, part %d of %d, of sequences %s: %s", x.Series, i+1, len(parts), r, why),
			})
		}
	}
	if err := s.Quarantine(qs); err != nil {
		return fmt.Errorf("set %s aside: %w", r, err)
	}
	s.mu.Lock()
	s.lose(l)
	s.mu.Unlock()
	return s.Flush()
}

// lostFrom returns the end of the unstorable range that first is in, or else first, and how far from there on nothing is
// unstorable. The caller holds mu.
func (s *Store) lostFrom(first, limit uint64) (end, until uint64) {
	for _, l := range s.lost {
		switch {
		case l.Why != unstorable || l.End <= first:
		case l.First <= first:
			return min(l.End, limit), limit
		default:
			limit = min(limit, l.First)
		}
	}
	return first, limit
}
