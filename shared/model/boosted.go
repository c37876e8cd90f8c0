package model

import "errors"

// Boosted is the family of lines with trees on what they leave: the line follows a point to levels and temperatures never
// seen, the trees bend it.
type Boosted struct {
	*Linear
	Trees Ensemble
	flat  *flat
}

// NewBoosted returns a checked model over rows of so many features, those of the line.
func NewBoosted(features int, line *Linear, trees Ensemble) (*Boosted, error) {
	if err := trees.Check(features); err != nil {
		return nil, err
	}
	if trees.Log {
		return nil, errors.New("boosted: trees on a logarithmic scale cannot be added to a line")
	}
	return &Boosted{Linear: line, Trees: trees, flat: flatten(trees.Trees, trees.Sets, false)}, nil
}

// Predict implements Model.
func (m *Boosted) Predict(rows []float32, n int, out []float64) {
	var trees [block]float64
	f, l := m.features, len(m.Bands.Levels)
	for at := 0; at < n; at += block {
		k := min(block, n-at)
		part := rows[at*f : (at+k)*f]
		m.Trees.sum(m.flat, part, f, trees[:k])
		for r := range k {
			row := part[r*f : (r+1)*f]
			band := m.Bands.Of(row[m.Lead])
			m.fill(row, band, m.centre(row, band)+trees[r], out[(at+r)*l:(at+r+1)*l])
		}
	}
}

func (m *Boosted) encode(w *writer) {
	m.Linear.encode(w)
	w.f64(m.Trees.Base)
	w.trees(m.Trees.Trees, m.Trees.Sets, m.Trees.Log)
}

func decodeBoosted(r *reader, features int, levels []float64) (Model, error) {
	line, err := decodeLinear(r, features, levels)
	if err != nil {
		return nil, err
	}
	e := Ensemble{Base: r.f64()}
	if e.Trees, e.Sets, e.Log, err = r.trees(); err != nil {
		return nil, err
	}
	return NewBoosted(features, line.(*Linear), e)
}
