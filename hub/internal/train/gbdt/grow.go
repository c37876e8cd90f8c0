package gbdt

import (
	"math"

	"fluxora.dev/shared/model"
)

// leaf is a leaf that may still be split.
type leaf struct {
	node     int // its number in the tree
	depth    int
	from, to int // its rows: grower.rows[from:to]
	all      uint64
	bounds   bounds
	blocks   []block // histograms; nil once they are not needed
	split    split
}

// grower grows trees, keeping its buffers from one to the next.
type grower struct {
	b        *Binned
	p        Params
	packing  packing
	features [][]int // that the tree may use, by block
	rows     []int32 // leaf by leaf, ascending within
	spare    []int32
	cells    []uint64 // by row of the table
	near     []uint64 // cells of the rows of one leaf, in their order
	leaves   []leaf
	free     [][]block
	small    []split // best split of each feature for the smaller of two children
	large    []split
	tree     model.Tree
	splits   []split // by node; gain 0: a leaf
	sets     []model.Set
	gains    []float64 // of the features, summed over trees
	used     []int     // splits by feature
}

func newGrower(b *Binned, p Params) *grower {
	f := len(b.columns)
	return &grower{
		b: b, p: p, small: make([]split, f), large: make([]split, f), gains: make([]float64, f), used: make([]int, f),
		cells: make([]uint64, b.n), features: make([][]int, b.blocks),
	}
}

// grow grows a tree on the gradients of some rows, packed into g.cells. Its leaves have no values yet; g.leaves holds the
// rows of each.
func (g *grower) grow(rows []int32, features []int) {
	for k := range g.features {
		g.features[k] = g.features[k][:0]
	}
	for _, f := range features {
		g.features[f/width] = append(g.features[f/width], f)
	}
	g.rows = append(g.rows[:0], rows...)
	if cap(g.near) < len(rows) {
		g.spare, g.near = make([]int32, len(rows)), make([]uint64, len(rows))
	}
	g.tree = append(make(model.Tree, 0, 2*g.p.Leaves-1), model.Node{Feature: model.Leaf})
	g.splits, g.sets = append(g.splits[:0], split{}), g.sets[:0]
	root := leaf{to: len(rows), bounds: unbound}
	for _, r := range rows {
		root.all += g.cells[r]
	}
	if g.open(&root) {
		g.search(&root, nil)
	}
	g.leaves = append(g.leaves[:0], root)
	for len(g.leaves) < g.p.Leaves {
		at := 0
		for i := range g.leaves {
			if g.leaves[i].split.gain > g.leaves[at].split.gain {
				at = i
			}
		}
		if g.leaves[at].split.gain <= 0 {
			break
		}
		g.divide(at)
	}
	for i := range g.leaves {
		g.give(&g.leaves[i])
	}
}

// open reports whether l may be split at all.
func (g *grower) open(l *leaf) bool {
	return l.depth < g.p.Depth && l.to-l.from >= 2*g.p.MinLeaf && l.to-l.from > 1
}

// divide splits leaf number at: the left child takes its place, the right one goes to the end.
func (g *grower) divide(at int) {
	l := g.leaves[at]
	s := l.split
	child := len(g.tree)
	g.splits[l.node] = s
	g.tree[l.node] = g.node(&s, child)
	g.gains[s.feature] += s.gain / (g.packing.scale * g.packing.scale)
	g.used[s.feature]++
	left := leaf{node: child, depth: l.depth + 1, from: l.from, all: s.left, bounds: l.bounds}
	right := leaf{node: child + 1, depth: l.depth + 1, to: l.to, all: l.all - s.left, bounds: l.bounds}
	left.to = l.from + g.part(g.rows[l.from:l.to], &s)
	right.from = left.to
	if m := g.b.columns[s.feature].Monotone; m != 0 {
		j := newJudge(&g.p, g.packing, left.all, l.bounds)
		mid := j.value(j.total, float64(j.n)) / 2
		j = newJudge(&g.p, g.packing, right.all, l.bounds)
		mid += j.value(j.total, float64(j.n)) / 2
		if m > 0 {
			left.bounds.hi, right.bounds.lo = mid, mid
		} else {
			left.bounds.lo, right.bounds.hi = mid, mid
		}
	}
	g.tree = append(g.tree, model.Node{Feature: model.Leaf}, model.Node{Feature: model.Leaf})
	g.splits = append(g.splits, split{}, split{})
	small, large := &left, &right
	if left.to-left.from > right.to-right.from {
		small, large = large, small
	}
	large.blocks = l.blocks
	switch last := len(g.leaves)+1 == g.p.Leaves; {
	case last || !g.open(small) && !g.open(large):
	case !g.open(large):
		g.search(small, nil)
	default:
		g.search(small, large)
	}
	g.leaves[at] = left
	g.leaves = append(g.leaves, right)
}

// node returns the node of the artifact for a split.
func (g *grower) node(s *split, child int) model.Node {
	n := model.Node{Feature: uint16(s.feature), Left: uint16(child)}
	if s.missingLeft {
		n.Feature |= model.MissingLeft
	}
	if s.members == nil {
		n.Value = threshold(g.b.edges[s.feature], s.bin)
		return n
	}
	n.Feature |= model.InSet
	n.Value = float32(len(g.sets))
	var set model.Set
	for i, m := range s.members {
		set[2*i], set[2*i+1] = uint32(m), uint32(m>>32)
	}
	g.sets = append(g.sets, set)
	return n
}

// search fills the histograms of small, takes them off those of large unless it is nil, and finds the best splits of both.
func (g *grower) search(small, large *leaf) {
	small.blocks = g.take()
	rows := g.rows[small.from:small.to]
	near := g.cells
	if len(rows) < g.b.n {
		near = g.near[:len(rows)]
		for i, r := range rows {
			near[i] = g.cells[r]
		}
	}
	js := newJudge(&g.p, g.packing, small.all, small.bounds)
	var jl judge
	if large != nil {
		jl = newJudge(&g.p, g.packing, large.all, large.bounds)
	}
	searchSmall := g.open(small)
	threads := min(g.threads(len(rows)), g.b.blocks)
	each(threads, threads, func(t int) { // each thread takes every threads-th block
		g.fill(small.blocks, t, threads, rows, near)
		for k := t; k < g.b.blocks; k += threads {
			for _, f := range g.features[k] {
				h, bins, c := &small.blocks[k][f%width], g.b.bins(f), g.b.columns[f]
				if searchSmall {
					g.small[f] = js.best(h, f, bins, c)
				}
				if large != nil {
					o := &large.blocks[k][f%width]
					o.subtract(h, bins)
					g.large[f] = jl.best(o, f, bins, c)
				}
			}
		}
	})
	if searchSmall {
		small.split = g.choose(g.small)
	}
	if large != nil {
		large.split = g.choose(g.large)
	}
}

// fill makes every step-th block from the first on the histograms of some rows. Rows go through all blocks a stretch at a time,
// so that they come from memory once.
func (g *grower) fill(blocks []block, first, step int, rows []int32, cells []uint64) {
	for k := first; k < g.b.blocks; k += step {
		if len(g.features[k]) > 0 {
			blocks[k] = block{}
		}
	}
	const stretch = 1024
	var buffer [stretch]int32
	for from := 0; from < len(rows); {
		part, to := rows[from:], len(rows)
		places := part
		if g.b.stride > 1 {
			to = min(to, from+stretch)
			part, places = rows[from:to], buffer[:to-from]
			for i, r := range part {
				places[i] = r * int32(g.b.stride)
			}
		}
		for k := first; k < g.b.blocks; k += step {
			words := g.b.words[k*g.b.apart:]
			switch features := g.features[k]; {
			case len(features) > 4 && len(rows) == g.b.n:
				blocks[k].addAll(words[from*g.b.stride:], g.b.stride, cells[from:to])
			case len(features) > 4:
				blocks[k].add(words, places, cells[from:to])
			default:
				for _, f := range features {
					blocks[k][f%width].add(g.b.bytes[f], part, cells[from:to])
				}
			}
		}
		from = to
	}
}

// choose returns the split with the largest gain among the features that the tree may use.
func (g *grower) choose(of []split) split {
	best := split{}
	for _, features := range g.features {
		for _, f := range features {
			if of[f].gain > best.gain {
				best = of[f]
			}
		}
	}
	return best
}

// threshold returns the value up to which rows go left at a bin; every known value does at the last one.
func threshold(e *edges, bin int) float32 {
	if bin < len(e.at) {
		return e.at[bin]
	}
	return math.MaxFloat32
}

// part moves the rows that go left to the front, keeping the order on both sides, and returns how many there are. It does
// without branches: which way a row goes is anyone's guess.
func (g *grower) part(rows []int32, s *split) int {
	var right [256]uint8
	for b := range right {
		if !s.goesLeft(b) {
			right[b] = 1
		}
	}
	column := g.b.bytes[s.feature]
	spare := g.spare[:len(rows)]
	left, moved := 0, 0
	for _, r := range rows {
		rows[left], spare[moved] = r, r
		m := int(right[column[r]])
		moved += m
		left += 1 - m
	}
	copy(rows[left:], spare[:moved])
	return left
}

// threads returns how many threads the search of leaves is worth, the smaller of so many rows.
func (g *grower) threads(rows int) int {
	if rows < 512 {
		return 1
	}
	return g.p.Threads
}

// take returns histograms for a leaf.
func (g *grower) take() []block {
	if n := len(g.free); n > 0 {
		b := g.free[n-1]
		g.free = g.free[:n-1]
		return b
	}
	return make([]block, g.b.blocks)
}

func (g *grower) give(l *leaf) {
	if l.blocks != nil {
		g.free = append(g.free, l.blocks)
		l.blocks = nil
	}
}
