package model

import "errors"

func (m *Quantiles) encode(w *writer) {
	m.Bands.encode(w)
	m.Anchor.encode(w)
	m.Spread.encode(w)
	w.f64(m.LeastSpread)
	w.f64s(m.Trees.Bases)
	w.trees(m.Trees.Trees, m.Trees.Sets, false)
	for _, v := range m.Trees.Values {
		w.f32s(v)
	}
}

func decodeQuantiles(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	anchor, spread := decodeAnchor(r, bands.Count()), decodeAnchor(r, bands.Count())
	least := r.f64()
	f := LevelTrees{Bases: r.f64s(len(levels))}
	var log bool
	if f.Trees, f.Sets, log, err = r.trees(); err != nil || log {
		return nil, errors.Join(err, errors.New("trees of quantiles"))
	}
	f.Values = make([][]float32, len(f.Trees))
	for t, tree := range f.Trees {
		leaves := 0
		for _, n := range tree {
			if n.Feature == Leaf {
				leaves++
			}
		}
		if f.Values[t] = r.f32s(leaves * len(levels)); r.bad {
			return nil, errors.New("values of the leaves are cut short")
		}
	}
	return NewQuantiles(features, bands, anchor, f, spread, least)
}
