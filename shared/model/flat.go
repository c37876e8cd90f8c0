package model

import (
	"math"
	"math/bits"
)

// flat holds trees for fast walks: all nodes in one array, a word each, and rows as integers of the same order as their
// values, so that a step down is a comparison without a branch. A processor guesses every other branch of a tree wrong; here
// there is none, and four walks at a time hide each other's waiting for memory.
//
// A node's word is, from the high end, 8 bits of column, 32 of threshold, 24 of the left child's number in the tree. A leaf
// is its own left child, on column 0, where rows exceed nothing; in place of the threshold it has its value, or the number
// of the leaf. So all walks through a tree may take as many steps as the deepest.
//
// It takes 8 bytes a node beside the 8 of the artifact's form: 300 trees of 31 leaves hold 146 KB twice.
type flat struct {
	columns []uint16 // of rows, with MissingLeft or not, from column 1 on: a missing value has two places in the order
	members []member // further columns
	trees   []flatTree
	nodes   []uint64
}

// member is a column that holds 0 in rows whose category is in a set, else 1.
type member struct {
	column uint16 // with MissingLeft or not
	set    *Set
}

type flatTree struct {
	from  uint32 // its root
	steps uint32 // to the deepest leaf
}

// flatSize is how many nodes a tree and how many columns a row may have: a byte tells them apart, and an array of so many
// needs no check of bounds.
const flatSize = 256

// treeNodes holds the nodes of a tree and others behind them.
type treeNodes [flatSize + 1]uint64

// flatten returns nil for trees that are too large or use too many columns. Leaves are numbered, or hold their values.
func flatten(trees []Tree, sets []Set, numbered bool) *flat {
	f := &flat{trees: make([]flatTree, len(trees))}
	n := len(treeNodes{}) // the last tree is an array of so many, too
	for _, t := range trees {
		if len(t) > flatSize {
			return nil
		}
		n += len(t)
	}
	f.nodes = make([]uint64, 0, n)
	at, in := make(map[uint16]int), make(map[member]int)
	for _, t := range trees {
		for _, n := range t {
			if n.Feature == Leaf || n.InSet() {
				continue
			}
			if _, ok := at[n.Feature]; !ok {
				f.columns = append(f.columns, n.Feature)
				at[n.Feature] = len(f.columns)
			}
		}
	}
	leaf := uint32(0)
	for k, t := range trees {
		var depth [flatSize]uint32
		f.trees[k].from = uint32(len(f.nodes))
		for i, n := range t {
			if n.Feature == Leaf {
				says := math.Float32bits(n.Value)
				if numbered {
					says = leaf
				}
				leaf++
				f.nodes = append(f.nodes, uint64(says)<<24|uint64(i))
				f.trees[k].steps = max(f.trees[k].steps, depth[i])
				continue
			}
			depth[n.Left], depth[n.Left+1] = depth[i]+1, depth[i]+1
			if n.InSet() {
				m := member{n.Feature &^ InSet, &sets[int(n.Value)]}
				if _, ok := in[m]; !ok {
					f.members = append(f.members, m)
					in[m] = len(f.columns) + len(f.members)
				}
				f.nodes = append(f.nodes, uint64(in[m])<<56|uint64(n.Left))
			} else {
				f.nodes = append(f.nodes, uint64(at[n.Feature])<<56|ordered(n.Value)|uint64(n.Left))
			}
		}
	}
	if len(f.columns)+len(f.members) >= flatSize {
		return nil
	}
	f.nodes = f.nodes[:n]
	return f
}

// ordered returns a number's place in the order of all, in the high bits.
func ordered(v float32) uint64 { return uint64(uint32(Ordinal(v))^1<<31) << 24 }

// keys holds a row as integers, to be compared with words of nodes.
type keys [flatSize]uint64

// fill takes over a row.
func (k *keys) fill(f *flat, row []float32) {
	k[0] = 0
	at := uint8(1)
	for _, c := range f.columns {
		x := row[c&^MissingLeft]
		key := uint64(math.MaxUint32) << 24
		if c&MissingLeft != 0 {
			key = 0
		}
		if x == x {
			key = ordered(x)
		}
		k[at] = uint64(at)<<56 | key
		at++
	}
	for _, m := range f.members {
		in, known := m.set.has(row[m.column&^MissingLeft])
		if !known {
			in = m.column&MissingLeft != 0
		}
		k[at] = uint64(at) << 56
		if !in {
			k[at] |= 1 << 24
		}
		at++
	}
}

// lanes is how many rows walk through a tree side by side.
const lanes = 6

// together is how many rows go through a tree before the next one's turn.
const together = 24

// sum fills out with base and the trees' values for each of len(out) rows of so many features.
func (f *flat) sum(base float64, rows []float32, features int, out []float64) {
	if len(out) == 1 {
		var row keys
		row.fill(f, rows)
		out[0] = f.one(&row, base)
		return
	}
	var fours [together / lanes][lanes]keys
	for len(out) > 0 {
		n := min(len(out), together)
		for r := range n {
			fours[r/lanes][r%lanes].fill(f, rows[r*features:(r+1)*features])
		}
		var sums [together]float64
		for r := range sums {
			sums[r] = base
		}
		f.byFours(fours[:(n+lanes-1)/lanes], &sums)
		copy(out, sums[:n])
		rows, out = rows[n*features:], out[n:]
	}
}

// byFours adds the trees' values to the sums of rows.
func (f *flat) byFours(fours [][lanes]keys, sums *[together]float64) {
	for _, t := range f.trees {
		nodes := (*treeNodes)(f.nodes[t.from:])
		for g := range fours {
			k := &fours[g]
			n0, n1, n2, n3, n4, n5 := walk(nodes, k, t.steps)
			s := (*[lanes]float64)(sums[lanes*g:])
			s[0] += said(n0)
			s[1] += said(n1)
			s[2] += said(n2)
			s[3] += said(n3)
			s[4] += said(n4)
			s[5] += said(n5)
		}
	}
}

// walk walks four rows through a tree. It stands alone for the registers: inlined, half of them would hold what the loop
// does not need.
//
//go:noinline
func walk(nodes *treeNodes, k *[lanes]keys, steps uint32) (n0, n1, n2, n3, n4, n5 uint64) {
	n0 = nodes[0]
	n1, n2, n3, n4, n5 = n0, n0, n0, n0, n0
	for ; steps > 0; steps-- {
		n0 = nodes[next(n0, k[0][n0>>56])]
		n1 = nodes[next(n1, k[1][n1>>56])]
		n2 = nodes[next(n2, k[2][n2>>56])]
		n3 = nodes[next(n3, k[3][n3>>56])]
		n4 = nodes[next(n4, k[4][n4>>56])]
		n5 = nodes[next(n5, k[5][n5>>56])]
	}
	return n0, n1, n2, n3, n4, n5
}

// one returns base and the trees' values for one row, walking four trees at a time.
func (f *flat) one(k *keys, base float64) float64 {
	trees := f.trees
	for ; len(trees) >= 4; trees = trees[4:] {
		t := (*[4]flatTree)(trees)
		a, b := (*treeNodes)(f.nodes[t[0].from:]), (*treeNodes)(f.nodes[t[1].from:])
		c, d := (*treeNodes)(f.nodes[t[2].from:]), (*treeNodes)(f.nodes[t[3].from:])
		n0, n1, n2, n3 := a[0], b[0], c[0], d[0]
		for range max(t[0].steps, t[1].steps, t[2].steps, t[3].steps) {
			n0 = a[next(n0, k[n0>>56])]
			n1 = b[next(n1, k[n1>>56])]
			n2 = c[next(n2, k[n2>>56])]
			n3 = d[next(n3, k[n3>>56])]
		}
		base += said(n0)
		base += said(n1)
		base += said(n2)
		base += said(n3)
	}
	for _, t := range trees {
		nodes := (*treeNodes)(f.nodes[t.from:])
		n := nodes[0]
		for range t.steps {
			n = nodes[next(n, k[n>>56])]
		}
		base += said(n)
	}
	return base
}

// next returns the number of the node after n for a row that holds k in n's column.
func next(n, k uint64) uint64 {
	_, right := bits.Sub64(n, k, 0) // 1 when k exceeds the threshold
	return n&0xff + right
}

// said returns the value of a leaf.
func said(n uint64) float64 { return float64(math.Float32frombits(uint32(n >> 24))) }

// Ordinal maps a number other than NaN to an integer of the same order; both zeros are one.
func Ordinal(v float32) int32 {
	b := int32(math.Float32bits(v + 0))
	return b ^ int32(uint32(b>>31)>>1)
}
