package model

import (
	"errors"
	"fmt"
	"math"
)

// Scatter says how far actuals stray from a centre: the spread of a row, times quantiles calibrated by horizon band. It is
// split-conformal prediction with normalised residuals (Lei et al., Distribution-free predictive inference for regression,
// 2018), shared by the families that predict a centre.
type Scatter struct {
	Bands
	Spread      Anchor
	LeastSpread float64
}

// Levels returns the quantile levels.
func (s *Scatter) Levels() []float64 { return s.Bands.Levels }

// fill writes the levels of a row around its centre, NaN when the centre is not known.
func (s *Scatter) fill(row []float32, band int, centre float64, out []float64) {
	l := len(s.Bands.Levels)
	spread := s.Spread.Of(row, band)
	if !(spread >= s.LeastSpread) {
		spread = s.LeastSpread
	}
	for i, z := range s.Z[band*l : (band+1)*l] {
		out[i] = centre + float64(spread*z) // the conversion forbids a fused multiply-add
	}
	if centre != centre {
		for i := range l {
			out[i] = math.NaN()
		}
	}
}

// check returns an error unless s can serve rows of so many features.
func (s *Scatter) check(features int) error {
	if err := s.Bands.check(features); err != nil {
		return err
	}
	if !finite(s.LeastSpread) || s.LeastSpread < 0 {
		return fmt.Errorf("least spread %g: want a number ≥ 0", s.LeastSpread)
	}
	return s.Spread.check(features, s.Bands.Count())
}

func (s *Scatter) encode(w *writer) {
	s.Bands.encode(w)
	s.Spread.encode(w)
	w.f64(s.LeastSpread)
}

func decodeScatter(r *reader, levels []float64) (Scatter, error) {
	bands, err := decodeBands(r, levels)
	if err != nil {
		return Scatter{}, err
	}
	s := Scatter{Bands: bands, Spread: decodeAnchor(r, bands.Count()), LeastSpread: r.f64()}
	if r.bad {
		return s, errors.New("spread is cut short")
	}
	return s, nil
}
