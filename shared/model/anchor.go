package model

import "fmt"

// Anchor is a line through the features of a row. It follows a point to levels never seen, which trees cannot. It starts
// from the first known of some columns, such as a mean of the same hour, and adds weighted terms, such as how far the
// point has drifted from it.
type Anchor struct {
	Base    []int     // columns: the first that is known counts, and 1, the point's scale, when none is
	Terms   []int     // columns; what is missing adds nothing
	Weights []float64 // bands × terms
}

// base returns the first known of some columns of a row, or 1: energies in scales have a mean of 1.
func (a *Anchor) base(row []float32) float64 {
	for _, c := range a.Base {
		if v := row[c]; v == v {
			return float64(v)
		}
	}
	return 1
}

// Of returns the anchor of a row in a horizon band.
func (a *Anchor) Of(row []float32, band int) float64 {
	v := a.base(row)
	for i, w := range a.Weights[band*len(a.Terms) : (band+1)*len(a.Terms)] {
		if x := row[a.Terms[i]]; x == x {
			v += float64(w * float64(x)) // the conversion forbids a fused multiply-add
		}
	}
	return v
}

// check returns an error unless a can serve rows of so many features.
func (a *Anchor) check(features, bands int) error {
	if len(a.Base) > maxColumns || len(a.Terms) > maxColumns || len(a.Weights) != bands*len(a.Terms) {
		return fmt.Errorf("anchor: %d columns, %d terms, %d weights for %d bands", len(a.Base), len(a.Terms), len(a.Weights), bands)
	}
	for _, columns := range [][]int{a.Base, a.Terms} {
		for _, c := range columns {
			if c < 0 || c >= features {
				return fmt.Errorf("anchor: column %d of %d features", c, features)
			}
		}
	}
	for _, w := range a.Weights {
		if !finite(w) {
			return fmt.Errorf("anchor: weight %g", w)
		}
	}
	return nil
}
