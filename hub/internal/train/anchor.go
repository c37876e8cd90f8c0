package train

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// The columns of anchors. The centre starts from the mean of the same hour and adds how far the point has drifted from such
// means since; the spread starts from how far it strayed from them. What a spec lacks is left out.
var (
	centreBase  = []string{"weeks mean 4", "days mean 7", "window mean 24h", "window mean 168h"}
	centreTerms = []string{"drift day 1", "drift day 2", "drift day 3", "drift week 1", "drift 1h", "drift 3h", "drift 24h", "drift 168h", "response 4", "shift 4"}
	spreadBase  = []string{"stray 168h", "days std 7", "window std 24h"}
	spreadTerms = []string{"stray 24h", "stray 168h", "days std 7", "weeks std 4", "window std 24h", "window std 168h"}
)

const (
	anchorRounds = 6    // of reweighting
	leastStray   = 0.02 // residuals below this, in scales, weigh no more than it: the pole of the absolute loss
	anchorRidge  = 0.01 // share of the mean square of the terms that pulls weights to zero, where the anchor is the base
)

// columnsOf returns the numbers of those of the named features that spec has.
func columnsOf(spec feature.Spec, names []string) []int {
	var out []int
	for _, n := range names {
		if c := spec.Column(n); c >= 0 {
			out = append(out, c)
		}
	}
	return out
}

// fitAnchor fits the weights of an anchor to some rows, band by band: ridge regression on what the base leaves, reweighted
// towards least absolute error, for meters differ by far more than an order in how far they stray.
func fitAnchor(t *table, p Params, base, terms []string, target []float64, rows []int32) model.Anchor {
	a := model.Anchor{Base: columnsOf(p.Spec, base), Terms: columnsOf(p.Spec, terms)}
	b := bands(p)
	byBand := make([][]int32, b.Count())
	for _, r := range rows {
		band := b.Of(t.row(r)[b.Lead])
		byBand[band] = append(byBand[band], r)
	}
	for _, in := range byBand {
		a.Weights = append(a.Weights, fitWeights(t, a, target, in)...)
	}
	return a
}

// fitWeights returns the weights of one band.
func fitWeights(t *table, a model.Anchor, target []float64, rows []int32) []float64 {
	k := len(a.Terms)
	base := model.Anchor{Base: a.Base}
	w := make([]float64, k)
	if k == 0 || len(rows) == 0 {
		return w
	}
	x := make([]float64, k)
	for range anchorRounds {
		left, right := mat.NewSymDense(k, nil), mat.NewVecDense(k, nil)
		for _, r := range rows {
			row := t.row(r)
			y := target[r] - base.Of(row, 0)
			e := y
			for i, c := range a.Terms {
				x[i] = 0
				if v := row[c]; v == v {
					x[i] = float64(v)
				}
				e -= w[i] * x[i]
			}
			weight := 1 / max(leastStray, math.Abs(e))
			for i := range x {
				for j := i; j < k; j++ {
					left.SetSym(i, j, left.At(i, j)+weight*x[i]*x[j])
				}
				right.SetVec(i, right.AtVec(i)+weight*x[i]*y)
			}
		}
		ridge := anchorRidge*mat.Trace(left)/float64(k) + 1e-9
		for i := range k {
			left.SetSym(i, i, left.At(i, i)+ridge)
		}
		var c mat.Cholesky
		if !c.Factorize(left) {
			return w
		}
		if err := c.SolveVecTo(mat.NewVecDense(k, w), right); err != nil {
			return w
		}
	}
	return w
}
