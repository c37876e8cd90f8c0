package gbdt

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"fluxora.dev/shared/model"
)

// Result says how a fit went.
type Result struct {
	Trees int     // kept
	Loss  float64 // mean absolute error on the held-out rows; NaN without any
}

// Fit fits an ensemble to the targets (one for each row of b) of the rows in fit. When held holds rows, fitting stops once
// their mean absolute error no longer falls, and the trees after the best are dropped. ctx ends a fit between trees.
func (b *Binned) Fit(ctx context.Context, target []float64, fit, held []int32, p Params) (model.Ensemble, Result, error) {
	if err := p.Check(); err != nil {
		return model.Ensemble{}, Result{}, fmt.Errorf("fit trees: %w", err)
	}
	if len(target) != b.n || len(fit) == 0 {
		return model.Ensemble{}, Result{}, fmt.Errorf("fit trees: %d targets for %d rows, %d of them to learn from", len(target), b.n, len(fit))
	}
	sum := 0.0
	for _, r := range fit {
		sum += target[r]
	}
	e := model.Ensemble{Base: sum / float64(len(fit))}
	res := Result{Loss: math.NaN()}
	residual := make([]float64, b.n)
	for r := range residual {
		residual[r] = target[r] - e.Base
	}
	rng := rand.New(rand.NewPCG(p.Seed, 0x666c75786f7261))
	g := newGrower(b, p)
	sample := make([]int32, 0, len(fit))
	best := loss(residual, held)
	for t := 0; t < p.Trees; t++ {
		if err := ctx.Err(); err != nil {
			return model.Ensemble{}, res, context.Cause(ctx)
		}
		sample = sample[:0]
		for _, r := range fit {
			if p.RowShare >= 1 || rng.Float64() < p.RowShare {
				sample = append(sample, r)
			}
		}
		if len(sample) == 0 {
			continue
		}
		tree, nodes := g.grow(sample, residual, pick(rng, len(b.columns), p.FeatureShare))
		e.Trees = append(e.Trees, tree)
		b.apply(nodes, fit, residual)
		b.apply(nodes, held, residual)
		if len(held) > 0 {
			if l := loss(residual, held); l < best {
				best, res.Trees = l, len(e.Trees)
			} else if p.Patience > 0 && len(e.Trees)-res.Trees >= p.Patience {
				break
			}
		}
		if len(tree) == 1 && p.RowShare >= 1 && p.FeatureShare >= 1 {
			break // nothing is left to learn
		}
	}
	if len(held) > 0 {
		e.Trees = e.Trees[:res.Trees]
		res.Loss = best
	}
	res.Trees = len(e.Trees)
	return e, res, nil
}

// pick returns the features that a tree may use, ascending.
func pick(rng *rand.Rand, n int, share float64) []int {
	k := max(1, int(math.Round(share*float64(n))))
	all := rng.Perm(n)[:k]
	in := make([]bool, n)
	for _, f := range all {
		in[f] = true
	}
	out := all[:0]
	for f := range n {
		if in[f] {
			out = append(out, f)
		}
	}
	return out
}

// loss returns the mean absolute residual of some rows.
func loss(residual []float64, rows []int32) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += math.Abs(residual[r])
	}
	return sum / float64(max(1, len(rows)))
}

// apply takes a tree's values off the residuals of some rows.
func (b *Binned) apply(nodes []node, rows []int32, residual []float64) {
	for _, r := range rows {
		n := &nodes[0]
		for n.column != nil {
			v := n.column[r]
			if v <= n.bin && v != missingBin || v == missingBin && n.missingLeft {
				n = &nodes[n.left]
			} else {
				n = &nodes[n.left+1]
			}
		}
		residual[r] -= float64(n.value)
	}
}
