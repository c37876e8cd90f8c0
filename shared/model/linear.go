package model

import (
	"errors"
	"fmt"
)

// Linear is the family of lines: from a base, such as the mean of the same hour, a weighted sum of inputs, with weights by
// horizon band and by group of hours, and a correction for each time of each day of the week.
type Linear struct {
	Scatter
	Calendar Calendar
	Base     []int // columns: the first that is known counts, and 1, the point's scale, when none is
	Inputs   []Input
	Groups   []uint8   // by day and hour, 8 × 24: the group whose weights count
	Weights  []float64 // bands × groups × inputs
	Slots    []float64 // bands × 8 days × slots of a day
	features int
	groups   int
}

// NewLinear returns a checked model over rows of so many features.
func NewLinear(features int, s Scatter, c Calendar, base []int, inputs []Input, groups []uint8, weights, slots []float64) (*Linear, error) {
	m := &Linear{Scatter: s, Calendar: c, Base: base, Inputs: inputs, Groups: groups, Weights: weights, Slots: slots, features: features, groups: 1}
	if err := errors.Join(m.Scatter.check(features), m.Calendar.check(features)); err != nil {
		return nil, err
	}
	if err := (&Anchor{Base: base}).check(features, m.Bands.Count()); err != nil {
		return nil, err
	}
	if len(inputs) > maxReads {
		return nil, fmt.Errorf("%d inputs: want at most %d", len(inputs), maxReads)
	}
	for i := range inputs {
		if err := inputs[i].check(features); err != nil {
			return nil, err
		}
	}
	if len(groups) != days*24 {
		return nil, fmt.Errorf("groups of %d hours: want %d", len(groups), days*24)
	}
	for _, g := range groups {
		m.groups = max(m.groups, int(g)+1)
	}
	if want := m.Bands.Count() * m.groups * len(inputs); len(weights) != want {
		return nil, fmt.Errorf("%d weights: want %d", len(weights), want)
	}
	if want := m.Bands.Count() * days * m.Calendar.Slots(); len(slots) != want {
		return nil, fmt.Errorf("%d corrections of slots: want %d", len(slots), want)
	}
	for _, list := range [][]float64{weights, slots} {
		for _, w := range list {
			if !finite(w) {
				return nil, fmt.Errorf("weight %g", w)
			}
		}
	}
	return m, nil
}

// Predict implements Model.
func (m *Linear) Predict(rows []float32, n int, out []float64) {
	f, l := m.features, len(m.Bands.Levels)
	for r := range n {
		row := rows[r*f : (r+1)*f]
		band := m.Bands.Of(row[m.Lead])
		m.fill(row, band, m.centre(row, band), out[r*l:(r+1)*l])
	}
}

// Centre returns the middle of a row.
func (m *Linear) Centre(row []float32) float64 { return m.centre(row, m.Bands.Of(row[m.Lead])) }

func (m *Linear) centre(row []float32, band int) float64 {
	base := (&Anchor{Base: m.Base}).base(row)
	day, slot := m.Calendar.Of(row)
	v := base + m.Slots[(band*days+day)*m.Calendar.Slots()+slot]
	k := len(m.Inputs)
	g := band*m.groups + int(m.Groups[day*24+slot/m.Calendar.PerHour])
	for i, w := range m.Weights[g*k : (g+1)*k] {
		v += float64(w * m.Inputs[i].Of(row, base)) // the conversion forbids a fused multiply-add
	}
	return v
}

func (m *Linear) encode(w *writer) {
	m.Scatter.encode(w)
	m.Calendar.encode(w)
	w.columns(m.Base)
	encodeInputs(w, m.Inputs)
	w.b = append(w.b, m.Groups...)
	w.f64s(m.Weights)
	w.f64s(m.Slots)
}

func decodeLinear(r *reader, features int, levels []float64) (Model, error) {
	s, err := decodeScatter(r, levels)
	if err != nil {
		return nil, err
	}
	c, base := decodeCalendar(r), r.columns()
	inputs, err := decodeInputs(r)
	if err != nil {
		return nil, err
	}
	groups := append([]uint8(nil), r.bytes(days*24)...)
	if r.bad || c.check(features) != nil {
		return nil, errors.New("calendar")
	}
	n := 0
	for _, g := range groups {
		n = max(n, int(g)+1)
	}
	weights := r.f64s(s.Bands.Count() * n * len(inputs))
	slots := r.f64s(s.Bands.Count() * days * c.Slots())
	if r.bad {
		return nil, errors.New("weights are cut short")
	}
	return NewLinear(features, s, c, base, inputs, groups, weights, slots)
}
