package uplink

import "fluxora.dev/proto/wire"

// subtract returns what of the ascending ranges rs is not in the ranges of out, which need not be ordered.
func subtract(rs []wire.Range, out []flight) []wire.Range {
	left := rs
	for _, o := range out {
		var next []wire.Range
		for _, r := range left {
			if o.End <= r.First || r.End <= o.First {
				next = append(next, r)
				continue
			}
			if r.First < o.First {
				next = append(next, wire.Range{First: r.First, End: o.First})
			}
			if o.End < r.End {
				next = append(next, wire.Range{First: o.End, End: r.End})
			}
		}
		left = next
	}
	return left
}

// firstWithin returns the first part of the ascending ranges rs that lies in [from, to).
func firstWithin(rs []wire.Range, from, to uint64) (wire.Range, bool) {
	for _, r := range rs {
		r.First, r.End = max(r.First, from), min(r.End, to)
		if r.First < r.End {
			return r, true
		}
	}
	return wire.Range{}, false
}

func total(rs []wire.Range) (n uint64) {
	for _, r := range rs {
		n += r.Len()
	}
	return n
}
