package model

import "errors"

func (m *Additive) encode(w *writer) {
	m.Scatter.encode(w)
	m.Calendar.encode(w)
	w.u16(uint16(m.Yearday + 1))
	w.columns(m.Base)
	encodeInputs(w, m.Inputs)
	w.u8(uint8(len(m.Rounds)))
	for _, r := range m.Rounds {
		w.u8(uint8(r.Over))
		w.f64s(r.Values)
	}
	w.u16(uint16(len(m.Terms)))
	for _, t := range m.Terms {
		w.u8(uint8(t.Part))
		w.u8(uint8(t.Input + 1))
		w.u8(uint8(t.Round + 1))
	}
	w.f64s(m.Weights)
	w.u32(uint32(len(m.Points)))
	for _, p := range m.Points {
		w.u16(uint16(len(p.Point)))
		w.b = append(w.b, p.Point...)
		w.f64(p.Slope)
		w.f32s(p.Weights)
	}
}

func decodeAdditive(r *reader, features int, levels []float64) (Model, error) {
	s, err := decodeScatter(r, levels)
	if err != nil {
		return nil, err
	}
	a := Additive{Scatter: s, Calendar: decodeCalendar(r), Yearday: int(r.u16()) - 1, Base: r.columns()}
	if r.bad || a.Calendar.check(features) != nil {
		return nil, errors.New("calendar")
	}
	if a.Inputs, err = decodeInputs(r); err != nil {
		return nil, err
	}
	a.Rounds = make([]Round, r.u8())
	for i := range a.Rounds {
		over := int(r.u8())
		if over >= overs {
			return nil, errors.New("round over nothing known")
		}
		a.Rounds[i] = Round{Over: over, Values: r.f64s(roundSize(over, &a.Calendar))}
		if r.bad {
			return nil, errors.New("rounds are cut short")
		}
	}
	n := int(r.u16())
	if r.bad || n > r.left()/3 {
		return nil, errors.New("count of terms")
	}
	a.Terms = make([]Term, n)
	for i := range a.Terms {
		a.Terms[i] = Term{Part: Part(r.u8()), Input: int(r.u8()) - 1, Round: int(r.u8()) - 1}
	}
	a.Weights = r.f64s(a.Bands.Count() * n)
	points := r.count()
	if r.bad || points > r.left()/(10+4*n) {
		return nil, errors.New("count of points")
	}
	a.Points = make([]Own, points)
	for i := range a.Points {
		a.Points[i] = Own{Point: string(r.bytes(int(r.u16()))), Slope: r.f64(), Weights: r.f32s(n)}
	}
	if r.bad {
		return nil, errors.New("points are cut short")
	}
	return NewAdditive(features, a)
}
