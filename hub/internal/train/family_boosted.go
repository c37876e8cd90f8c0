package train

import (
	"context"
	"slices"

	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/model"
)

// fitBoosted fits a line as family linear does, and trees to what the line leaves: the line follows levels and temperatures
// never seen, which trees cannot, and the trees find what bends and what depends on one another, which a line cannot.
func fitBoosted(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	if err := p.Linear.check(); err != nil {
		return nil, err
	}
	tell.tell("line", 0.05)
	l := newLine(t, p, t.fit)
	sums, err := l.fit(ctx, t.fit, p.Linear.middling())
	if err != nil {
		return nil, err
	}
	chosen, err := l.choose(ctx, sums, p.Linear)
	if err != nil {
		return nil, err
	}
	if err := l.solve(sums, chosen); err != nil {
		return nil, err
	}
	tell.tell("trees", 0.2)
	b, err := t.binned(p)
	if err != nil {
		return nil, err
	}
	left := l.left()
	trees, res, err := b.bins.Fit(ctx, left, t.fit, t.held, p.Boosted)
	if err != nil {
		return nil, err
	}
	bent := make([]float64, t.len())
	trees.Sum(t.rows, t.width, bent)
	for i := range left {
		left[i] -= bent[i]
	}
	s := scatter(t, p, left)
	r.judge(heldErrors(t, left))

	tell.tell("line and trees on all rows", 0.6)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	if _, err := l.fit(ctx, all, chosen); err != nil {
		return nil, err
	}
	final := p.Boosted
	final.Trees = max(1, res.Trees)
	if trees, res, err = b.bins.Fit(ctx, l.left(), all, nil, final); err != nil {
		return nil, err
	}
	r.Trees, r.Importance = res.Trees, importance(p, res)
	line, err := model.NewLinear(t.width, s, l.calendar, l.base, l.inputs, l.groups, slices.Concat(l.weights...), slices.Concat(l.slots...))
	if err != nil {
		return nil, err
	}
	return model.NewBoosted(t.width, line, trees)
}

// left returns what the line leaves of every target.
func (l *line) left() []float64 {
	out, x := make([]float64, l.t.len()), make([]float64, len(l.inputs))
	for i := range out {
		band, group, slot, y := l.read(int32(i), x)
		out[i] = y - l.value(x, band, group, slot)
	}
	return out
}

// boostedTrees returns the settings of trees for what a line leaves: fewer than without one, and every residual counts more.
func boostedTrees() gbdt.Params {
	p := Trees()
	p.Trees, p.Clip = 150, 1
	return p
}
