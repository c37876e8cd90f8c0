package gbdt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/model"
)

// Result says how a fit went.
type Result struct {
	Trees  int       // kept
	Loss   float64   // mean loss on the held-out rows, with squared loss the mean absolute error; NaN without any
	Gain   []float64 // by feature: by how much its splits lessened the squared error of the gradients
	Splits []int     // by feature: how many there are
}

// Fit fits an ensemble to the targets (one for each row of b) of the rows in fit. When held holds rows, fitting stops once
// their loss no longer falls, and the trees after the best are dropped. ctx ends a fit between trees.
func (b *Binned) Fit(ctx context.Context, target []float64, fit, held []int32, p Params) (model.Ensemble, Result, error) {
	f, err := b.begin(target, fit, held, p, []objective{p.objective()})
	if err != nil {
		return model.Ensemble{}, Result{}, err
	}
	return f.ensemble(ctx, model.Ensemble{Base: p.objective().start(target, fit)})
}

// Continue fits further trees to what an earlier ensemble leaves of the targets, and returns all of them; p.Trees bounds the
// new ones. The earlier one must be of the same features and, for Tweedie's loss, of that loss; rows are those that b was
// made of.
func (b *Binned) Continue(ctx context.Context, earlier model.Ensemble, rows []float32, target []float64, fit, held []int32, p Params) (model.Ensemble, Result, error) {
	f, err := b.begin(target, fit, held, p, []objective{p.objective()})
	if err != nil {
		return model.Ensemble{}, Result{}, err
	}
	features := len(b.columns)
	switch err := earlier.Check(features); {
	case err != nil:
		return model.Ensemble{}, Result{}, fmt.Errorf("continue an ensemble: %w", err)
	case len(rows) != b.n*features:
		return model.Ensemble{}, Result{}, fmt.Errorf("continue an ensemble: %d values for %d rows of %d features", len(rows), b.n, features)
	case earlier.Log != (p.Loss == Tweedie):
		return model.Ensemble{}, Result{}, errors.New("continue an ensemble: Tweedie's loss is on a logarithmic scale, the others are not: want an earlier ensemble of the same kind")
	}
	linear := earlier
	linear.Log = false
	linear.Sum(rows, features, f.at[0])
	return f.ensemble(ctx, earlier)
}

// FitLevels fits one ensemble with a value for each quantile level in every leaf. The trees' structure follows the levels in
// turn; in each leaf every level moves to its own quantile of what is left there. Levels that cross in a row all the same
// change places when predicted, which never makes a forecast worse (Chernozhukov, Fernández-Val and Galichon, Quantile and
// probability curves without crossing, 2010). p.Loss and p.Level do not matter.
func (b *Binned) FitLevels(ctx context.Context, target []float64, fit, held []int32, levels []float64, p Params) (model.LevelTrees, Result, error) {
	if err := forecast.CheckLevels(levels); err != nil {
		return model.LevelTrees{}, Result{}, fmt.Errorf("fit trees: %w", err)
	}
	aims := make([]objective, len(levels))
	for i, l := range levels {
		aims[i] = objective{loss: Quantile, level: l}
	}
	f, err := b.begin(target, fit, held, p, aims)
	if err != nil {
		return model.LevelTrees{}, Result{}, err
	}
	out := model.LevelTrees{Bases: make([]float64, len(levels))}
	for l, aim := range aims {
		out.Bases[l] = aim.start(target, fit)
	}
	slices.Sort(out.Bases) // a mean in place of a tied quantile may lie above the next
	for l := range aims {
		fill(f.at[l], out.Bases[l])
	}
	trees, res, err := f.run(ctx)
	if err != nil {
		return model.LevelTrees{}, res, err
	}
	for _, t := range trees {
		t.number(len(out.Sets))
		out.Trees, out.Values, out.Sets = append(out.Trees, t.tree), append(out.Values, t.values), append(out.Sets, t.sets...)
	}
	return out, res, nil
}

// fitting is one fit under way.
type fitting struct {
	*grower
	rng       *rand.Rand
	aims      []objective // one for each level
	target    []float64
	fit, held []int32
	at        [][]float64 // predicted so far, by level and row
	left      []float64   // of rows in the leaves, for their quantiles
	others    []int32     // rows that a tree has not seen
	leafOf    []uint16    // by row
}

// grown is a tree with what its leaves say: a value for each level, leaf by leaf in the order of the nodes.
type grown struct {
	tree   model.Tree
	values []float32
	sets   []model.Set
}

// number lets the tree's sets follow so many others.
func (t *grown) number(others int) {
	for i := range t.tree {
		if n := &t.tree[i]; n.InSet() {
			n.Value += float32(others)
		}
	}
}

// begin checks what a fit is given.
func (b *Binned) begin(target []float64, fit, held []int32, p Params, aims []objective) (*fitting, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("fit trees: %w", err)
	}
	if len(target) != b.n || len(fit) == 0 {
		return nil, fmt.Errorf("fit trees: %d targets for %d rows, %d of them to learn from", len(target), b.n, len(fit))
	}
	if len(b.columns) > model.MaxTreeFeatures {
		return nil, fmt.Errorf("fit trees: %d features: want at most %d", len(b.columns), model.MaxTreeFeatures)
	}
	seen := make([]bool, b.n)
	for _, rows := range [][]int32{fit, held} {
		for _, r := range rows {
			if r < 0 || int(r) >= b.n || seen[r] {
				return nil, fmt.Errorf("fit trees: row %d of %d: want each row once, to learn from or held out", r, b.n)
			}
			seen[r] = true
		}
	}
	if err := aims[0].check(target, fit); err != nil {
		return nil, fmt.Errorf("fit trees: %w", err)
	}
	f := &fitting{
		grower: newGrower(b, p), rng: rand.New(rand.NewPCG(p.Seed, 0x666c75786f7261)),
		aims: aims, target: target, fit: fit, held: held, at: make([][]float64, len(aims)), leafOf: make([]uint16, b.n),
	}
	for l := range f.at {
		f.at[l] = make([]float64, b.n)
	}
	return f, nil
}

// ensemble runs a fit of one level on top of an ensemble, whose sums are in f.at unless it has no trees.
func (f *fitting) ensemble(ctx context.Context, e model.Ensemble) (model.Ensemble, Result, error) {
	if len(e.Trees) == 0 {
		fill(f.at[0], e.Base)
	}
	e.Log = f.p.Loss == Tweedie
	trees, res, err := f.run(ctx)
	if err != nil {
		return model.Ensemble{}, res, err
	}
	e.Trees, e.Sets = slices.Clip(e.Trees), slices.Clip(e.Sets)
	for _, t := range trees {
		t.number(len(e.Sets))
		leaf := 0
		for i := range t.tree {
			if n := &t.tree[i]; n.Feature == model.Leaf {
				n.Value = t.values[leaf]
				leaf++
			}
		}
		e.Trees, e.Sets = append(e.Trees, t.tree), append(e.Sets, t.sets...)
	}
	return e, res, nil
}

// run grows tree after tree.
func (f *fitting) run(ctx context.Context) ([]grown, Result, error) {
	var trees []grown
	p, kept, barren := f.p, 0, 0
	res := Result{Loss: math.NaN()}
	best := f.heldLoss()
	sample := make([]int32, 0, len(f.fit))
	for t := range p.Trees {
		if ctx.Err() != nil {
			return nil, res, context.Cause(ctx)
		}
		sample, f.others = f.draw(sample[:0], f.others[:0])
		if len(sample) == 0 {
			continue
		}
		aim := t % len(f.aims)
		f.pack(sample, f.aims[aim], f.at[aim])
		f.grow(sample, f.pick())
		values := f.say()
		trees = append(trees, grown{tree: f.tree, values: f.step(values), sets: slices.Clone(f.sets)})
		if len(f.held) > 0 {
			if l := f.heldLoss(); l < best {
				best, kept = l, len(trees)
				res.Gain, res.Splits = slices.Clone(f.gains), slices.Clone(f.used)
			} else if p.Patience > 0 && len(trees)-kept >= p.Patience {
				break
			}
		}
		if barren++; len(f.tree) > 1 {
			barren = 0
		}
		if barren == len(f.aims) && p.RowShare >= 1 && p.FeatureShare >= 1 {
			break // nothing is left to learn
		}
	}
	if len(f.held) > 0 {
		trees, res.Loss = trees[:kept], best
	} else {
		res.Gain, res.Splits = f.gains, f.used
	}
	if res.Gain == nil {
		res.Gain, res.Splits = make([]float64, len(f.gains)), make([]int, len(f.used))
	}
	res.Trees = len(trees)
	return trees, res, nil
}

// draw parts the rows into those that a tree sees and the others, held-out ones included.
func (f *fitting) draw(sample, others []int32) (in, out []int32) {
	if f.p.RowShare >= 1 {
		return append(sample, f.fit...), append(others, f.held...)
	}
	for _, r := range f.fit {
		if f.rng.Float64() < f.p.RowShare {
			sample = append(sample, r)
		} else {
			others = append(others, r)
		}
	}
	return sample, append(others, f.held...)
}

// pick returns the features that a tree may use, ascending.
func (f *fitting) pick() []int {
	n := len(f.b.columns)
	out := f.rng.Perm(n)[:max(1, int(math.Round(f.p.FeatureShare*float64(n))))]
	slices.Sort(out)
	return out
}

// chunk is how many rows are worth a job of their own.
const chunk = 8192

// chunks calls do for stretches of some rows, shared out over threads.
func (f *fitting) chunks(n int, do func(from, to int)) {
	each((n+chunk-1)/chunk, f.p.Threads, func(c int) { do(c*chunk, min(n, (c+1)*chunk)) })
}

// pack puts the gradients of some rows into their cells.
func (f *fitting) pack(rows []int32, aim objective, at []float64) {
	most := make([]float64, (len(rows)+chunk-1)/chunk)
	f.chunks(len(rows), func(from, to int) {
		m := 0.0
		if aim.loss == Squared && aim.clip == 0 {
			for _, r := range rows[from:to] {
				s := f.target[r] - at[r]
				f.cells[r] = math.Float64bits(s)
				m = max(m, math.Abs(s))
			}
		} else {
			for _, r := range rows[from:to] {
				s := aim.slope(f.target[r], at[r])
				f.cells[r] = math.Float64bits(s)
				m = max(m, math.Abs(s))
			}
		}
		most[from/chunk] = m
	})
	f.packing = newPacking(len(rows), slices.Max(most))
	f.chunks(len(rows), func(from, to int) {
		k := f.packing
		for _, r := range rows[from:to] {
			f.cells[r] = k.pack(math.Float64frombits(f.cells[r]))
		}
	})
}

// heldLoss returns the mean loss of the held-out rows over all levels.
func (f *fitting) heldLoss() float64 {
	sums := make([]float64, (len(f.held)+chunk-1)/chunk)
	f.chunks(len(f.held), func(from, to int) {
		sum := 0.0
		for l, aim := range f.aims {
			for _, r := range f.held[from:to] {
				sum += aim.of(f.target[r], f.at[l][r])
			}
		}
		sums[from/chunk] = sum
	})
	sum := 0.0
	for _, s := range sums {
		sum += s
	}
	return sum / float64(max(1, len(f.held)*len(f.aims)))
}

func fill(v []float64, with float64) {
	for i := range v {
		v[i] = with
	}
}
