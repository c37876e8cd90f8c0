package forest

import (
	"math/bits"
	"math/rand/v2"

	"fluxora.dev/shared/model"
)

// cell sums the targets of the rows in one bin.
type cell struct {
	sum float64
	n   int32
}

// grower grows trees, keeping its buffers from one to the next. It must not be used by two goroutines at once.
type grower struct {
	p       Params
	columns []Column
	target  []float64
	split   []float32 // target as splits see it
	codes   []uint8   // of the targets
	all     []int32   // rows to draw from

	weight   []uint8 // by row: how often it was drawn for this tree
	rows     []int32
	spare    []int32
	y        []float32 // of the node's rows, in their order
	w        []uint8
	features []int
	cells    [256]cell
	touched  [4]uint64 // bins that hold rows
	stack    []span
	tree     model.SampleTree
	leaves   []float32 // mean by leaf
}

// span is a node whose rows are rows[from:to].
type span struct{ node, from, to int }

func newGrower(columns []Column, target []float64, codes []uint8, rows []int32, p Params) *grower {
	g := &grower{p: p, columns: columns, target: target, codes: codes, all: rows, split: make([]float32, len(target)), weight: make([]uint8, len(target)), features: make([]int, len(columns))}
	for _, r := range rows {
		v := target[r]
		if p.Clip > 0 {
			v = max(-p.Clip, min(p.Clip, v))
		}
		g.split[r] = float32(v)
	}
	g.spare, g.y, g.w = make([]int32, len(rows)), make([]float32, len(rows)), make([]uint8, len(rows))
	return g
}

// grow returns a tree grown on a bootstrap of the rows.
func (g *grower) grow(rng *rand.Rand) model.SampleTree {
	clear(g.weight)
	for range int(g.p.RowShare * float64(len(g.all))) {
		if r := g.all[rng.IntN(len(g.all))]; g.weight[r] < 255 {
			g.weight[r]++
		}
	}
	g.rows = g.rows[:0]
	for _, r := range g.all {
		if g.weight[r] > 0 {
			g.rows = append(g.rows, r)
		}
	}
	for f := range g.features {
		g.features[f] = f
	}
	g.tree = model.SampleTree{Nodes: []model.Node{{Feature: model.Leaf}}}
	g.leaves = g.leaves[:0]
	g.stack = append(g.stack[:0], span{to: len(g.rows)})
	open := 1 // leaves to come, at least
	for len(g.stack) > 0 {
		s := g.stack[len(g.stack)-1]
		g.stack = g.stack[:len(g.stack)-1]
		b := best{}
		if len(g.leaves)+open < g.p.MaxLeaves {
			b = g.best(s, rng)
		}
		if b.gain <= 0 {
			g.leaf(s, rng)
			open--
			continue
		}
		middle := s.from + g.part(g.rows[s.from:s.to], b)
		left := len(g.tree.Nodes)
		n := model.Node{Feature: uint16(b.feature), Left: uint16(left), Value: g.threshold(b)}
		if b.missingLeft {
			n.Feature |= model.MissingLeft
		}
		g.tree.Nodes[s.node] = n
		g.tree.Nodes = append(g.tree.Nodes, model.Node{Feature: model.Leaf}, model.Node{Feature: model.Leaf})
		g.stack = append(g.stack, span{left + 1, middle, s.to}, span{left, s.from, middle})
		open++
	}
	return g.tree
}

// threshold returns the value up to which rows go left; every known value does at the last bin.
func (g *grower) threshold(b best) float32 {
	if upTo := g.columns[b.feature].UpTo; b.bin < len(upTo) {
		return upTo[b.bin]
	}
	return 1e11 // above all that an energy over scale can be
}

// best is a way to part the rows of a node.
type best struct {
	gain        float64
	feature     int
	bin         int // known values in this bin and below go left
	missingLeft bool
}

// best returns the best split of a node among some features drawn at random; where none of these parts the rows, others
// are tried until one does. Its gain is 0 when there is none.
func (g *grower) best(s span, rng *rand.Rand) best {
	rows := g.rows[s.from:s.to]
	y, w := g.y[:len(rows)], g.w[:len(rows)]
	sum, n := 0.0, int32(0)
	same := true
	for i, r := range rows {
		w[i] = g.weight[r]
		v := g.split[r]
		same = same && v == g.split[rows[0]]
		y[i] = v * float32(w[i])
		sum += float64(y[i])
		n += int32(w[i])
	}
	out := best{}
	if same || n < 2*int32(g.p.MinLeaf) {
		return out
	}
	tries := max(1, int(g.p.FeatureShare*float64(len(g.features))+0.5))
	for i := range g.features {
		if i >= tries && out.gain > 0 {
			break
		}
		k := i + rng.IntN(len(g.features)-i)
		g.features[i], g.features[k] = g.features[k], g.features[i]
		g.try(g.features[i], rows, y, w, sum, n, &out)
	}
	return out
}

// try looks for a better split by feature f.
func (g *grower) try(f int, rows []int32, y []float32, w []uint8, sum float64, n int32, out *best) {
	bins := g.columns[f].Bins
	cells := &g.cells
	y, w = y[:len(rows)], w[:len(rows)]
	for i, r := range rows {
		b := bins[r]
		c := &cells[b]
		c.sum += float64(y[i])
		c.n += int32(w[i])
	}
	if len(rows) < 128 {
		for _, r := range rows {
			b := bins[r]
			g.touched[b>>6] |= 1 << (b & 63)
		}
	} else {
		g.touched = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	}
	missing := cells[Missing]
	least, whole := int32(g.p.MinLeaf), sum*sum/float64(n)
	floor := 1e-9 * (whole + 1e-12) // a gain of rounding errors is none
	known := n - missing.n
	var left cell
	for word, set := range g.touched {
		g.touched[word] = 0
		for set != 0 {
			b := word<<6 | bits.TrailingZeros64(set)
			set &= set - 1
			c := cells[b]
			cells[b] = cell{}
			if b == Missing || c.n == 0 {
				continue
			}
			left.sum += c.sum
			left.n += c.n
			if left.n == known && missing.n == 0 {
				continue
			}
			for side := range 2 {
				ln, ls := left.n, left.sum
				if side == 1 {
					if missing.n == 0 {
						break
					}
					ln, ls = ln+missing.n, ls+missing.sum
				}
				rn := n - ln
				if ln < least || rn < least {
					continue
				}
				rs := sum - ls
				gain := ls*ls/float64(ln) + rs*rs/float64(rn) - whole
				if gain > out.gain && gain > floor {
					*out = best{gain: gain, feature: f, bin: b, missingLeft: side == 1}
					if missing.n == 0 { // none seen here: later ones go with the crowd
						out.missingLeft = ln > rn
					}
				}
			}
		}
	}
}

// part moves the rows that go left to the front, keeping the order on both sides, and returns how many there are.
func (g *grower) part(rows []int32, b best) int {
	bins := g.columns[b.feature].Bins
	left, right := 0, 0
	for _, r := range rows {
		if v := bins[r]; v != Missing && int(v) <= b.bin || v == Missing && b.missingLeft {
			rows[left] = r
			left++
		} else {
			g.spare[right] = r
			right++
		}
	}
	copy(rows[left:], g.spare[:right])
	return left
}

// leaf makes a node a leaf: a sketch of its targets, as evenly spaced quantiles from a start drawn at random, so that many
// trees together leave nothing out.
func (g *grower) leaf(s span, rng *rand.Rand) {
	var counts [model.GridSize]int32
	total, sum := int32(0), 0.0
	for _, r := range g.rows[s.from:s.to] {
		w := int32(g.weight[r])
		counts[g.codes[r]] += w
		total += w
		sum += float64(w) * g.target[r]
	}
	g.tree.Nodes[s.node] = model.Node{Feature: model.Leaf, Left: uint16(len(g.leaves))}
	g.leaves = append(g.leaves, float32(sum/float64(total)))
	code, below := 0, counts[0]
	start := rng.Float64()
	for k := range model.PerLeaf {
		at := min(total-1, int32((float64(k)+start)/model.PerLeaf*float64(total))) // rank of the quantile
		for below <= at {
			code++
			below += counts[code]
		}
		g.tree.Samples = append(g.tree.Samples, uint8(code))
	}
}

// unseen adds the means of the tree just grown to the rows that it did not see.
func (g *grower) unseen(o *oob) {
	for _, r := range g.all {
		if g.weight[r] > 0 {
			continue
		}
		o.sum[r] += float64(g.leaves[g.leafOf(r)])
		o.count[r]++
	}
}

// leafOf returns the number of the leaf of a row. Bins and thresholds part rows alike.
func (g *grower) leafOf(r int32) int {
	n := g.tree.Nodes[0]
	for n.Feature != model.Leaf {
		f := n.Feature &^ model.MissingLeft
		c := &g.columns[f]
		left := int(n.Left)
		switch v := c.Bins[r]; {
		case v == Missing:
			if n.Feature&model.MissingLeft == 0 {
				left++
			}
		case int(v) < len(c.UpTo) && c.UpTo[v] <= n.Value || int(v) >= len(c.UpTo) && n.Value >= 1e11:
		default:
			left++
		}
		n = g.tree.Nodes[left]
	}
	return int(n.Left)
}
