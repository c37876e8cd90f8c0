package store

import (
	"fmt"
	"slices"

	"fluxora.dev/shared/meter"
)

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
