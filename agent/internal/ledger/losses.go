package ledger

import (
	"fmt"
	"slices"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// Why the store lists a range as lost, as far as the books treat it apart.
const (
	skipped    = "skipped"    // no reading had these sequences
	unstorable = "unstorable" // quarantined: the readings are in the log
)

// takeLosses brings what the store lists as lost and thinned into the accounts, each once.
func (b *Books) takeLosses() error {
	// Thinned comes first: a segment may be thinned and then lost.
	for _, l := range b.log.Thinned() {
		if l.End > b.head.End || b.head.Thin.overlap(l.Range) == l.Len() {
			continue
		}
		by := b.byKey(l.Days)
		b.late(by, min(sum(by), b.head.Holes.overlap(l.Range)))
		for k, n := range by {
			b.of(k).Thinned += n
		}
		b.head.Thin = b.head.Thin.add(l.Range)
		b.head.Spared = append(b.head.Spared, spared{l.Range, sum(by)})
	}
	lost := b.log.Lost()
	for i := 0; i < len(lost); {
		// What one event took in several ranges tells its days with each of them.
		l := lost[i]
		rs := ranges{}
		for ; i < len(lost); i++ {
			x := lost[i]
			if len(rs) > 0 && (x.Why != l.Why || x.At != l.At || x.From != l.From || x.To != l.To || len(l.Days) == 0) {
				break
			}
			rs = rs.add(x.Range)
		}
		if rs[len(rs)-1].End > b.head.End || b.head.Lost.overlapAll(rs) > 0 {
			continue
		}
		if err := b.takeLoss(l, rs); err != nil {
			return err
		}
	}
	return nil
}

// takeLoss books one loss, of the ranges rs.
func (b *Books) takeLoss(l store.Lost, rs ranges) error {
	defer func() {
		for _, r := range rs {
			b.head.Lost = b.head.Lost.add(r)
		}
	}()
	if l.Why == skipped {
		return nil
	}
	n, holes := rs.size(), uint64(0)
	if l.Why == unstorable {
		there := uint64(0) // thinning may have left less than the sequences say
		for _, r := range rs {
			by, err := b.read(r)
			if err != nil {
				return fmt.Errorf("count what was set aside of %s: %w", r, err)
			}
			there += sum(by)
		}
		if there > 0 {
			n = there
		}
	}
	for _, s := range b.head.Spared { // those are booked
		if l.Why == unstorable {
			break
		}
		n -= min(n, min(s.Readings, rs.overlap(s.Range)))
	}
	for _, r := range rs {
		holes += b.head.Holes.overlap(r)
	}
	holes = min(holes, n)
	by := b.byKey(l.Days)
	if len(l.Days) == 0 && holes > 0 { // nobody can tell what it was
		by[Key{Day: dayOf(max(l.From, l.To, 0))}] = holes
	}
	cut(by, n)
	b.late(by, min(holes, sum(by)))
	for _, r := range rs {
		for _, p := range b.pages {
			part := store.Range{First: max(p.First, r.First), End: min(p.End, r.End)}
			if part.Len() == 0 {
				continue
			}
			gone, err := b.missing(p, part, l.Why == unstorable)
			if err != nil {
				return fmt.Errorf("count what was lost of %s: %w", part, err)
			}
			if len(l.Days) == 0 {
				cut(gone, n-sum(by))
				add(by, gone)
			}
			add(p.Gone, gone)
			p.dirty = true
		}
	}
	if rest := n - sum(by); rest > 0 {
		b.spread(rs, rest, by)
	}
	for k, n := range by {
		if l.Why == unstorable {
			b.of(k).Unstorable += n
		} else {
			b.of(k).Evicted += n
		}
	}
	return nil
}

// spread adds to by what is left of a loss that nothing else explains: of the accounts that have readings there, as far as they go.
func (b *Books) spread(rs ranges, rest uint64, by map[Key]uint64) {
	for _, p := range b.pages {
		if rs.overlap(store.Range{First: p.First, End: p.End}) == 0 {
			continue
		}
		for _, k := range sorted(p.Counts) {
			c := b.of(k)
			used := c.Evicted + c.Thinned + c.Unstorable + by[k]
			m := min(rest, c.Received-min(c.Received, used))
			by[k] += m
			rest -= m
		}
	}
	if rest > 0 {
		b.out.Error("a loss is in no account", "readings", rest)
	}
}

// late counts as received what was lost before it could be applied: n readings of those in by.
func (b *Books) late(by map[Key]uint64, n uint64) {
	for _, k := range sorted(by) {
		m := min(n, by[k])
		if m > 0 {
			b.of(k).Received += m
			b.head.Late += m
			n -= m
		}
	}
}

func (b *Books) byKey(days []store.DayLoss) map[Key]uint64 {
	by := make(map[Key]uint64)
	for _, d := range days {
		of, _ := b.log.LookupSeries(d.Series)
		by[Key{of.Point, of.Register, dayOf(d.Day)}] += d.Readings
	}
	return by
}

// missing returns what was counted of a part of p and, if it is not booked as lost yet, cannot be read any more; with there, what can
// be.
func (b *Books) missing(p *page, part store.Range, there bool) (map[Key]uint64, error) {
	if there {
		if by, err := b.read(part); err != nil || sum(by) > 0 {
			return by, err
		}
	}
	left := map[Key]uint64{}
	if part.Len() < p.End-p.First {
		var err error
		if left, err = b.read(store.Range{First: p.First, End: p.End}); err != nil {
			return nil, err
		}
	}
	gone := make(map[Key]uint64)
	for k, n := range p.Counts {
		if away := left[k] + p.Gone[k]; n > away {
			gone[k] = n - away
		}
	}
	cut(gone, part.Len()) // more is missing of the page than this loss took
	return gone, nil
}

func add(to, by map[Key]uint64) {
	for k, n := range by {
		to[k] += n
	}
}

// read counts the readings that the log holds of r, whose borders are borders of atoms.
func (b *Books) read(r store.Range) (map[Key]uint64, error) {
	out := make(map[Key]uint64)
	for at := r.First; at < r.End; {
		rs, next, err := b.log.Readings(at, 1)
		if err != nil {
			return nil, err
		}
		if next > r.End || next <= at {
			break // a hole up to the end, and an atom behind it
		}
		for _, x := range rs {
			of, _ := b.log.LookupSeries(x.Series)
			out[Key{of.Point, of.Register, dayOf(x.At)}]++
		}
		at = next
	}
	return out, nil
}

// takeQuarantined counts the messages that were quarantined since the last time.
func (b *Books) takeQuarantined() error {
	for {
		qs, err := b.log.Quarantined(b.head.NextQuarantined, 500)
		if err != nil || len(qs) == 0 {
			return err
		}
		for _, q := range qs {
			if q.ID > b.head.NextQuarantined { // deleted for room before they were counted
				b.of(Key{Day: dayOf(q.Received)}).Messages += q.ID - b.head.NextQuarantined
			}
			b.head.NextQuarantined = q.ID + 1
			if q.Reason != string(meter.Unstorable) { // its readings are booked by their sequences
				b.of(Key{Point: q.Point, Day: dayOf(q.Received)}).Messages++
			}
		}
	}
}

// overlapAll returns how many sequences of others are in rs.
func (rs ranges) overlapAll(others ranges) (n uint64) {
	for _, r := range others {
		n += rs.overlap(r)
	}
	return n
}

func sum(by map[Key]uint64) (n uint64) {
	for _, m := range by {
		n += m
	}
	return n
}

// cut lowers by to a sum of at most n, taking from each account in turn.
func cut(by map[Key]uint64, n uint64) {
	over := sum(by) - min(sum(by), n)
	for _, k := range slices.Backward(sorted(by)) {
		m := min(over, by[k])
		if over -= m; by[k] == m {
			delete(by, k)
		} else {
			by[k] -= m
		}
	}
}
