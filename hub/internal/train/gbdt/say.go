package gbdt

import (
	"math"

	"fluxora.dev/shared/model"
)

// say returns what each leaf of the tree just grown says, a value for each level: the optimum of the loss over its rows,
// shrunk by L2 and the learning rate. The result is by node, then level.
func (f *fitting) say() []float32 {
	levels := len(f.aims)
	out := make([]float32, len(f.tree)*levels)
	if cap(f.left) < len(f.rows) {
		f.left = make([]float64, len(f.rows))
	}
	each(len(f.leaves), f.p.Threads, func(i int) {
		l := &f.leaves[i]
		for k, aim := range f.aims {
			out[l.node*levels+k] = float32(f.p.LearningRate * f.optimum(l, aim, f.at[k]))
		}
	})
	if f.p.objective().loss != Squared || levels > 1 {
		for k := range f.aims {
			f.restrain(out[k:], levels)
		}
	}
	return out
}

// optimum returns the best correction of the rows of a leaf.
func (f *fitting) optimum(l *leaf, aim objective, at []float64) float64 {
	rows := f.rows[l.from:l.to]
	shrink := float64(len(rows)) / (float64(len(rows)) + f.p.L2)
	switch aim.loss {
	case Absolute, Quantile:
		left := f.left[l.from:l.to]
		for i, r := range rows {
			left[i] = f.target[r] - at[r]
		}
		return shrink * quantile(left, aim.level)
	case Tweedie: // the deviance of Σ y·e^(1-p)(F+v)/(1-p) and e^(2-p)(F+v)/(2-p) is least where e^v is the ratio of the sums
		is, said := 0.0, 0.0
		for _, r := range rows {
			is += f.target[r] * math.Exp((1-aim.power)*at[r])
			said += math.Exp((2 - aim.power) * at[r])
		}
		return shrink * max(-4, min(4, math.Log(max(is, 1e-300)/said))) // a leaf of zeros has none
	}
	j := newJudge(&f.p, f.packing, l.all, l.bounds)
	return j.value(j.total, float64(j.n)) / f.packing.scale
}

// restrain changes what leaves say, every levels-th of values by node, so that monotone features stay so: below a split of
// one, no leaf of one side passes the middle between what both sides say on average.
func (f *fitting) restrain(values []float32, levels int) {
	any := false
	for _, c := range f.b.columns {
		any = any || c.Monotone != 0
	}
	if !any {
		return
	}
	n, mean := make([]float64, len(f.tree)), make([]float64, len(f.tree))
	for i := range f.leaves {
		l := &f.leaves[i]
		n[l.node], mean[l.node] = float64(l.to-l.from), float64(values[l.node*levels])
	}
	for i := len(f.tree) - 1; i >= 0; i-- {
		if t := f.tree[i]; t.Feature != model.Leaf {
			a, b := int(t.Left), int(t.Left)+1
			n[i] = n[a] + n[b]
			mean[i] = (n[a]*mean[a] + n[b]*mean[b]) / n[i]
		}
	}
	lo, hi := make([]float32, len(f.tree)), make([]float32, len(f.tree))
	lo[0], hi[0] = -math.MaxFloat32, math.MaxFloat32
	for i, t := range f.tree {
		if t.Feature == model.Leaf {
			values[i*levels] = min(max(values[i*levels], lo[i]), hi[i])
			continue
		}
		a, b := int(t.Left), int(t.Left)+1
		lo[a], hi[a], lo[b], hi[b] = lo[i], hi[i], lo[i], hi[i]
		mid := min(max(float32((mean[a]+mean[b])/2), lo[i]), hi[i])
		switch f.b.columns[f.splits[i].feature].Monotone {
		case 1:
			hi[a], lo[b] = mid, mid
		case -1:
			lo[a], hi[b] = mid, mid
		}
	}
}

// step adds what the tree says to the predictions of all rows and returns it leaf by leaf, in the order of the nodes. It first
// notes each row's leaf, two bytes a row, and then goes through the predictions in order: in the order of the leaves, each of
// them would come from memory once for every leaf.
func (f *fitting) step(values []float32) []float32 {
	levels := len(f.aims)
	out, number := make([]float32, 0, len(f.leaves)*levels), make([]uint16, len(f.tree))
	for i, n := range f.tree {
		if n.Feature == model.Leaf {
			number[i] = uint16(len(out) / levels)
			out = append(out, values[i*levels:(i+1)*levels]...)
		}
	}
	note := func(node int, rows []int32) {
		for _, r := range rows {
			f.leafOf[r] = number[node]
		}
	}
	each(len(f.leaves), f.p.Threads, func(i int) { note(f.leaves[i].node, f.rows[f.leaves[i].from:f.leaves[i].to]) })
	f.settle(0, f.others, note)
	for k, at := range f.at {
		var says [4096]float64
		for i := range len(out) / levels {
			says[i] = float64(out[i*levels+k])
		}
		for _, rows := range [][]int32{f.fit, f.held} {
			f.chunks(len(rows), func(from, to int) {
				for _, r := range rows[from:to] {
					at[r] += says[f.leafOf[r]&4095]
				}
			})
		}
	}
	return out
}

// settle parts rows that the tree has not seen down to its leaves.
func (g *grower) settle(node int, rows []int32, add func(node int, rows []int32)) {
	if len(rows) == 0 {
		return
	}
	if cap(g.spare) < len(rows) {
		g.spare = make([]int32, len(rows))
	}
	n := g.tree[node]
	if n.Feature == model.Leaf {
		add(node, rows)
		return
	}
	left := g.part(rows, &g.splits[node])
	g.settle(int(n.Left), rows[:left], add)
	g.settle(int(n.Left)+1, rows[left:], add)
}
