package model

import "errors"

func (b *Bands) encode(w *writer) {
	w.u16(uint16(b.Lead))
	w.u8(uint8(b.Count()))
	w.f32s(b.Edges)
	w.f64s(b.Z)
}

func decodeBands(r *reader, levels []float64) (Bands, error) {
	b := Bands{Lead: int(r.u16()), Levels: levels}
	n := int(r.u8())
	if r.bad || n < 1 || n > maxBands {
		return b, errors.New("count of bands")
	}
	b.Edges = r.f32s(n - 1)
	b.Z = r.f64s(n * len(levels))
	if r.bad {
		return b, errors.New("bands are cut short")
	}
	return b, nil
}

func (m *GBDT) encode(w *writer) {
	m.Bands.encode(w)
	w.f64(m.LeastSpread)
	for _, e := range []Ensemble{m.Centre, m.Spread} {
		w.f64(e.Base)
		w.u32(uint32(len(e.Trees)))
		for _, t := range e.Trees {
			w.u16(uint16(len(t)))
			for _, n := range t {
				w.u16(n.Feature)
				w.u16(n.Left)
				w.f32(n.Value)
			}
		}
	}
}

func decodeGBDT(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	least := r.f64()
	var es [2]Ensemble
	for i := range es {
		es[i].Base = r.f64()
		trees := r.count()
		if r.bad || trees > maxTrees || trees > r.left()/10 {
			return nil, errors.New("count of trees")
		}
		es[i].Trees = make([]Tree, trees)
		for t := range es[i].Trees {
			n := int(r.u16())
			if r.bad || n > maxNodes || n > r.left()/8 {
				return nil, errors.New("count of nodes")
			}
			tree := make(Tree, n)
			for k := range tree {
				tree[k] = Node{Feature: r.u16(), Left: r.u16(), Value: r.f32()}
			}
			es[i].Trees[t] = tree
		}
	}
	return NewGBDT(features, bands, es[0], es[1], least)
}

func (m *Seasonal) encode(w *writer) {
	m.Bands.encode(w)
	w.u8(uint8(len(m.Columns)))
	for _, c := range m.Columns {
		w.u16(uint16(c))
	}
}

func decodeSeasonal(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	n := int(r.u8())
	if n > maxColumns {
		return nil, errors.New("count of columns")
	}
	columns := make([]int, n)
	for i := range columns {
		columns[i] = int(r.u16())
	}
	return NewSeasonal(features, bands, columns)
}
