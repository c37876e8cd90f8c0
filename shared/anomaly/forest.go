package anomaly

import "math/rand/v2"

// The size of a forest, as its inventors found enough.
const (
	trees  = 100
	sample = 256
	deep   = 8 // log2 of sample
)

// shape is what is known of a day: numbers without units.
type shape [traits]float64

// forest tells how soon random cuts leave a day alone: the sooner, the odder it is.
type forest struct {
	nodes []node
	roots []int32
	usual float64 // mean depth of a search among so many days
}

// node cuts a trait at a value: days below go to the left child, the others to the next one. In a leaf left is 0, and at is
// how deep a day lies that ends here.
type node struct {
	left  int32
	trait int32
	at    float64
}

// grow returns a forest over days. The same days and seed give the same forest.
func grow(days []shape, seed uint64) *forest {
	rng := rand.New(rand.NewPCG(seed, 0x69666f72657374))
	f := &forest{usual: searched(min(sample, len(days)))}
	for range trees {
		pick := make([]*shape, 0, sample)
		for _, i := range rng.Perm(len(days))[:min(sample, len(days))] {
			pick = append(pick, &days[i])
		}
		f.roots = append(f.roots, int32(len(f.nodes)))
		f.nodes = append(f.nodes, node{})
		f.split(len(f.nodes)-1, pick, 0, rng)
	}
	return f
}

// split makes a tree of some days below a node.
func (f *forest) split(at int, days []*shape, depth int, rng *rand.Rand) {
	f.nodes[at] = node{at: float64(depth) + searched(len(days))}
	if depth == deep || len(days) < 2 {
		return
	}
	// A trait in which the days differ, each as likely as the others.
	var low, high float64
	trait, differ := -1, 0
	for t := range traits {
		least, most := days[0][t], days[0][t]
		for _, d := range days[1:] {
			least, most = min(least, d[t]), max(most, d[t])
		}
		if most > least {
			if differ++; rng.IntN(differ) == 0 {
				trait, low, high = t, least, most
			}
		}
	}
	if trait < 0 {
		return
	}
	cut := low + float64(rng.Float64()*(high-low))
	if cut <= low {
		cut = high
	}
	k := 0
	for i, d := range days {
		if d[trait] < cut {
			days[k], days[i] = days[i], days[k]
			k++
		}
	}
	left := len(f.nodes)
	f.nodes = append(f.nodes, node{}, node{})
	f.nodes[at] = node{left: int32(left), trait: int32(trait), at: cut}
	f.split(left, days[:k], depth+1, rng)
	f.split(left+1, days[k:], depth+1, rng)
}

// depth returns the mean depth at which a day ends, as a share of the usual one. The inventors' score is 2 to the power of
// minus this: 1 is ordinary, one half is 0.7.
func (f *forest) depth(d *shape) float64 {
	sum := 0.0
	for _, r := range f.roots {
		n := &f.nodes[r]
		for n.left > 0 {
			next := n.left
			if !(d[n.trait] < n.at) {
				next++
			}
			n = &f.nodes[next]
		}
		sum += n.at
	}
	return sum / float64(len(f.roots)) / f.usual
}

// searched returns the mean depth of an unsuccessful search in a binary tree of n: 2·H(n-1) - 2·(n-1)/n, H being the
// harmonic number.
func searched(n int) float64 {
	if n < 2 {
		return 0
	}
	h := 0.0
	for i := 1; i < n; i++ {
		h += 1 / float64(i)
	}
	return 2*h - 2*float64(n-1)/float64(n)
}
