package model

import "fmt"

// LSTM is the family of sequence models: an anchor follows the level of a point, a network says where its quantiles lie
// around it, in spreads. The network's outputs are a centre and the steps from it to the next levels, which are positive,
// so that levels never cross. The bands say how many of those steps each level lies away from the centre: conformalised
// quantile regression (Romano, Patterson and Candès, 2019).
type LSTM struct {
	Bands
	Anchor, Spread Anchor
	LeastSpread    float64
	Net            Network
	weights        Weights[float32]
	features       int
}

// NewLSTM returns a checked model over rows of so many features.
func NewLSTM(features int, bands Bands, anchor, spread Anchor, leastSpread float64, net Network) (*LSTM, error) {
	m := &LSTM{Bands: bands, Anchor: anchor, Spread: spread, LeastSpread: leastSpread, Net: net, features: features}
	if err := m.Bands.check(features); err != nil {
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
	if err := m.Net.check(features, len(bands.Levels)); err != nil {
		return nil, err
	}
	m.weights = Split(&m.Net, len(bands.Levels), m.Net.Weights)
	return m, nil
}

// Levels returns the quantile levels.
func (m *LSTM) Levels() []float64 { return m.Bands.Levels }

// Predict implements Model. The past is read once for rows in a row that share it.
func (m *LSTM) Predict(rows []float32, n int, out []float64) {
	var first [maxHidden]float32 // what the encoder's state adds to the first hidden layer
	f, l := m.features, len(m.Bands.Levels)
	middle := Middle(m.Bands.Levels)
	for r := range n {
		row := rows[r*f : (r+1)*f]
		if r == 0 || !m.Net.SamePast(row, rows[(r-1)*f:r*f]) {
			m.encode1(row, first[:m.Net.Hidden])
		}
		to := out[r*l : (r+1)*l]
		m.decode1(row, first[:m.Net.Hidden], to)
		band := m.Bands.Of(row[m.Lead])
		spread := max(m.Spread.Of(row, band), m.LeastSpread)
		Fan(to, middle, m.Z[band*l:(band+1)*l])
		anchor := m.Anchor.Of(row, band)
		for i, v := range to {
			to[i] = anchor + float64(spread*v) // the conversion forbids a fused multiply-add
		}
	}
}

// Middle returns the number of the level nearest to one half.
func Middle(levels []float64) int {
	best := 0
	for i, l := range levels {
		if d, b := l-0.5, levels[best]-0.5; d*d < b*b {
			best = i
		}
	}
	return best
}

// Fan turns the outputs of a network for a row into quantiles: that of the middle level stays, the others say how large
// the step from the level before is, away from the middle. z, ascending, counts steps: level i lies z[i]-z[i-1] of its
// own steps from the one before.
func Fan(out []float64, middle int, z []float64) {
	out[middle] += z[middle]
	for i := middle + 1; i < len(out); i++ {
		out[i] = out[i-1] + float64((z[i]-z[i-1])*squareplus(out[i]))
	}
	for i := middle - 1; i >= 0; i-- {
		out[i] = out[i+1] - float64((z[i+1]-z[i])*squareplus(out[i]))
	}
}

// encode1 reads the past of a row and fills first with the encoder's part of the first hidden layer, the bias included.
func (m *LSTM) encode1(row, first []float32) {
	var x [maxPatch + 1]float32
	var state, memory [maxCells]float32
	var gates [4 * maxCells]float32
	n, w := &m.Net, &m.weights
	k := n.Cells
	for step := range n.Steps() {
		n.ReadPatch(row, step, x[:n.Patch+1])
		z := gates[:4*k]
		copy(z, w.Gates)
		addProduct(z, w.Read, x[:n.Patch+1])
		addProduct(z, w.Recur, state[:k])
		for i := range k {
			kept := float32(sigmoid(z[k+i]) * memory[i])
			memory[i] = kept + float32(sigmoid(z[i])*tanh(z[2*k+i]))
			state[i] = sigmoid(z[3*k+i]) * tanh(memory[i])
		}
	}
	copy(first, w.Bias)
	addProduct(first, w.State, state[:k])
}

// decode1 fills out with the outputs for a row.
func (m *LSTM) decode1(row, first []float32, out []float64) {
	var in [maxInputs]float32
	var codes [maxTables]int
	var a, b [maxHidden]float32
	n, w := &m.Net, &m.weights
	h := n.Hidden
	n.ReadInputs(row, in[:len(n.Inputs)])
	n.Codes(row, codes[:len(n.Tables)])
	shallow, deep := a[:h], b[:h]
	copy(shallow, first)
	addProduct(shallow, w.Input, in[:len(n.Inputs)])
	for _, c := range codes[:len(n.Tables)] {
		if c >= 0 {
			for i, v := range w.Table[c*h : (c+1)*h] {
				shallow[i] += v
			}
		}
	}
	rectify(shallow)
	copy(deep, w.DeepBias)
	addProduct(deep, w.Deep, shallow)
	rectify(deep)
	for i := range out {
		out[i] = float64(w.HeadBias[i] + dot(w.Head[i*h:(i+1)*h], deep))
	}
}

// rectify sets what is negative to zero.
func rectify(x []float32) {
	for i, v := range x {
		if v < 0 {
			x[i] = 0
		}
	}
}

// addProduct adds a matrix, with a row for each element of y, times x to y.
func addProduct(y, matrix, x []float32) {
	k := len(x)
	for i := range y {
		y[i] += dot(matrix[i*k:(i+1)*k], x)
	}
}

// dot returns the scalar product of two slices of one length, in four sums so that the processor need not wait for each
// addition; their order is part of the result. The conversions forbid fused multiply-adds.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+3 < len(a); i += 4 {
		s0 += float32(a[i] * b[i])
		s1 += float32(a[i+1] * b[i+1])
		s2 += float32(a[i+2] * b[i+2])
		s3 += float32(a[i+3] * b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float32(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}
