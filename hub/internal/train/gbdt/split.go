package gbdt

import (
	"math"
	"slices"
)

// split is a way to part the rows of a leaf.
type split struct {
	gain        float64 // 0: none
	feature     int
	left        uint64 // cell of the rows that go left
	bin         int    // of a number: this bin and those below go left
	missingLeft bool
	members     *[4]uint64 // of a category: the codes that go left
}

// goesLeft reports whether rows of a bin go left.
func (s *split) goesLeft(bin int) bool {
	switch {
	case bin == missingBin:
		return s.missingLeft
	case s.members != nil:
		return s.members[bin/64]>>(bin%64)&1 == 1
	}
	return bin <= s.bin
}

// bounds are what the leaves under a node may say, in scaled gradients, so that monotone features stay so.
type bounds struct{ lo, hi float64 }

var unbound = bounds{math.Inf(-1), math.Inf(1)}

// judge finds the best split of one leaf by one feature after another.
type judge struct {
	packing
	l1, l2   float64 // l1 scaled
	minLeaf  int
	smooth   float64 // of categories
	all      uint64  // cell of all rows of the leaf
	n        int     // rows of the leaf
	total    float64 // scaled gradients of the leaf
	bounds   bounds
	unsplit  float64 // worth of the leaf as it is
	required float64 // worth that a split must exceed
}

func newJudge(p *Params, k packing, all uint64, b bounds) judge {
	j := judge{packing: k, l1: p.L1 * k.scale, l2: p.L2, minLeaf: p.MinLeaf, smooth: p.CategorySmooth, all: all, bounds: b}
	j.n, j.total = k.count(all), k.sum(all)
	j.unsplit = j.worth(j.total, float64(j.n))
	j.required = j.unsplit + max(p.MinGain*k.scale*k.scale, 1e-12*j.unsplit)
	return j
}

// shrunk returns a sum of gradients after the L1 penalty.
func (j *judge) shrunk(sum float64) float64 {
	if j.l1 == 0 {
		return sum
	}
	return math.Copysign(max(math.Abs(sum)-j.l1, 0), sum)
}

// value returns what a leaf of n rows would say, scaled.
func (j *judge) value(sum, n float64) float64 {
	return min(max(j.shrunk(sum)/(n+j.l2), j.bounds.lo), j.bounds.hi)
}

// worth returns by how much a leaf lessens the loss (twice, scaled).
func (j *judge) worth(sum, n float64) float64 {
	v := j.value(sum, n)
	return float64(2*sum*v) - float64((n+j.l2)*v*v) - float64(2*j.l1*math.Abs(v))
}

// best returns the best split by feature f with the given histogram.
func (j *judge) best(h *histogram, f, bins int, c Column) split {
	var s split
	switch {
	case c.Category:
		s = j.categories(h)
	case c.Monotone != 0 || j.l1 != 0 || j.bounds != unbound:
		s = j.carefully(h, bins, c.Monotone)
	default:
		s = j.fast(h, bins)
	}
	s.feature = f
	if s.gain > 0 && h[missingBin]&j.mask == 0 { // none is missing here: later ones go with the crowd
		s.missingLeft = 2*j.count(s.left) > j.n
	}
	return s
}

// fast is carefully for a number without bounds and L1. It compares worths as fractions, so that it never divides.
func (j *judge) fast(h *histogram, bins int) split {
	var out split
	num, den, found := j.required, 1.0, false
	least, most := uint64(max(j.minLeaf, 1)), uint64(max(j.n-max(j.minLeaf, 1), 0))
	mask, shift, n, sum, l2 := j.mask, j.shift&63, float64(j.n), j.total, j.l2
	missing := h[missingBin]
	for side := range 2 {
		at := uint64(0)
		if side == 1 {
			if missing&mask == 0 {
				break
			}
			at = missing
		}
		for b, c := range h[:bins] {
			at += c
			rows := at & mask
			if rows < least {
				continue
			}
			if rows > most {
				break
			}
			ls, ln := float64(int64(at)>>shift), float64(int64(rows))
			rs, dl, dr := sum-ls, ln+l2, n-ln+l2
			top, bottom := float64(ls*ls*dr)+float64(rs*rs*dl), dl*dr
			if float64(top*den) > float64(num*bottom) {
				num, den, found = top, bottom, true
				out.bin, out.left, out.missingLeft = b, at, side == 1
			}
		}
	}
	if found {
		out.gain = num/den - j.unsplit
	}
	return out
}

// carefully finds the best split of a number among those that its direction and the leaf's bounds allow.
func (j *judge) carefully(h *histogram, bins, monotone int) split {
	var out split
	best := j.required
	missing := h[missingBin]
	for side := range 2 {
		at := uint64(0)
		if side == 1 {
			if j.count(missing) == 0 {
				break
			}
			at = missing
		}
		for b, c := range h[:bins] {
			at += c
			if w := j.both(at, monotone); w > best {
				best = w
				out.bin, out.left, out.missingLeft, out.gain = b, at, side == 1, w-j.unsplit
			}
		}
	}
	return out
}

// both returns the worth of parting the leaf into the rows of a cell and the others, −Inf where that is not allowed.
func (j *judge) both(left uint64, monotone int) float64 {
	ln := j.count(left)
	rn := j.n - ln
	if ln < j.minLeaf || rn < j.minLeaf || ln == 0 || rn == 0 {
		return math.Inf(-1)
	}
	ls := j.sum(left)
	rs := j.total - ls
	if d := j.value(rs, float64(rn)) - j.value(ls, float64(ln)); d*float64(monotone) < 0 {
		return math.Inf(-1)
	}
	return j.worth(ls, float64(ln)) + j.worth(rs, float64(rn))
}

// categories finds the best set of codes to go left: sorted by their mean gradient, the best set is a run from one end
// (Fisher, On grouping for maximum homogeneity, 1958). Rare codes are drawn to the leaf's mean, so that a lucky one does
// not come first; missing is a code like the others.
func (j *judge) categories(h *histogram) split {
	type code struct {
		bin  int
		mean float64
	}
	var codes [256]code
	present := codes[:0]
	for b, c := range h {
		if n := float64(j.count(c)); n > 0 {
			mean := (j.sum(c) + float64(j.smooth*j.total/float64(j.n))) / (n + j.smooth)
			present = append(present, code{b, mean})
		}
	}
	slices.SortFunc(present, func(a, b code) int {
		switch {
		case a.mean < b.mean:
			return -1
		case a.mean > b.mean:
			return 1
		}
		return a.bin - b.bin
	})
	var out split
	best, at := j.required, uint64(0)
	run := -1
	for i, c := range present {
		at += h[c.bin]
		if w := j.both(at, 0); w > best {
			best, run = w, i
			out.left, out.gain = at, w-j.unsplit
		}
	}
	if run < 0 {
		return split{}
	}
	out.members = &[4]uint64{}
	for _, c := range present[:run+1] {
		if c.bin == missingBin {
			out.missingLeft = true
		} else {
			out.members[c.bin/64] |= 1 << (c.bin % 64)
		}
	}
	return out
}
