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
	m.Anchor.encode(w)
	m.Spread.encode(w)
	w.f64(m.LeastSpread)
	w.f64(m.Trees.Base)
	w.trees(m.Trees.Trees, m.Trees.Sets, m.Trees.Log)
}

func decodeGBDT(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	anchor, spread := decodeAnchor(r, bands.Count()), decodeAnchor(r, bands.Count())
	least := r.f64()
	e := Ensemble{Base: r.f64()}
	if e.Trees, e.Sets, e.Log, err = r.trees(); err != nil {
		return nil, err
	}
	return NewGBDT(features, bands, anchor, e, spread, least)
}

func (a *Anchor) encode(w *writer) {
	w.columns(a.Base)
	w.columns(a.Terms)
	w.f64s(a.Weights)
}

// decodeAnchor reads an anchor; reader.bad says whether it is whole.
func decodeAnchor(r *reader, bands int) Anchor {
	a := Anchor{Base: r.columns(), Terms: r.columns()}
	a.Weights = r.f64s(bands * len(a.Terms))
	return a
}

func (m *Seasonal) encode(w *writer) {
	m.Bands.encode(w)
	w.columns(m.Columns)
}

func decodeSeasonal(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	columns := r.columns()
	if r.bad {
		return nil, errors.New("columns are cut short")
	}
	return NewSeasonal(features, bands, columns)
}
