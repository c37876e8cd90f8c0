package model

import (
	"errors"
	"fmt"
)

const (
	GridSize = 256 // values that the samples of a forest are rounded to, at most
	PerLeaf  = 8   // samples in a leaf
)

// SampleTree is a tree whose leaves hold a sketch of the targets that fell into them.
type SampleTree struct {
	Nodes   []Node  // Left of a leaf is its number
	Samples []uint8 // by leaf, PerLeaf each: numbers of grid values, ascending in a leaf
}

// Forest is the family of random forests on an anchor. What a row's leaves hold, taken together, is the distribution of
// what the anchor leaves (Meinshausen, Quantile regression forests, 2006); the bands then move each level, as multiples of
// the distance between the outermost ones, to where the held-out actuals say it belongs: conformalized quantile regression
// (Romano, Patterson and Candès, 2019).
type Forest struct {
	Bands
	Anchor     Anchor
	LeastWidth float64 // between the outermost levels, for the bands
	Grid       []float64
	Trees      []SampleTree
	features   int
}

// NewForest returns a checked model over rows of so many features.
func NewForest(features int, bands Bands, anchor Anchor, leastWidth float64, grid []float64, trees []SampleTree) (*Forest, error) {
	m := &Forest{Bands: bands, Anchor: anchor, LeastWidth: leastWidth, Grid: grid, Trees: trees, features: features}
	if err := errors.Join(m.Bands.checkRange(features), anchor.check(features, bands.Count())); err != nil {
		return nil, err
	}
	if !finite(leastWidth) || leastWidth < 0 {
		return nil, fmt.Errorf("least width %g: want a number ≥ 0", leastWidth)
	}
	if len(grid) == 0 || len(grid) > GridSize {
		return nil, fmt.Errorf("grid of %d values: want 1 to %d", len(grid), GridSize)
	}
	for i, v := range grid {
		if !finite(v) || i > 0 && v <= grid[i-1] {
			return nil, fmt.Errorf("grid: %g: want ascending numbers", v)
		}
	}
	if len(trees) == 0 || len(trees) > maxForest {
		return nil, fmt.Errorf("%d trees: want 1 to %d", len(trees), maxForest)
	}
	for t := range trees {
		if err := trees[t].check(features, len(grid)); err != nil {
			return nil, fmt.Errorf("tree %d: %w", t, err)
		}
	}
	return m, nil
}

// check returns an error unless every walk ends in a leaf with samples on the grid.
func (t *SampleTree) check(features, grid int) error {
	if len(t.Nodes) == 0 || len(t.Nodes) > maxNodes {
		return fmt.Errorf("%d nodes: want 1 to %d", len(t.Nodes), maxNodes)
	}
	leaves := 0
	for i, n := range t.Nodes {
		if n.Feature == Leaf {
			if n.Value != 0 || int(n.Left) >= len(t.Samples)/PerLeaf {
				return fmt.Errorf("node %d: leaf %d with a value of %g, samples for %d leaves", i, n.Left, n.Value, len(t.Samples)/PerLeaf)
			}
			leaves++
			continue
		}
		if f := int(n.Feature &^ MissingLeft); f >= features || !finite(float64(n.Value)) {
			return fmt.Errorf("node %d: feature %d of %d at %g", i, f, features, n.Value)
		}
		if l := int(n.Left); l <= i || l+1 >= len(t.Nodes) {
			return fmt.Errorf("node %d: children %d and %d of %d nodes", i, l, l+1, len(t.Nodes))
		}
	}
	if len(t.Samples) != leaves*PerLeaf {
		return fmt.Errorf("%d samples for %d leaves", len(t.Samples), leaves)
	}
	for i, s := range t.Samples {
		if int(s) >= grid || i%PerLeaf > 0 && s < t.Samples[i-1] {
			return fmt.Errorf("leaf %d: samples off the grid of %d or not ascending", i/PerLeaf, grid)
		}
	}
	return nil
}

// Levels returns the quantile levels.
func (m *Forest) Levels() []float64 { return m.Bands.Levels }

// copse is how many rows go through a tree together, so that the tree stays in the cache.
const copse = 16

// Predict implements Model.
func (m *Forest) Predict(rows []float32, n int, out []float64) {
	f, l := m.features, len(m.Bands.Levels)
	for at := 0; at < n; at += copse {
		k := min(copse, n-at)
		var counts [copse][GridSize]uint16
		for t := range m.Trees {
			tree := &m.Trees[t]
			for r := range k {
				leaf := tree.leaf(rows[(at+r)*f : (at+r+1)*f])
				for _, s := range tree.Samples[leaf*PerLeaf:][:PerLeaf] {
					counts[r][s]++
				}
			}
		}
		for r := range k {
			row, values := rows[(at+r)*f:(at+r+1)*f], out[(at+r)*l:(at+r+1)*l]
			m.quantiles(&counts[r], values)
			m.place(row, values)
		}
	}
}

// leaf walks from the root to a leaf and returns its number.
func (t *SampleTree) leaf(row []float32) int {
	n := t.Nodes[0]
	for n.Feature != Leaf {
		x := row[n.Feature&^MissingLeft]
		left := int(n.Left)
		if !(x <= n.Value) && (x == x || n.Feature&MissingLeft == 0) {
			left++
		}
		n = t.Nodes[left]
	}
	return int(n.Left)
}

// quantiles writes the levels of samples counted by grid value, interpolated between neighbours.
func (m *Forest) quantiles(counts *[GridSize]uint16, out []float64) {
	last := len(m.Trees)*PerLeaf - 1
	code, seen := 0, int(counts[0]) // seen: samples up to this code
	for i, level := range m.Bands.Levels {
		at := float64(level*float64(last+1)) - 0.5
		at = max(0, min(float64(last), at))
		rank := int(at)
		for seen <= rank {
			code++
			seen += int(counts[code])
		}
		v := m.Grid[code]
		if seen <= rank+1 && rank < last { // the next sample lies on another value
			next := code + 1
			for counts[next] == 0 {
				next++
			}
			v += float64((m.Grid[next] - v) * (at - float64(rank)))
		}
		out[i] = v
	}
}

// place moves the levels of a row onto its anchor, corrected by band and in ascending order.
func (m *Forest) place(row []float32, values []float64) {
	band := m.Bands.Of(row[m.Lead])
	centre := m.Anchor.Of(row, band)
	width := max(m.LeastWidth, values[len(values)-1]-values[0])
	for i, z := range m.Z[band*len(values) : (band+1)*len(values)] {
		v := centre + values[i] + float64(width*z) // the conversion forbids a fused multiply-add
		k := i
		for ; k > 0 && values[k-1] > v; k-- {
			values[k] = values[k-1]
		}
		values[k] = v
	}
}

func (m *Forest) encode(w *writer) {
	m.Bands.encode(w)
	m.Anchor.encode(w)
	w.f64(m.LeastWidth)
	w.u16(uint16(len(m.Grid)))
	w.f64s(m.Grid)
	w.u16(uint16(len(m.Trees)))
	for _, t := range m.Trees {
		w.u16(uint16(len(t.Nodes)))
		for _, n := range t.Nodes {
			w.u16(n.Feature)
			w.u16(n.Left)
			w.f32(n.Value)
		}
		w.b = append(w.b, t.Samples...)
	}
}

func decodeForest(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	anchor, least := decodeAnchor(r, bands.Count()), r.f64()
	grid := r.f64s(int(r.u16()))
	trees := int(r.u16())
	if r.bad || trees > maxForest || trees > r.left()/10 {
		return nil, errors.New("count of trees")
	}
	out := make([]SampleTree, trees)
	for t := range out {
		n := int(r.u16())
		if r.bad || n > maxNodes || n > r.left()/8 {
			return nil, errors.New("count of nodes")
		}
		leaves := 0
		out[t].Nodes = make([]Node, n)
		for i := range out[t].Nodes {
			out[t].Nodes[i] = Node{Feature: r.u16(), Left: r.u16(), Value: r.f32()}
			if out[t].Nodes[i].Feature == Leaf {
				leaves++
			}
		}
		out[t].Samples = append([]uint8(nil), r.bytes(leaves*PerLeaf)...)
	}
	return NewForest(features, bands, anchor, least, grid, out)
}
