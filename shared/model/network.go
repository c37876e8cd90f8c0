package model

import (
	"fmt"
)

// The bounds of a network. With them its scratch fits on the stack, and no sum of a network that passed its check can
// leave the range of a float32.
const (
	maxPast   = 24 * 56 // hours
	maxPatch  = 48
	maxCells  = 64
	maxHidden = 128
	maxInputs = 512
	maxTables = 8
	maxCodes  = 400 // values of a table
	maxWeight = 1e4
	maxInput  = 8 // inputs beyond so many standard deviations count as so many
)

// Network is an encoder of the past and a decoder of single rows. The encoder is a long short-term memory (Hochreiter and
// Schmidhuber, 1997) that reads the hours before the origin, oldest first, a patch of several hours at a time. The decoder
// is a perceptron with two hidden layers over the encoder's state and the row's own inputs, with an output for each level.
type Network struct {
	Past     []int // columns of the hours before the origin, oldest first
	PastMean float32
	PastGain float32
	Patch    int // hours read at a time; divides the number of hours
	Cells    int // of the memory
	Hidden   int // in each hidden layer
	Inputs   []NetworkInput
	Tables   []NetworkTable
	Weights  []float32 // as Split parts them
}

// NetworkInput is a column that the decoder takes as a number: (value - Mean)·Gain; one that is missing counts as the mean.
type NetworkInput struct {
	Column     int
	Mean, Gain float32
}

// NetworkTable is a column of whole numbers 0 … Values-1 with weights of its own for each, such as the hour of the day.
type NetworkTable struct{ Column, Values int }

// Weights are the parts of a network's weights: matrices with a row for each output, and biases. The gates of the memory
// are in the order input, forget, candidate, output, each with a row for each cell.
type Weights[T float32 | float64] struct {
	Read, Recur, Gates        []T // 4·cells × patch+1, 4·cells × cells, 4·cells
	State, Input, Table, Bias []T // hidden × cells, hidden × inputs, values of all tables × hidden, hidden
	Deep, DeepBias            []T // hidden × hidden, hidden
	Head, HeadBias            []T // levels × hidden, levels
}

// lengths returns the lengths of the parts.
func (n *Network) lengths(levels int) [11]int {
	codes := 0
	for _, t := range n.Tables {
		codes += t.Values
	}
	g, h := 4*n.Cells, n.Hidden
	return [...]int{g * (n.Patch + 1), g * n.Cells, g, h * n.Cells, h * len(n.Inputs), codes * h, h, h * h, h, levels * h, levels}
}

// Size returns the number of weights.
func (n *Network) Size(levels int) int {
	sum := 0
	for _, l := range n.lengths(levels) {
		sum += l
	}
	return sum
}

// Split parts weights, Size in number.
func Split[T float32 | float64](n *Network, levels int, w []T) Weights[T] {
	var p [11][]T
	for i, l := range n.lengths(levels) {
		p[i], w = w[:l:l], w[l:]
	}
	return Weights[T]{p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10]}
}

// check returns an error unless n can serve rows of so many features.
func (n *Network) check(features, levels int) error {
	if len(n.Past) < 1 || len(n.Past) > maxPast || n.Patch < 1 || n.Patch > maxPatch || len(n.Past)%n.Patch != 0 {
		return fmt.Errorf("network: %d hours in patches of %d: want 1 to %d in whole patches of 1 to %d", len(n.Past), n.Patch, maxPast, maxPatch)
	}
	if n.Cells < 1 || n.Cells > maxCells || n.Hidden < 1 || n.Hidden > maxHidden || len(n.Inputs) > maxInputs || len(n.Tables) > maxTables {
		return fmt.Errorf("network: %d cells, %d hidden, %d inputs, %d tables: want at most %d, %d, %d and %d",
			n.Cells, n.Hidden, len(n.Inputs), len(n.Tables), maxCells, maxHidden, maxInputs, maxTables)
	}
	columns := append([]int(nil), n.Past...)
	for _, i := range n.Inputs {
		columns = append(columns, i.Column)
		if !finite(float64(i.Mean)) || !finite(float64(i.Gain)) {
			return fmt.Errorf("network: input of column %d: mean %g, gain %g", i.Column, i.Mean, i.Gain)
		}
	}
	for _, t := range n.Tables {
		columns = append(columns, t.Column)
		if t.Values < 1 || t.Values > maxCodes {
			return fmt.Errorf("network: table of column %d: %d values: want 1 to %d", t.Column, t.Values, maxCodes)
		}
	}
	for _, c := range columns {
		if c < 0 || c >= features {
			return fmt.Errorf("network: column %d of %d features", c, features)
		}
	}
	if !finite(float64(n.PastMean)) || !finite(float64(n.PastGain)) {
		return fmt.Errorf("network: the past has mean %g, gain %g", n.PastMean, n.PastGain)
	}
	if want := n.Size(levels); len(n.Weights) != want {
		return fmt.Errorf("network: %d weights: want %d", len(n.Weights), want)
	}
	for i, w := range n.Weights {
		if !(w >= -maxWeight && w <= maxWeight) {
			return fmt.Errorf("network: weight %d is %g: want at most %g in size", i, w, float64(maxWeight))
		}
	}
	return nil
}

// normal returns a value as the network reads it: in standard deviations from the mean, bounded, 0 when it is missing.
func normal(v, mean, gain float32) float32 {
	switch v = (v - mean) * gain; {
	case v != v:
		return 0
	case v > maxInput:
		return maxInput
	case v < -maxInput:
		return -maxInput
	}
	return v
}

// Steps returns how many patches the encoder reads.
func (n *Network) Steps() int { return len(n.Past) / n.Patch }

// ReadPatch fills dst, Patch+1 long, with a patch of a row's past, the first of which is the oldest, and with the share
// of it that is known.
func (n *Network) ReadPatch(row []float32, step int, dst []float32) {
	known := 0
	for i, c := range n.Past[step*n.Patch : (step+1)*n.Patch] {
		v := row[c]
		if v == v {
			known++
		}
		dst[i] = normal(v, n.PastMean, n.PastGain)
	}
	dst[n.Patch] = float32(known) / float32(n.Patch)
}

// ReadInputs fills dst, one for each input.
func (n *Network) ReadInputs(row, dst []float32) {
	for i, in := range n.Inputs {
		dst[i] = normal(row[in.Column], in.Mean, in.Gain)
	}
}

// Codes fills dst, one for each table, with the number of the row of Weights.Table that counts, -1 for none.
func (n *Network) Codes(row []float32, dst []int) {
	first := 0
	for i, t := range n.Tables {
		dst[i] = -1
		if v := row[t.Column]; v >= 0 && v < float32(t.Values) {
			dst[i] = first + int(v)
		}
		first += t.Values
	}
}

// SamePast reports whether two rows have the same past, to the bit.
func (n *Network) SamePast(a, b []float32) bool { return samePast(n.Past, a, b) }
