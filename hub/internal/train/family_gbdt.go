package train

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/model"
)

// fitGBDT fits the anchor and the trees on what it leaves to the earlier rows, stopping by the held-out ones; then how far
// actuals stray from both; takes the quantiles from the held-out rows; and fits anchor and trees once more on all rows, as
// many trees. Clipped squared loss avoids the trap of pinball loss on meters that read zero half of the time, whose leaves
// all stay at zero. Trees of Tweedie's loss are factors of 1, the point's scale: an anchor may be 0 or less, where no factor
// leads to what will be.
func fitGBDT(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	earlier, t, why := warmStart(t, p)
	r.WarmStart = why
	b, err := t.binned(p)
	if err != nil {
		return nil, err
	}
	bins := b.monotone(p)
	tell.tell("centre", 0.1)
	anchor := centreOfTrees(t, p, earlier, t.fit)
	left := leftOfCentre(t, p, anchor)
	var trees model.Ensemble
	var res gbdt.Result
	if earlier != nil {
		trees, res, err = bins.Continue(ctx, earlier.Trees, b.rows, left, t.fit, t.held, p.Trees)
	} else {
		trees, res, err = bins.Fit(ctx, left, t.fit, t.held, p.Trees)
	}
	if err != nil {
		return nil, err
	}

	tell.tell("spread", 0.5)
	rest, sums := slices.Clone(left), make([]float64, t.len())
	trees.Sum(t.rows, t.width, sums)
	for i := range rest {
		rest[i] -= sums[i]
	}
	s := scatter(t, p, rest)
	r.judge(heldErrors(t, rest))

	tell.tell("centre on all rows", 0.55)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	final := p.Trees
	final.Trees = max(1, res.Trees)
	if earlier != nil {
		final.Trees = max(final.Trees, int(math.Ceil(float64(len(earlier.Trees.Trees)*len(t.held))/float64(len(all)))))
		trees, res, err = bins.Continue(ctx, earlier.Trees, b.rows, left, all, nil, final)
	} else {
		anchor = centreOfTrees(t, p, nil, all)
		trees, res, err = bins.Fit(ctx, leftOfCentre(t, p, anchor), all, nil, final)
	}
	if err != nil {
		return nil, err
	}
	r.Trees, r.Importance = len(trees.Trees), importance(p, res)
	return model.NewGBDT(t.width, s.Bands, anchor, trees, s.Spread, s.LeastSpread)
}

// centreOfTrees returns what trees start from: the anchor of the earlier model when they go on from its trees.
func centreOfTrees(t *table, p Params, earlier *model.GBDT, rows []int32) model.Anchor {
	switch {
	case earlier != nil:
		return earlier.Anchor
	case p.Trees.Loss == gbdt.Tweedie:
		return model.Anchor{}
	}
	return fitAnchor(t, p, centreBase, centreTerms, t.target, rows)
}

// leftOfCentre returns what trees are fitted to: what the anchor leaves, or with Tweedie's loss the target itself.
func leftOfCentre(t *table, p Params, anchor model.Anchor) []float64 {
	if p.Trees.Loss == gbdt.Tweedie {
		return t.target
	}
	return leftBy(t, p, anchor, t.target)
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

// fitQuantiles fits trees whose leaves have a value for each level to what the anchor leaves of the earlier rows, moves each level
// to where the held-out rows say it belongs, and fits anchor and trees once more on all rows.
func fitQuantiles(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	b, err := t.binned(p)
	if err != nil {
		return nil, err
	}
	bins := b.monotone(p)
	tell.tell("levels", 0.1)
	anchor := fitAnchor(t, p, centreBase, centreTerms, t.target, t.fit)
	left := leftBy(t, p, anchor, t.target)
	trees, res, err := bins.FitLevels(ctx, left, t.fit, t.held, p.Levels, p.Quantiles)
	if err != nil {
		return nil, err
	}
	tell.tell("spread", 0.5)
	said, n, middle := make([]float64, t.len()*len(p.Levels)), len(p.Levels), model.Middle(p.Levels)
	trees.Sum(t.rows, t.width, t.len(), said)
	stray := make([]float64, t.len())
	for i := range stray {
		slices.Sort(said[i*n : (i+1)*n])
		stray[i] = math.Abs(left[i] - said[i*n+middle])
	}
	spread := fitAnchor(t, p, spreadBase, spreadTerms, stray, t.fit)
	least := max(0.05*stat.Mean(stray, nil), 1e-9)
	edges := bands(p)
	held, units := make([]float64, 0, len(t.held)*n), make([]float64, len(t.held))
	for i, at := range t.held {
		row := t.row(at)
		for _, v := range said[int(at)*n : (int(at)+1)*n] {
			held = append(held, t.target[at]-left[at]+v)
		}
		units[i] = max(spread.Of(row, edges.Of(row[edges.Lead])), least)
	}
	corrected, errs := conformal(t, p, held, units)
	r.judge(errs)

	tell.tell("levels on all rows", 0.55)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	final := p.Quantiles
	final.Trees = max(1, res.Trees)
	anchor = fitAnchor(t, p, centreBase, centreTerms, t.target, all)
	if trees, res, err = bins.FitLevels(ctx, leftBy(t, p, anchor, t.target), all, nil, p.Levels, final); err != nil {
		return nil, err
	}
	r.Trees, r.Importance = len(trees.Trees), importance(p, res)
	return model.NewQuantiles(t.width, corrected, anchor, trees, spread, least)
}
