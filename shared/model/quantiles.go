package model

import "fmt"

// Quantiles is the family of boosted trees that learn every quantile level themselves, around an anchor. The bands move
// each level, as multiples of the spread, to where the held-out actuals say it belongs: conformalized quantile regression
// (Romano, Patterson and Candès, 2019).
type Quantiles struct {
	Bands
	Anchor, Spread Anchor
	Trees          LevelTrees
	LeastSpread    float64
	features       int
	fast           *flatLevels
}

// NewQuantiles returns a checked model over rows of so many features.
func NewQuantiles(features int, bands Bands, anchor Anchor, trees LevelTrees, spread Anchor, leastSpread float64) (*Quantiles, error) {
	m := &Quantiles{Bands: bands, Anchor: anchor, Spread: spread, Trees: trees, LeastSpread: leastSpread, features: features}
	if err := m.Bands.checkRange(features); err != nil {
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
	if err := trees.Check(features, len(bands.Levels)); err != nil {
		return nil, err
	}
	m.fast = m.Trees.flatten()
	return m, nil
}

// Levels returns the quantile levels.
func (m *Quantiles) Levels() []float64 { return m.Bands.Levels }

// Predict implements Model.
func (m *Quantiles) Predict(rows []float32, n int, out []float64) {
	f, l := m.features, len(m.Bands.Levels)
	m.Trees.sum(m.fast, rows, f, n, out)
	for r := range n {
		row, values := rows[r*f:(r+1)*f], out[r*l:(r+1)*l]
		band := m.Bands.Of(row[m.Lead])
		centre := m.Anchor.Of(row, band)
		spread := m.Spread.Of(row, band)
		if spread < m.LeastSpread {
			spread = m.LeastSpread
		}
		for i, z := range m.Z[band*l : (band+1)*l] {
			v := values[i] + centre + float64(spread*z)
			k := i
			for ; k > 0 && values[k-1] > v; k-- {
				values[k] = values[k-1]
			}
			values[k] = v
		}
	}
}
