package model

import (
	"fmt"
	"math"
)

// Seasonal is the family of baselines: the first of its columns that is known, with calibrated quantiles around it.
type Seasonal struct {
	Bands
	Columns  []int
	features int
}

// NewSeasonal returns a checked model over rows of so many features.
func NewSeasonal(features int, bands Bands, columns []int) (*Seasonal, error) {
	m := &Seasonal{Bands: bands, Columns: columns, features: features}
	if err := m.check(features); err != nil {
		return nil, err
	}
	if len(columns) == 0 || len(columns) > maxColumns {
		return nil, fmt.Errorf("%d columns: want 1 to %d", len(columns), maxColumns)
	}
	for _, c := range columns {
		if c < 0 || c >= features {
			return nil, fmt.Errorf("column %d of %d features", c, features)
		}
	}
	return m, nil
}

// Levels returns the quantile levels.
func (m *Seasonal) Levels() []float64 { return m.Bands.Levels }

// Predict implements Model.
func (m *Seasonal) Predict(rows []float32, n int, out []float64) {
	f, l := m.features, len(m.Bands.Levels)
	for r := range n {
		row := rows[r*f : (r+1)*f]
		centre := m.Centre(row)
		for i, z := range m.of(row) {
			out[r*l+i] = centre + z
		}
		if centre != centre {
			for i := range l {
				out[r*l+i] = math.NaN()
			}
		}
	}
}

// Centre returns the first known of the columns, or NaN.
func (m *Seasonal) Centre(row []float32) float64 {
	for _, c := range m.Columns {
		if v := row[c]; v == v {
			return float64(v)
		}
	}
	return math.NaN()
}
