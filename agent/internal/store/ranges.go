package store

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Range is a half-open range of sequences [First, End).
type Range struct{ First, End uint64 }

// Len returns how many sequences r holds.
func (r Range) Len() uint64 {
	if r.End <= r.First {
		return 0
	}
	return r.End - r.First
}

func (r Range) String() string { return fmt.Sprintf("[%d,%d)", r.First, r.End) }

// ranges is an ascending list of disjoint ranges that do not touch.
type ranges []Range

// add returns rs with r united.
func (rs ranges) add(r Range) ranges {
	if r.Len() == 0 {
		return rs
	}
	// i is the first range that touches or follows r, j the first that begins beyond it.
	i, _ := slices.BinarySearchFunc(rs, r.First, func(x Range, first uint64) int {
		if x.End < first {
			return -1
		}
		return 1
	})
	j := i
	for j < len(rs) && rs[j].First <= r.End {
		r.First, r.End = min(r.First, rs[j].First), max(r.End, rs[j].End)
		j++
	}
	return slices.Replace(rs, i, j, r)
}

// contains reports whether all of r is in rs.
func (rs ranges) contains(r Range) bool {
	for _, x := range rs {
		if x.First <= r.First && r.End <= x.End {
			return true
		}
	}
	return r.Len() == 0
}

// overlap returns how many sequences of r are in rs.
func (rs ranges) overlap(r Range) uint64 {
	n := uint64(0)
	for _, x := range rs {
		n += Range{max(x.First, r.First), min(x.End, r.End)}.Len()
	}
	return n
}

// without returns what of r is not in rs, ascending.
func (rs ranges) without(r Range) []Range {
	var out []Range
	for _, x := range rs {
		if x.End <= r.First {
			continue
		}
		if x.First >= r.End {
			break
		}
		if x.First > r.First {
			out = append(out, Range{r.First, x.First})
		}
		r.First = max(r.First, x.End)
	}
	if r.Len() > 0 {
		out = append(out, r)
	}
	return out
}

// end returns the end of the last range, 0 without any.
func (rs ranges) end() uint64 {
	if len(rs) == 0 {
		return 0
	}
	return rs[len(rs)-1].End
}

func (rs ranges) encode() []byte {
	var b []byte
	for _, r := range rs {
		b = binary.AppendUvarint(b, r.First)
		b = binary.AppendUvarint(b, r.End)
	}
	return b
}

func decodeRanges(b []byte) (ranges, error) {
	var rs ranges
	for len(b) > 0 {
		first, n := binary.Uvarint(b)
		end, m := uint64(0), 0
		if n > 0 {
			end, m = binary.Uvarint(b[n:])
		}
		if n <= 0 || m <= 0 {
			return nil, fmt.Errorf("%w: ranges", errDamaged)
		}
		rs, b = rs.add(Range{first, end}), b[n+m:]
	}
	return rs, nil
}
