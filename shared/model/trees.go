package model

import (
	"fmt"
	"math"
)

// Node is one node of a tree: a split of a feature at a threshold or by a set of categories, or a leaf.
type Node struct {
	Feature uint16 // column, with marks; Leaf in a leaf
	Left    uint16 // number of the left child; the right one follows it
	Value   float32
}

// Marks in Node.Feature.
const (
	MissingLeft = 1 << 15 // a missing value goes left
	InSet       = 1 << 14 // Value is the number of a set of categories: its members go left
	Leaf        = math.MaxUint16
)

// MaxTreeFeatures is how many columns the nodes of trees can tell apart.
const MaxTreeFeatures = InSet

// column returns the column that a node splits.
func (n Node) column() int { return int(n.Feature &^ (MissingLeft | InSet)) }

// InSet reports whether a node splits by a set of categories.
func (n Node) InSet() bool { return n.Feature != Leaf && n.Feature&InSet != 0 }

// Tree is a binary tree, the root first, children after their parents.
type Tree []Node

// Set is a set of categories, whole numbers of 0 to 255, a bit for each.
type Set [8]uint32

// has reports whether the set has x, and whether x is a category at all; if not, it counts as missing.
func (s *Set) has(x float32) (in, known bool) {
	if !(x >= 0 && x < 256) || x != float32(uint8(x)) {
		return false, false
	}
	return s[uint8(x)/32]>>(uint8(x)%32)&1 == 1, true
}

// Ensemble is the sum of a base and of a leaf of each tree.
type Ensemble struct {
	Base  float64
	Trees []Tree
	Sets  []Set
	Log   bool // the value is e to the sum
}

// Check returns an error unless every walk through every tree ends in a leaf with a number.
func (e Ensemble) Check(features int) error {
	if !finite(e.Base) {
		return fmt.Errorf("base %g of the trees", e.Base)
	}
	for t, tree := range e.Trees {
		for i, n := range tree {
			if n.Feature == Leaf && !finite(float64(n.Value)) {
				return fmt.Errorf("tree %d node %d: value %g", t, i, n.Value)
			}
		}
	}
	return checkTrees(e.Trees, len(e.Sets), features)
}

// checkTrees returns an error unless every walk through every tree ends in a leaf.
func checkTrees(trees []Tree, sets, features int) error {
	if len(trees) > maxTrees || sets > maxSets {
		return fmt.Errorf("%d trees, %d sets of categories: want at most %d, %d", len(trees), sets, maxTrees, maxSets)
	}
	for t, tree := range trees {
		if len(tree) == 0 || len(tree) > maxNodes {
			return fmt.Errorf("tree %d: %d nodes: want 1 to %d", t, len(tree), maxNodes)
		}
		for i, n := range tree {
			if n.Feature == Leaf {
				if n.Left != 0 {
					return fmt.Errorf("tree %d node %d: a leaf with a child", t, i)
				}
				continue
			}
			switch l := int(n.Left); {
			case n.column() >= features:
				return fmt.Errorf("tree %d node %d: feature %d of %d", t, i, n.column(), features)
			case l <= i || l+1 >= len(tree):
				return fmt.Errorf("tree %d node %d: children %d and %d of %d nodes", t, i, l, l+1, len(tree))
			case !(math.Abs(float64(n.Value)) <= math.MaxFloat32):
				return fmt.Errorf("tree %d node %d: threshold %g", t, i, n.Value)
			case n.InSet() && !(n.Value >= 0 && n.Value < float32(sets) && n.Value == float32(int32(n.Value))):
				return fmt.Errorf("tree %d node %d: set %g of %d", t, i, n.Value, sets)
			}
		}
	}
	return nil
}

// Sum fills out with the ensemble's value for each of len(out) rows of f features.
func (e Ensemble) Sum(rows []float32, f int, out []float64) {
	var fast *flat
	if len(out) > 16 { // or it is not worth the making
		fast = flatten(e.Trees, e.Sets, false)
	}
	e.sum(fast, rows, f, out)
}

// sum is Sum with the trees in their fast form, unless that is nil.
func (e *Ensemble) sum(fast *flat, rows []float32, f int, out []float64) {
	if fast != nil {
		fast.sum(e.Base, rows, f, out)
	} else {
		e.walk(rows, f, out)
	}
	if e.Log {
		for r := range out {
			out[r] = exp(out[r])
		}
	}
}

// walk is Sum without the logarithm, tree by tree and row by row: slow and plain.
func (e *Ensemble) walk(rows []float32, f int, out []float64) {
	for r := range out {
		out[r] = e.Base
	}
	for _, tree := range e.Trees {
		for r := range out {
			out[r] += float64(tree[tree.leaf(rows[r*f:(r+1)*f], e.Sets)].Value)
		}
	}
}

// leaf walks from the root to a leaf and returns its number.
func (t Tree) leaf(row []float32, sets []Set) int {
	at := 0
	for n := t[0]; n.Feature != Leaf; n = t[at] {
		x := row[n.column()]
		left, known := x <= n.Value, x == x
		if n.InSet() {
			left, known = sets[int(n.Value)].has(x)
		}
		if !known {
			left = n.Feature&MissingLeft != 0
		}
		at = int(n.Left)
		if !left {
			at++
		}
	}
	return at
}
