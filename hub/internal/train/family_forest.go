package train

import (
	"context"
	"slices"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/hub/internal/train/forest"
	"fluxora.dev/shared/model"
)

// Forest returns the settings of a forest for what an anchor leaves of energies in scales. Splits see residuals of at most
// half of a point's mean, as far as the wildest meters would else choose them all; leaves of 40 rows keep an artifact of
// 60 trees on 150,000 rows to about 4 MB.
func Forest() forest.Params {
	p := forest.Defaults()
	p.Trees, p.MinLeaf, p.Clip = 60, 40, 0.5
	return p
}

// trialTrees is the share of the trees that the forest has whose errors on the held-out rows correct the quantiles.
const trialTrees = 0.5

// fitForest grows a forest on what an anchor leaves of the earlier rows, corrects its quantiles by the held-out ones, and
// grows another on all rows.
func fitForest(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	if err := p.Forest.Check(); err != nil {
		return nil, err
	}
	tell.tell("bins", 0.1)
	b, err := t.binned(p)
	if err != nil {
		return nil, err
	}
	columns := make([]forest.Column, b.width)
	for f := range columns {
		columns[f].Bins, columns[f].UpTo = b.bins.Column(f)
	}
	tell.tell("trial forest", 0.15)
	anchor := fitAnchor(t, p, centreBase, centreTerms, t.target, t.fit)
	trial := p.Forest
	trial.Trees = max(1, int(trialTrees*float64(trial.Trees)))
	grown, err := forest.Fit(ctx, columns, leftBy(t, p, anchor, t.target), t.fit, trial)
	if err != nil {
		return nil, err
	}
	tell.tell("quantiles", 0.45)
	m, err := forestModel(t, p, anchor, grown)
	if err != nil {
		return nil, err
	}
	var errs []float64
	if m.Bands, m.LeastWidth, errs, err = correct(ctx, t, p, m); err != nil {
		return nil, err
	}
	r.judge(errs)
	tell.tell("forest on all rows", 0.5)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	anchor = fitAnchor(t, p, centreBase, centreTerms, t.target, all)
	if grown, err = forest.Fit(ctx, columns, leftBy(t, p, anchor, t.target), all, p.Forest); err != nil {
		return nil, err
	}
	r.Trees = len(grown.Trees)
	return model.NewForest(t.width, m.Bands, anchor, m.LeastWidth, grown.Grid, grown.Trees)
}

// forestModel returns a forest whose quantiles are not corrected.
func forestModel(t *table, p Params, anchor model.Anchor, grown forest.Result) (*model.Forest, error) {
	b := bands(p)
	b.Z = make([]float64, b.Count()*len(p.Levels))
	return model.NewForest(t.width, b, anchor, 0, grown.Grid, grown.Trees)
}

// correct returns by how much each level must move, by horizon band and as multiples of the distance between the outermost
// levels, for the held-out actuals to lie below it as often as it says. The middle stays where it is: that of the held-out
// weeks is mostly their weather.
func correct(ctx context.Context, t *table, p Params, m *model.Forest) (b model.Bands, leastWidth float64, errs []float64, err error) {
	n := len(p.Levels)
	out := make([]float64, len(t.held)*n)
	widths := make([]float64, len(t.held))
	for i, at := range t.held {
		if i%1024 == 0 && ctx.Err() != nil {
			return b, 0, nil, context.Cause(ctx)
		}
		values := out[i*n : (i+1)*n]
		m.Predict(t.row(at), 1, values)
		widths[i] = values[n-1] - values[0]
	}
	leastWidth = max(0.05*stat.Mean(widths, nil), 1e-9)
	for i := range widths {
		widths[i] = max(widths[i], leastWidth)
	}
	b, errs = conformal(t, p, out, widths)
	return b, leastWidth, errs, nil
}
