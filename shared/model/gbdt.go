package model

import (
	"fmt"
)

// GBDT is the family of gradient-boosted trees on an anchor. The anchor follows the level, the trees correct it, by a sum
// or, when they are logarithmic, by a factor; a second
// anchor says how far actuals stray, and the bands say, as multiples of that spread, where the quantiles lie:
// split-conformal prediction with normalised residuals (Lei et al., Distribution-free predictive inference for
// regression, 2018).
type GBDT struct {
	Bands
	Anchor, Spread Anchor
	Trees          Ensemble
	LeastSpread    float64
	features       int
	flat           *flat
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
	if err := trees.Check(features); err != nil {
		return nil, err
	}
	m.flat = flatten(trees.Trees, trees.Sets, false)
	return m, nil
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
		m.Trees.sum(m.flat, part, f, trees[:k])
		for r := range k {
			row := part[r*f : (r+1)*f]
			band := m.Bands.Of(row[m.Lead])
			centre := m.Anchor.Of(row, band)
			if m.Trees.Log {
				centre *= trees[r]
			} else {
				centre += trees[r]
			}
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
