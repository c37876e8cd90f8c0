package model

import (
	"errors"
	"fmt"
)

// How an Input is read from its column.
const (
	Plain    = iota // the value less Centre
	Relative        // the value less the base of the row: energies, which follow the point's level
	Absent          // 1 when the value is missing, else 0; less Centre
	Above           // how far the value lies above Knot, else 0; less Centre
	Below           // how far the value lies below Knot, else 0; less Centre
	readings        // how many there are
)

// Input is one number that a line weighs: a column of the row, centred and scaled. What is missing says nothing: it counts
// as 0, which is the mean of the rows learnt from, or for energies the point's own base. It is bounded by maxInput standard
// deviations: a row unlike all that were learnt from must not run away.
type Input struct {
	Column       int
	Reading      int
	Knot, Centre float64
	PerUnit      float64 // 1 over the standard deviation
}

// Raw returns what an input reads from a row whose base is known, neither centred nor scaled, and whether it is there.
func (in *Input) Raw(row []float32, base float64) (v float64, known bool) {
	v = float64(row[in.Column])
	known = v == v
	switch in.Reading {
	case Relative:
		v -= base
	case Absent:
		if known {
			return 0, true
		}
		return 1, true
	case Above:
		v = max(0, v-in.Knot)
	case Below:
		v = max(0, in.Knot-v)
	}
	return v, known
}

// Of returns the input of a row whose base is known.
func (in *Input) Of(row []float32, base float64) float64 {
	v, known := in.Raw(row, base)
	if !known {
		return 0
	}
	v = float64((v - in.Centre) * in.PerUnit)
	return max(-maxInput, min(maxInput, v))
}

func (in *Input) check(features int) error {
	if in.Column < 0 || in.Column >= features {
		return fmt.Errorf("input: column %d of %d features", in.Column, features)
	}
	if in.Reading < 0 || in.Reading >= readings {
		return fmt.Errorf("input: reading %d: want 0 to %d", in.Reading, readings-1)
	}
	if !finite(in.Knot) || !finite(in.Centre) || !finite(in.PerUnit) {
		return fmt.Errorf("input of column %d: knot %g, centre %g, %g per unit", in.Column, in.Knot, in.Centre, in.PerUnit)
	}
	return nil
}

// inputSize is how many bytes an input has in an artifact.
const inputSize = 2 + 1 + 8 + 8 + 8

func encodeInputs(w *writer, inputs []Input) {
	w.u16(uint16(len(inputs)))
	for i := range inputs {
		in := &inputs[i]
		w.u16(uint16(in.Column))
		w.u8(uint8(in.Reading))
		w.f64(in.Knot)
		w.f64(in.Centre)
		w.f64(in.PerUnit)
	}
}

func decodeInputs(r *reader) ([]Input, error) {
	n := int(r.u16())
	if r.bad || n > maxReads || n > r.left()/inputSize {
		return nil, errors.New("count of inputs")
	}
	inputs := make([]Input, n)
	for i := range inputs {
		inputs[i] = Input{Column: int(r.u16()), Reading: int(r.u8()), Knot: r.f64(), Centre: r.f64(), PerUnit: r.f64()}
	}
	return inputs, nil
}
