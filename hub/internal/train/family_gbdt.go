package train

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/shared/model"
)

// fitGBDT fits the anchor and the trees on what it leaves to the earlier rows, stopping by the held-out ones; then how far
// actuals stray from both; takes the quantiles from the held-out rows; and fits anchor and trees once more on all rows, as
// many trees. Clipped squared loss avoids the trap of pinball loss on meters that read zero half of the time, whose leaves
// all stay at zero.
func fitGBDT(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	bins, _, err := t.binned(p)
	if err != nil {
		return nil, err
	}
	tell.tell("centre", 0.1)
	left := leftBy(t, p, fitAnchor(t, p, centreBase, centreTerms, t.target, t.fit), t.target)
	trees, res, err := bins.Fit(ctx, left, t.fit, t.held, p.Trees)
	if err != nil {
		return nil, err
	}
	r.Trees, r.HeldLoss = res.Trees, res.Loss

	tell.tell("spread", 0.5)
	sums, stray := make([]float64, t.len()), make([]float64, t.len())
	trees.Sum(t.rows, t.width, sums)
	for i := range left {
		left[i] -= sums[i]
		stray[i] = math.Abs(left[i])
	}
	spread := fitAnchor(t, p, spreadBase, spreadTerms, stray, t.fit)
	least := max(0.05*stat.Mean(stray, nil), 1e-9)
	b := bands(p)
	ratio := make([]float64, len(t.held))
	for i, at := range t.held {
		row := t.row(at)
		ratio[i] = left[at] / max(spread.Of(row, b.Of(row[b.Lead])), least)
	}
	quantiles := calibrate(t, p, ratio, true)

	tell.tell("centre on all rows", 0.55)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	final := p.Trees
	final.Trees = max(1, res.Trees)
	anchor := fitAnchor(t, p, centreBase, centreTerms, t.target, all)
	if trees, _, err = bins.Fit(ctx, leftBy(t, p, anchor, t.target), all, nil, final); err != nil {
		return nil, err
	}
	return model.NewGBDT(t.width, quantiles, anchor, trees, spread, least)
}

// leftBy returns what an anchor leaves of the targets.
func leftBy(t *table, p Params, a model.Anchor, target []float64) []float64 {
	b := bands(p)
	out := make([]float64, t.len())
	for i := range out {
		row := t.row(int32(i))
		out[i] = target[i] - a.Of(row, b.Of(row[b.Lead]))
	}
	return out
}
