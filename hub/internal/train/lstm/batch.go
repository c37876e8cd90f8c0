package lstm

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"fluxora.dev/shared/model"
)

// shard computes one part of a mini-batch: some groups of rows, their loss and its gradient. It keeps its buffers.
type shard struct {
	net     *model.Network
	levels  []float64
	unit    []float64 // -middle … : the fan's own steps
	grad    []float64
	loss    float64 // summed over the rows
	rows    int
	patch   []float32
	inputs  []float32
	codes   []int
	x       [][]float64 // by step: groups × patch+1
	gates   [][]float64 // by step: groups × 4·cells, after their functions
	state   [][]float64 // by step, the first all zero: groups × cells
	memory  [][]float64
	lifted  []float64 // groups × hidden: what the last state adds to the first hidden layer
	in      []float64 // rows × inputs
	code    []int     // rows × tables
	a, b    []float64 // rows × hidden: the hidden layers
	out     []float64 // rows × levels
	da, db  []float64
	dlift   []float64
	dstate  []float64
	dmemory []float64
	dgates  []float64
	keep    []float64 // rows × 2·hidden: 0 or 1/(1-dropout)
	scratch []float64
}

func newShard(net *model.Network, levels []float64) *shard {
	s := &shard{net: net, levels: levels, grad: make([]float64, net.Size(len(levels)))}
	middle := model.Middle(levels)
	for i := range levels {
		s.unit = append(s.unit, float64(i-middle))
	}
	s.patch = make([]float32, net.Patch+1)
	s.inputs = make([]float32, len(net.Inputs))
	s.codes = make([]int, len(net.Tables))
	steps := net.Steps()
	s.x, s.gates = make([][]float64, steps), make([][]float64, steps)
	s.state, s.memory = make([][]float64, steps+1), make([][]float64, steps+1)
	s.scratch = make([]float64, 2*len(levels))
	return s
}

// sized returns b with n zeros or leftovers, growing it when it is too small.
func sized(b *[]float64, n int) []float64 {
	if cap(*b) < n {
		*b = make([]float64, n)
	}
	*b = (*b)[:n]
	return *b
}

// product adds op(a)·op(b) to c, or sets it when beta is 0; c has m rows of n.
func product(ta, tb blas.Transpose, m, n, k int, a, b []float64, beta float64, c []float64) {
	if m == 0 || n == 0 || k == 0 {
		return
	}
	ra, ca, rb, cb := m, k, k, n
	if ta == blas.Trans {
		ra, ca = k, m
	}
	if tb == blas.Trans {
		rb, cb = n, k
	}
	blas64.Gemm(ta, tb, 1, blas64.General{Rows: ra, Cols: ca, Stride: ca, Data: a}, blas64.General{Rows: rb, Cols: cb, Stride: cb, Data: b},
		beta, blas64.General{Rows: m, Cols: n, Stride: n, Data: c})
}

// run computes the loss of some groups, and its gradient when learn is set. rng, when not nil, drops hidden units.
func (s *shard) run(d *Data, w model.Weights[float64], groups []group, learn bool, dropout float64, rng *rand.Rand) {
	s.loss, s.rows = 0, 0
	if learn {
		clear(s.grad)
	}
	if len(groups) == 0 {
		return
	}
	for _, g := range groups {
		s.rows += len(g)
	}
	s.encode(d, w, groups)
	s.decode(d, w, groups, dropout, rng)
	l, middle := len(s.levels), model.Middle(s.levels)
	at := 0
	for _, g := range groups {
		for _, i := range g {
			s.loss += losses(s.out[at*l:(at+1)*l], s.levels, s.unit, middle, d.Target[i], s.scratch)
			at++
		}
	}
	if learn {
		gw := model.Split(s.net, l, s.grad)
		s.decodeBack(w, gw, groups)
		s.encodeBack(w, gw, len(groups))
	}
}

// encode reads the past of each group.
func (s *shard) encode(d *Data, w model.Weights[float64], groups []group) {
	n, g, p, k := s.net, len(groups), s.net.Patch+1, s.net.Cells
	clear(sized(&s.state[0], g*k))
	clear(sized(&s.memory[0], g*k))
	for t := range n.Steps() {
		x, z := sized(&s.x[t], g*p), sized(&s.gates[t], g*4*k)
		for i, gr := range groups {
			n.ReadPatch(d.row(gr[0]), t, s.patch)
			for j, v := range s.patch {
				x[i*p+j] = float64(v)
			}
			copy(z[i*4*k:(i+1)*4*k], w.Gates)
		}
		product(blas.NoTrans, blas.Trans, g, 4*k, p, x, w.Read, 1, z)
		product(blas.NoTrans, blas.Trans, g, 4*k, k, s.state[t], w.Recur, 1, z)
		state, memory, before := sized(&s.state[t+1], g*k), sized(&s.memory[t+1], g*k), s.memory[t]
		for i := range g {
			q := z[i*4*k : (i+1)*4*k]
			for j := range k {
				q[j], q[k+j], q[2*k+j], q[3*k+j] = sigmoid(q[j]), sigmoid(q[k+j]), math.Tanh(q[2*k+j]), sigmoid(q[3*k+j])
				m := q[k+j]*before[i*k+j] + q[j]*q[2*k+j]
				memory[i*k+j] = m
				state[i*k+j] = q[3*k+j] * math.Tanh(m)
			}
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// decode computes the outputs of each row.
func (s *shard) decode(d *Data, w model.Weights[float64], groups []group, dropout float64, rng *rand.Rand) {
	n, g, k, h, f, l := s.net, len(groups), s.net.Cells, s.net.Hidden, len(s.net.Inputs), len(s.levels)
	lifted := sized(&s.lifted, g*h)
	for i := range g {
		copy(lifted[i*h:(i+1)*h], w.Bias)
	}
	product(blas.NoTrans, blas.Trans, g, h, k, s.state[n.Steps()], w.State, 1, lifted)
	in, a, b, out := sized(&s.in, s.rows*f), sized(&s.a, s.rows*h), sized(&s.b, s.rows*h), sized(&s.out, s.rows*l)
	s.code = s.code[:0]
	at := 0
	for i, gr := range groups {
		for _, r := range gr {
			row := d.row(r)
			n.ReadInputs(row, s.inputs)
			for j, v := range s.inputs {
				in[at*f+j] = float64(v)
			}
			first := a[at*h : (at+1)*h]
			copy(first, lifted[i*h:(i+1)*h])
			n.Codes(row, s.codes)
			s.code = append(s.code, s.codes...)
			for _, c := range s.codes {
				if c >= 0 {
					for j, v := range w.Table[c*h : (c+1)*h] {
						first[j] += v
					}
				}
			}
			copy(b[at*h:(at+1)*h], w.DeepBias)
			copy(out[at*l:(at+1)*l], w.HeadBias)
			at++
		}
	}
	product(blas.NoTrans, blas.Trans, s.rows, h, f, in, w.Input, 1, a)
	s.keep = s.keep[:0]
	if rng != nil && dropout > 0 {
		keep := sized(&s.keep, 2*s.rows*h)
		for i := range keep {
			keep[i] = 0
			if rng.Float64() >= dropout {
				keep[i] = 1 / (1 - dropout)
			}
		}
	}
	s.rectify(a, 0)
	product(blas.NoTrans, blas.Trans, s.rows, h, h, a, w.Deep, 1, b)
	s.rectify(b, 1)
	product(blas.NoTrans, blas.Trans, s.rows, l, h, b, w.Head, 1, out)
}

// rectify sets what is negative to zero, and what is dropped.
func (s *shard) rectify(x []float64, layer int) {
	for i, v := range x {
		if v < 0 {
			x[i] = 0
		}
	}
	if len(s.keep) > 0 {
		for i, k := range s.keep[layer*len(x) : (layer+1)*len(x)] {
			x[i] *= k
		}
	}
}

// unrectify takes slopes back through rectify: x is what it left.
func (s *shard) unrectify(slopes, x []float64, layer int) {
	for i, v := range x {
		if v <= 0 {
			slopes[i] = 0
		}
	}
	if len(s.keep) > 0 {
		for i, k := range s.keep[layer*len(x) : (layer+1)*len(x)] {
			slopes[i] *= k
		}
	}
}

// decodeBack takes the slopes in s.out back to the encoder's last state.
func (s *shard) decodeBack(w, gw model.Weights[float64], groups []group) {
	n, g, k, h, f, l := s.net, len(groups), s.net.Cells, s.net.Hidden, len(s.net.Inputs), len(s.levels)
	columns(s.out, l, gw.HeadBias)
	product(blas.Trans, blas.NoTrans, l, h, s.rows, s.out, s.b, 1, gw.Head)
	db := sized(&s.db, s.rows*h)
	product(blas.NoTrans, blas.NoTrans, s.rows, h, l, s.out, w.Head, 0, db)
	s.unrectify(db, s.b, 1)
	columns(db, h, gw.DeepBias)
	product(blas.Trans, blas.NoTrans, h, h, s.rows, db, s.a, 1, gw.Deep)
	da := sized(&s.da, s.rows*h)
	product(blas.NoTrans, blas.NoTrans, s.rows, h, h, db, w.Deep, 0, da)
	s.unrectify(da, s.a, 0)
	product(blas.Trans, blas.NoTrans, h, f, s.rows, da, s.in, 1, gw.Input)
	dlift := sized(&s.dlift, g*h)
	clear(dlift)
	at := 0
	for i, gr := range groups {
		for range gr {
			slopes := da[at*h : (at+1)*h]
			for _, c := range s.code[at*len(n.Tables) : (at+1)*len(n.Tables)] {
				if c >= 0 {
					add(gw.Table[c*h:(c+1)*h], slopes)
				}
			}
			add(dlift[i*h:(i+1)*h], slopes)
			at++
		}
	}
	columns(dlift, h, gw.Bias)
	product(blas.Trans, blas.NoTrans, h, k, g, dlift, s.state[n.Steps()], 1, gw.State)
	product(blas.NoTrans, blas.NoTrans, g, k, h, dlift, w.State, 0, sized(&s.dstate, g*k))
}

// encodeBack takes the slopes in s.dstate back through time.
func (s *shard) encodeBack(w, gw model.Weights[float64], g int) {
	n, p, k := s.net, s.net.Patch+1, s.net.Cells
	dmemory, dz := sized(&s.dmemory, g*k), sized(&s.dgates, g*4*k)
	clear(dmemory)
	for t := n.Steps() - 1; t >= 0; t-- {
		for i := range g {
			q, out := s.gates[t][i*4*k:(i+1)*4*k], dz[i*4*k:(i+1)*4*k]
			for j := range k {
				e := i*k + j
				in, forget, candidate, open := q[j], q[k+j], q[2*k+j], q[3*k+j]
				th := math.Tanh(s.memory[t+1][e])
				ds := s.dstate[e]
				dm := dmemory[e] + ds*open*(1-th*th)
				out[j] = dm * candidate * in * (1 - in)
				out[k+j] = dm * s.memory[t][e] * forget * (1 - forget)
				out[2*k+j] = dm * in * (1 - candidate*candidate)
				out[3*k+j] = ds * th * open * (1 - open)
				dmemory[e] = dm * forget
			}
		}
		columns(dz, 4*k, gw.Gates)
		product(blas.Trans, blas.NoTrans, 4*k, p, g, dz, s.x[t], 1, gw.Read)
		product(blas.Trans, blas.NoTrans, 4*k, k, g, dz, s.state[t], 1, gw.Recur)
		product(blas.NoTrans, blas.NoTrans, g, k, 4*k, dz, w.Recur, 0, s.dstate)
	}
}

// columns adds the sums of the columns of a matrix with rows of n to out.
func columns(matrix []float64, n int, out []float64) {
	for at := 0; at < len(matrix); at += n {
		add(out, matrix[at:at+n])
	}
}

// add adds x to y.
func add(y, x []float64) {
	for i, v := range x {
		y[i] += v
	}
}
