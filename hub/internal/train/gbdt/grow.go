package gbdt

import "fluxora.dev/shared/model"

// node is a node of a tree over bins.
type node struct {
	column      []uint8 // nil in a leaf
	bin         uint8   // of known values, this and those below go left
	missingLeft bool
	left        int
	value       float32
}

// leaf is a leaf that may still be split.
type leaf struct {
	node     int // its number in the tree
	depth    int
	from, to int // its rows: grower.rows[from:to]
	sum      float64
	hists    []histogram
	split    split
}

// grower grows trees, keeping its buffers from one to the next.
type grower struct {
	b        *Binned
	p        Params
	features []int
	rows     []int32
	spare    []int32
	residual []float32 // of the rows of a leaf, in their order
	leaves   []leaf
	free     [][]histogram
	splits   []split
	tree     model.Tree
	nodes    []node
}

func newGrower(b *Binned, p Params) *grower {
	return &grower{b: b, p: p, splits: make([]split, len(b.columns)), residual: make([]float32, b.n)}
}

// grow returns a tree fitted to the residuals of some rows, in the form of artifacts and over bins.
func (g *grower) grow(rows []int32, residual []float64, features []int) (model.Tree, []node) {
	g.features = features
	g.rows = append(g.rows[:0], rows...)
	if cap(g.spare) < len(rows) {
		g.spare = make([]int32, len(rows))
	}
	g.tree = append(make(model.Tree, 0, 2*g.p.Leaves), model.Node{Feature: model.Leaf})
	g.nodes = append(g.nodes[:0], node{})
	root := leaf{to: len(rows), hists: g.take()}
	g.fill(&root, residual)
	g.best(&root)
	g.leaves = append(g.leaves[:0], root)
	for len(g.leaves) < g.p.Leaves {
		at := 0
		for i := range g.leaves {
			if g.leaves[i].split.gain > g.leaves[at].split.gain {
				at = i
			}
		}
		if g.leaves[at].split.gain <= 1e-12 {
			break
		}
		g.divide(at, residual)
	}
	for i := range g.leaves {
		l := &g.leaves[i]
		v := float32(g.p.LearningRate * l.sum / (float64(l.to-l.from) + g.p.L2))
		g.tree[l.node].Value, g.nodes[l.node].value = v, v
		g.give(l.hists)
	}
	return g.tree, g.nodes
}

// fill sums the residuals of l's rows, in all and by bin.
func (g *grower) fill(l *leaf, residual []float64) {
	rows := g.rows[l.from:l.to]
	l.sum = 0
	for i, r := range rows {
		v := residual[r]
		if c := g.p.Clip; c > 0 {
			v = max(-c, min(c, v))
		}
		g.residual[i] = float32(v)
		l.sum += float64(g.residual[i])
	}
	each(len(g.features), g.threads(len(rows)), func(i int) {
		l.hists[i].add(g.b.columns[g.features[i]], rows, g.residual)
	})
}

// best finds the best split of l.
func (g *grower) best(l *leaf) {
	l.split = split{}
	n := l.to - l.from
	if l.depth >= g.p.Depth || n < 2*g.p.MinLeaf {
		return
	}
	each(len(g.features), g.threads(n), func(i int) {
		f := g.features[i]
		g.splits[i] = l.hists[i].best(len(g.b.edges[f])+1, f, l.sum, int32(n), &g.p)
	})
	for _, s := range g.splits[:len(g.features)] {
		if s.gain > l.split.gain {
			l.split = s
		}
	}
}

// divide splits leaf number at: the left child takes its place, the right one goes to the end.
func (g *grower) divide(at int, residual []float64) {
	l := g.leaves[at]
	s := l.split
	n := &g.nodes[l.node]
	n.column, n.bin, n.missingLeft, n.left = g.b.columns[s.feature], uint8(s.bin), s.missingLeft, len(g.nodes)
	t := &g.tree[l.node]
	t.Feature, t.Left = uint16(s.feature), uint16(len(g.tree))
	if s.missingLeft {
		t.Feature |= model.MissingLeft
	}
	t.Value = threshold(g.b.edges[s.feature], s.bin)
	left := leaf{node: n.left, depth: l.depth + 1, from: l.from}
	right := leaf{node: n.left + 1, depth: l.depth + 1, to: l.to}
	left.to = l.from + g.part(g.rows[l.from:l.to], n)
	right.from = left.to
	g.nodes = append(g.nodes, node{}, node{})
	g.tree = append(g.tree, model.Node{Feature: model.Leaf}, model.Node{Feature: model.Leaf})
	small, large := &left, &right
	if left.to-left.from > right.to-right.from {
		small, large = large, small
	}
	small.hists, large.hists = g.take(), l.hists
	g.fill(small, residual)
	large.sum = l.sum - small.sum
	each(len(g.features), g.threads(l.to-l.from), func(i int) { large.hists[i].subtract(&small.hists[i]) })
	g.best(&left)
	g.best(&right)
	g.leaves[at] = left
	g.leaves = append(g.leaves, right)
}

// threshold returns the value up to which rows go left at a bin; every known value does at the last one.
func threshold(edges []float32, bin int) float32 {
	if bin < len(edges) {
		return edges[bin]
	}
	return 1e11 // above all that an energy over scale can be
}

// part moves the rows that go left to the front, keeping the order on both sides, and returns how many there are.
func (g *grower) part(rows []int32, n *node) int {
	left, right := 0, 0
	for _, r := range rows {
		v := n.column[r]
		if v <= n.bin && v != missingBin || v == missingBin && n.missingLeft {
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

// threads returns how many threads a job over so many rows is worth.
func (g *grower) threads(rows int) int {
	if rows < 2048 {
		return 1
	}
	return g.p.Threads
}

// take returns histograms for a leaf, one for each feature in use.
func (g *grower) take() []histogram {
	if n := len(g.free); n > 0 {
		h := g.free[n-1]
		g.free = g.free[:n-1]
		if cap(h) >= len(g.features) {
			return h[:len(g.features)]
		}
	}
	return make([]histogram, len(g.features))
}

func (g *grower) give(h []histogram) { g.free = append(g.free, h) }
