package train

import (
	"context"
	"fmt"
)

// Rows are what every family of a training learns from.
type Rows struct {
	Width  int       // features in a row
	Values []float32 // row after row; NaN is a missing feature
	Target []float64 // in scales of the point at the origin
}

// RowsOf returns the rows of a training, those that quantiles are calibrated on included, for other engines to learn from.
func RowsOf(ctx context.Context, d Dataset, p Params) (Rows, error) {
	p = p.withDefaults()
	if err := p.check(d); err != nil {
		return Rows{}, err
	}
	t, err := newTable(ctx, d, p)
	if err != nil {
		return Rows{}, fmt.Errorf("train: %w", err)
	}
	return Rows{t.width, t.rows, t.target}, nil
}
