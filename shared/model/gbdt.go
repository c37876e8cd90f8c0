package model

import (
	"fmt"
	"math"
)

// Node is one node of a tree: a split of a feature at a threshold, or a leaf.
type Node struct {
	Feature uint16 // column, with MissingLeft or not; Leaf in a leaf
	Left    uint16 // number of the left child; the right one follows it
	Value   float32
}

// Marks in Node.Feature.
const (
	MissingLeft = 1 << 15
	Leaf        = math.MaxUint16
)

// Tree is a binary tree, the root first, children after their parents.
type Tree []Node

// Ensemble is the sum of a base and of a leaf of each tree.
type Ensemble struct {
	Base  float64
	Trees []Tree
}

// GBDT is the family of gradient-boosted trees on an anchor. The anchor follows the level, the trees correct it; a second
// anchor says how far actuals stray, and the bands say, as multiples of that spread, where the quantiles lie:
// split-conformal prediction with normalised residuals (Lei et al., Distribution-free predictive inference for
// regression, 2018).
type GBDT struct {
	Bands
	Anchor, Spread Anchor
	Trees          Ensemble
	LeastSpread    float64
	features       int
}

// NewGBDT returns a checked model over rows of so many features.
func NewGBDT(features int, bands Bands, anchor Anchor, trees Ensemble, spread Anchor, leastSpread float64) (*GBDT, error) {
	m := &GBDT{Bands: bands, Anchor: anchor, Spread: spread, Trees: trees, LeastSpread: leastSpread, features: features}
	if err := m.Bands.check(features); err != nil {
		return nil, err
	}
	if !finite(leastSpread) || leastSpread < 0 {
		return nil, fmt.Errorf("least spread %g: want a number ≥ 0", leastSpread)
	}
	for _, a := range []Anchor{anchor, spread} {
		if err := a.check(features, bands.Count()); err != nil {
			return nil, err
		}
	}
	if err := trees.check(features); err != nil {
		return nil, err
	}
	return m, nil
}

// check returns an error unless every walk through every tree ends in a leaf with a number.
func (e Ensemble) check(features int) error {
	if !finite(e.Base) || len(e.Trees) > maxTrees {
		return fmt.Errorf("base %g, %d trees", e.Base, len(e.Trees))
	}
	for t, tree := range e.Trees {
		if len(tree) == 0 || len(tree) > maxNodes {
			return fmt.Errorf("tree %d: %d nodes: want 1 to %d", t, len(tree), maxNodes)
		}
		for i, n := range tree {
			if !finite(float64(n.Value)) {
				return fmt.Errorf("tree %d node %d: value %g", t, i, n.Value)
			}
			if n.Feature == Leaf {
				if n.Left != 0 {
					return fmt.Errorf("tree %d node %d: a leaf with a child", t, i)
				}
				continue
			}
			if f := int(n.Feature &^ MissingLeft); f >= features {
				return fmt.Errorf("tree %d node %d: feature %d of %d", t, i, f, features)
			}
			if l := int(n.Left); l <= i || l+1 >= len(tree) {
				return fmt.Errorf("tree %d node %d: children %d and %d of %d nodes", t, i, l, l+1, len(tree))
			}
		}
	}
	return nil
}

// Levels returns the quantile levels.
func (m *GBDT) Levels() []float64 { return m.Bands.Levels }

// block is how many rows go through a tree together, so that the tree stays in the cache.
const block = 64

// Predict implements Model.
func (m *GBDT) Predict(rows []float32, n int, out []float64) {
	var trees [block]float64
	f, l := m.features, len(m.Bands.Levels)
	for at := 0; at < n; at += block {
		k := min(block, n-at)
		part := rows[at*f : (at+k)*f]
		m.Trees.Sum(part, f, trees[:k])
		for r := range k {
			row := part[r*f : (r+1)*f]
			band := m.Bands.Of(row[m.Lead])
			centre := m.Anchor.Of(row, band) + trees[r]
			spread := m.Spread.Of(row, band)
			if spread < m.LeastSpread {
				spread = m.LeastSpread
			}
			for i, z := range m.Z[band*l : (band+1)*l] {
				out[(at+r)*l+i] = centre + float64(spread*z) // the conversion forbids a fused multiply-add
			}
		}
	}
}

// Sum fills out with the ensemble's value for each of len(out) rows of f features.
func (e Ensemble) Sum(rows []float32, f int, out []float64) {
	for r := range out {
		out[r] = e.Base
	}
	for _, tree := range e.Trees {
		for r := range out {
			out[r] += float64(tree.value(rows[r*f : (r+1)*f]))
		}
	}
}

// value walks from the root to a leaf.
func (t Tree) value(row []float32) float32 {
	n := t[0]
	for n.Feature != Leaf {
		x := row[n.Feature&^MissingLeft]
		left := int(n.Left)
		if !(x <= n.Value) && (x == x || n.Feature&MissingLeft == 0) {
			left++
		}
		n = t[left]
	}
	return n.Value
}
