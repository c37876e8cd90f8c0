package train

import (
	"math"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/shared/model"
)

// scatter fits how far actuals stray from a centre, given what the centre leaves of every target: the spread on the rows
// fitted to, its quantiles on those held out.
func scatter(t *table, p Params, left []float64) model.Scatter {
	stray := make([]float64, len(left))
	for i, e := range left {
		stray[i] = math.Abs(e)
	}
	s := model.Scatter{Spread: fitAnchor(t, p, spreadBase, spreadTerms, stray, t.fit), LeastSpread: max(0.05*stat.Mean(stray, nil), 1e-9)}
	b := bands(p)
	ratio := make([]float64, len(t.held))
	for i, at := range t.held {
		row := t.row(at)
		ratio[i] = left[at] / max(s.Spread.Of(row, b.Of(row[b.Lead])), s.LeastSpread)
	}
	s.Bands = calibrate(t, p, ratio, true)
	return s
}

// heldErrors returns the absolute errors on the held-out rows.
func heldErrors(t *table, left []float64) []float64 {
	out := make([]float64, len(t.held))
	for i, at := range t.held {
		out[i] = math.Abs(left[at])
	}
	return out
}
