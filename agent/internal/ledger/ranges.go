package ledger

import (
	"slices"

	"fluxora.dev/agent/internal/store"
)

// ranges is an ascending list of disjoint ranges that do not touch.
type ranges []store.Range

// add returns rs with r united.
func (rs ranges) add(r store.Range) ranges {
	if r.Len() == 0 {
		return rs
	}
	i := slices.IndexFunc(rs, func(x store.Range) bool { return x.End >= r.First })
	if i < 0 {
		return append(rs, r)
	}
	j := i
	for j < len(rs) && rs[j].First <= r.End {
		r.First, r.End = min(r.First, rs[j].First), max(r.End, rs[j].End)
		j++
	}
	return slices.Replace(rs, i, j, r)
}

// overlap returns how many sequences of r are in rs.
func (rs ranges) overlap(r store.Range) (n uint64) {
	for _, x := range rs {
		n += store.Range{First: max(x.First, r.First), End: min(x.End, r.End)}.Len()
	}
	return n
}

// without returns what of r is not in rs, ascending.
func (rs ranges) without(r store.Range) (out []store.Range) {
	for _, x := range rs {
		if x.End <= r.First || x.First >= r.End {
			continue
		}
		if x.First > r.First {
			out = append(out, store.Range{First: r.First, End: x.First})
		}
		r.First = x.End
	}
	if r.Len() > 0 {
		out = append(out, r)
	}
	return out
}

// size returns how many sequences are in rs.
func (rs ranges) size() (n uint64) {
	for _, x := range rs {
		n += x.Len()
	}
	return n
}
