package train

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/model"
)

// fitGBDT fits the centre on the earlier rows, stopping by the held-out ones; then how far actuals stray from it; takes
// the quantiles from the held-out rows; and fits the centre once more on all rows, as many trees. Squared loss on the
// centre avoids the trap of pinball loss on meters that read zero half of the time, whose leaves all stay at zero.
func fitGBDT(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	bins, err := gbdt.Bin(t.rows, t.width, p.Threads)
	if err != nil {
		return nil, err
	}
	tell.tell("centre", 0.1)
	centre, res, err := bins.Fit(ctx, t.target, t.fit, t.held, p.Trees)
	if err != nil {
		return nil, err
	}
	r.Trees, r.HeldLoss = res.Trees, res.Loss

	tell.tell("spread", 0.4)
	residual := make([]float64, t.len())
	centre.Sum(t.rows, t.width, residual)
	stray := make([]float64, t.len())
	for i := range residual {
		residual[i] = t.target[i] - residual[i]
		stray[i] = math.Abs(residual[i])
	}
	sp := p.Trees
	sp.Trees, sp.Leaves, sp.MinLeaf, sp.Seed = min(80, sp.Trees), min(15, sp.Leaves), 4*sp.MinLeaf, sp.Seed+1
	spread, _, err := bins.Fit(ctx, stray, t.fit, nil, sp)
	if err != nil {
		return nil, err
	}
	least := 0.05 * spread.Base
	ratio := make([]float64, len(t.held))
	strays := make([]float64, 1)
	for i, row := range t.held {
		spread.Sum(t.row(row), t.width, strays)
		ratio[i] = residual[row] / max(strays[0], least, 1e-9)
	}
	bands := calibrate(t, p, ratio)

	tell.tell("centre on all rows", 0.55)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	final := p.Trees
	final.Trees = max(1, res.Trees)
	if centre, _, err = bins.Fit(ctx, t.target, all, nil, final); err != nil {
		return nil, err
	}
	return model.NewGBDT(t.width, bands, centre, spread, max(least, 1e-9))
}

// fitSeasonal calibrates quantiles around means of the same hour, which need no fitting.
func fitSeasonal(_ context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	tell.tell("quantiles", 0.5)
	var columns []int
	for _, name := range []string{"weeks mean 4", "days mean 7", "window mean 24h", "window mean 168h"} {
		if c := p.Spec.Column(name); c >= 0 {
			columns = append(columns, c)
		}
	}
	m, err := model.NewSeasonal(t.width, model.Bands{Levels: p.Levels, Z: make([]float64, len(p.Levels))}, columns)
	if err != nil {
		return nil, err
	}
	errs := make([]float64, len(t.held))
	for i, row := range t.held {
		c := m.Centre(t.row(row))
		if c != c {
			c = 1 // nothing is known but the scale
		}
		errs[i] = t.target[row] - c
	}
	strays := make([]float64, len(errs))
	for i, e := range errs {
		strays[i] = math.Abs(e)
	}
	r.HeldLoss = stat.Mean(strays, nil)
	return model.NewSeasonal(t.width, calibrate(t, p, errs), columns)
}
