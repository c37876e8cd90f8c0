package model

import (
	"fmt"
	"slices"
)

// member writes a model within another, after the name of its family.
func (w *writer) member(m Member) {
	w.u8(uint8(len(m.Family)))
	w.b = append(w.b, m.Family...)
	w.model(m.Model)
}

// model writes a model within another, after its length.
func (w *writer) model(m Model) {
	own := &writer{}
	if e, ok := m.(encoder); ok {
		e.encode(own)
	}
	w.u32(uint32(len(own.b)))
	w.b = append(w.b, own.b...)
}

// member reads what member of a writer has written, of any family but an ensemble and those of but.
func (r *reader) member(features int, levels []float64, but ...string) (m Member, err error) {
	m.Family = string(r.bytes(int(r.u8())))
	m.Model, err = r.model(m.Family, features, levels, but...)
	return m, err
}

// model reads a model of a family within another.
func (r *reader) model(family string, features int, levels []float64, but ...string) (Model, error) {
	own := &reader{b: r.bytes(r.count())}
	decode, ok := decoders()[family]
	if r.bad || !ok || family == FamilyEnsemble || slices.Contains(but, family) {
		return nil, fmt.Errorf("family %.20q", family)
	}
	m, err := decode(own, features, levels)
	if err == nil && (own.bad || own.left() > 0) {
		err = fmt.Errorf("%d bytes too many or too few", own.left())
	}
	return m, err
}
