package watch

import "math"

// sketchBins is the number of bins of a sketch.
const sketchBins = 128

// Sketch counts values in bins that are the same everywhere: finer near zero, wider far out. Value x lies at x/(1+|x|) of
// the way from -1 to 1, which is parted evenly. The zero value is empty; it is a comparable value.
type Sketch struct {
	Bins    [sketchBins]uint32
	Missing uint32 // values that were not known
}

// Add counts a value.
func (s *Sketch) Add(x float64) {
	if x != x {
		s.Missing++
		return
	}
	s.Bins[binOf(x)]++
}

func binOf(x float64) int {
	u := math.Copysign(1, x)
	if a := math.Abs(x); a < math.MaxFloat64 {
		u = x / (1 + a)
	}
	return max(0, min(sketchBins-1, int((u+1)*(sketchBins/2))))
}

// Merge adds the counts of o.
func (s *Sketch) Merge(o Sketch) {
	for i, n := range o.Bins {
		s.Bins[i] += n
	}
	s.Missing += o.Missing
}

// without returns the counts of s less those of o, which was merged into s.
func (s Sketch) without(o Sketch) Sketch {
	for i, n := range o.Bins {
		s.Bins[i] -= n
	}
	s.Missing -= o.Missing
	return s
}

// Known returns how many values were known.
func (s *Sketch) Known() int {
	n := 0
	for _, c := range s.Bins {
		n += int(c)
	}
	return n
}

// KS returns the largest difference between the shares of known values below a bound: 0 when two sketches are alike, 1
// when they have nothing in common, NaN when one has no known values.
func KS(a, b Sketch) float64 {
	na, nb := float64(a.Known()), float64(b.Known())
	if na == 0 || nb == 0 {
		return math.NaN()
	}
	most, fa, fb := 0.0, 0.0, 0.0
	for i := range a.Bins {
		fa += float64(a.Bins[i]) / na
		fb += float64(b.Bins[i]) / nb
		most = max(most, math.Abs(fa-fb))
	}
	return most
}

const (
	psiGroups = 10  // of known values, of about equal share in the reference
	psiPrior  = 0.5 // values more that each group is counted with, so that no share is zero
)

// PSI returns the population stability index of s against a reference: the sum over groups of (share - usual share) ·
// ln(share / usual share). Missing values are a group of their own. It is NaN when one of the two is empty.
func PSI(reference, s Sketch) float64 {
	usual, now := float64(reference.Known()+int(reference.Missing)), float64(s.Known()+int(s.Missing))
	if usual == 0 || now == 0 {
		return math.NaN()
	}
	sum := 0.0
	group := func(r, n uint32) {
		p := (float64(r) + psiPrior) / (usual + psiPrior*(psiGroups+1))
		q := (float64(n) + psiPrior) / (now + psiPrior*(psiGroups+1))
		sum += (q - p) * math.Log(q/p)
	}
	group(reference.Missing, s.Missing)
	var r, n uint32
	left := float64(reference.Known())
	groups := float64(psiGroups)
	for i := range s.Bins {
		r, n = r+reference.Bins[i], n+s.Bins[i]
		if groups > 1 && float64(r) >= left/groups {
			group(r, n)
			left, groups = left-float64(r), groups-1
			r, n = 0, 0
		}
	}
	group(r, n)
	return sum
}
