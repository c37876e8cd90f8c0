package model

import "errors"

func (m *LSTM) encode(w *writer) {
	m.Bands.encode(w)
	m.Anchor.encode(w)
	m.Spread.encode(w)
	w.f64(m.LeastSpread)
	n := &m.Net
	w.u16(uint16(len(n.Past)))
	for _, c := range n.Past {
		w.u16(uint16(c))
	}
	w.f32(n.PastMean)
	w.f32(n.PastGain)
	w.u8(uint8(n.Patch))
	w.u8(uint8(n.Cells))
	w.u8(uint8(n.Hidden))
	w.u16(uint16(len(n.Inputs)))
	for _, i := range n.Inputs {
		w.u16(uint16(i.Column))
		w.f32(i.Mean)
		w.f32(i.Gain)
	}
	w.u8(uint8(len(n.Tables)))
	for _, t := range n.Tables {
		w.u16(uint16(t.Column))
		w.u16(uint16(t.Values))
	}
	w.u32(uint32(len(n.Weights)))
	w.f32s(n.Weights)
}

func decodeLSTM(r *reader, features int, levels []float64) (Model, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return nil, err
	}
	anchor, spread := decodeAnchor(r, bands.Count()), decodeAnchor(r, bands.Count())
	least := r.f64()
	var n Network
	past := int(r.u16())
	if r.bad || past > maxPast || past > r.left()/2 {
		return nil, errors.New("count of hours")
	}
	n.Past = make([]int, past)
	for i := range n.Past {
		n.Past[i] = int(r.u16())
	}
	n.PastMean, n.PastGain = r.f32(), r.f32()
	n.Patch, n.Cells, n.Hidden = int(r.u8()), int(r.u8()), int(r.u8())
	inputs := int(r.u16())
	if r.bad || inputs > maxInputs || inputs > r.left()/10 {
		return nil, errors.New("count of inputs")
	}
	n.Inputs = make([]NetworkInput, inputs)
	for i := range n.Inputs {
		n.Inputs[i] = NetworkInput{Column: int(r.u16()), Mean: r.f32(), Gain: r.f32()}
	}
	tables := int(r.u8())
	if r.bad || tables > maxTables || tables > r.left()/4 {
		return nil, errors.New("count of tables")
	}
	n.Tables = make([]NetworkTable, tables)
	for i := range n.Tables {
		n.Tables[i] = NetworkTable{Column: int(r.u16()), Values: int(r.u16())}
	}
	n.Weights = r.f32s(r.count())
	if r.bad {
		return nil, errors.New("weights are cut short")
	}
	return NewLSTM(features, bands, anchor, spread, least, n)
}
