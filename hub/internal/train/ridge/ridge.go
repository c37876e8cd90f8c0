// Package ridge solves weighted least squares with a penalty on the weights, from sums over rows that can be added up.
//
// It knows numbers only; it must not know features, points or time. Each row has some inputs and lies in one slot, such as
// an hour of the week; every slot has a weight of its own. Slots make the normal equations large but nearly diagonal, so
// they are eliminated first (Schur's complement), and a thousand of them cost little more than none.
//
// Penalties are counted in rows: one of 100 pulls a weight to zero as if 100 more rows of the usual size had said nothing.
package ridge

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// ErrSingular says that the inputs and penalties given do not settle the weights.
var ErrSingular = errors.New("normal equations have no single solution")

// block is how many rows are taken together, so that the sums stay in the cache.
const block = 64

// Sums holds the normal equations of some rows.
type Sums struct {
	inputs, slots int
	xx            []float64 // inputs × inputs, upper triangle: sums of weight · x · x
	xs            []float64 // slots × inputs: sums of weight · x
	xy            []float64
	ss, sy        []float64 // by slot: sums of weight, and of weight · y
	rows          int
	weight        float64
	pending       []float64 // up to block rows, each times the root of its weight
	pendingRows   int
}

// New returns empty sums for rows of so many inputs that lie in so many slots.
func New(inputs, slots int) *Sums {
	return &Sums{
		inputs: inputs, slots: slots,
		xx: make([]float64, inputs*inputs), xs: make([]float64, slots*inputs), xy: make([]float64, inputs),
		ss: make([]float64, slots), sy: make([]float64, slots), pending: make([]float64, block*inputs),
	}
}

// Rows returns how many rows were added.
func (s *Sums) Rows() int { return s.rows }

// Add adds a row that counts as much as the square of root says.
func (s *Sums) Add(x []float64, slot int, y, root float64) {
	at := s.pending[s.pendingRows*s.inputs:][:s.inputs]
	weight := root * root
	xs := s.xs[slot*s.inputs:][:s.inputs]
	for i, v := range x[:s.inputs] {
		at[i] = root * v
		w := weight * v
		xs[i] += w
		s.xy[i] += w * y
	}
	s.ss[slot] += weight
	s.sy[slot] += weight * y
	s.weight += weight
	s.rows++
	if s.pendingRows++; s.pendingRows == block {
		s.flush()
	}
}

// flush adds the pending rows to xx.
func (s *Sums) flush() {
	if s.pendingRows == 0 || s.inputs == 0 {
		s.pendingRows = 0
		return
	}
	k := s.inputs
	blas64.Syrk(blas.Trans, 1, blas64.General{Rows: s.pendingRows, Cols: k, Stride: k, Data: s.pending},
		1, blas64.Symmetric{N: k, Stride: k, Data: s.xx, Uplo: blas.Upper})
	s.pendingRows = 0
}

// Merge adds the rows of o, which must have the same shape.
func (s *Sums) Merge(o *Sums) {
	o.flush()
	for _, p := range [][2][]float64{{s.xx, o.xx}, {s.xs, o.xs}, {s.xy, o.xy}, {s.ss, o.ss}, {s.sy, o.sy}} {
		for i, v := range p[1] {
			p[0][i] += v
		}
	}
	s.rows += o.rows
	s.weight += o.weight
}

// Reduced is the normal equations without the slots.
type Reduced struct {
	s    *Sums
	a    *mat.SymDense
	b    []float64
	slot float64 // penalty of slots, in units of weight
	unit float64 // weight of a usual row
}

// Reduce eliminates the slots, each pulled to zero by a penalty counted in rows.
func (s *Sums) Reduce(slotPenalty float64) (*Reduced, error) {
	s.flush()
	if s.rows == 0 {
		return nil, fmt.Errorf("%w: no rows", ErrSingular)
	}
	k := s.inputs
	r := &Reduced{s: s, b: append([]float64(nil), s.xy...), unit: s.weight / float64(s.rows)}
	r.slot = slotPenalty * r.unit
	if !(r.slot > 0) {
		return nil, fmt.Errorf("penalty of slots %g: want a number above 0", slotPenalty)
	}
	a := append([]float64(nil), s.xx...)
	for slot, n := range s.ss {
		if n == 0 {
			continue
		}
		x := s.xs[slot*k:][:k]
		if k > 0 {
			blas64.Syr(-1/(n+r.slot), blas64.Vector{N: k, Inc: 1, Data: x}, blas64.Symmetric{N: k, Stride: k, Data: a, Uplo: blas.Upper})
		}
		f := s.sy[slot] / (n + r.slot)
		for i, v := range x {
			r.b[i] -= f * v
		}
	}
	if k > 0 {
		r.a = mat.NewSymDense(k, a)
	}
	return r, nil
}

// Solve returns the weights of the inputs and of the slots. Each input is pulled to zero by its penalty, counted in rows.
func (r *Reduced) Solve(penalty []float64) (inputs, slots []float64, err error) {
	k := r.s.inputs
	inputs = make([]float64, k)
	if k > 0 {
		a := mat.NewSymDense(k, nil)
		a.CopySym(r.a)
		for i := range k {
			a.SetSym(i, i, a.At(i, i)+penalty[i]*r.unit)
		}
		var c mat.Cholesky
		if !c.Factorize(a) {
			return nil, nil, ErrSingular
		}
		if err := c.SolveVecTo(mat.NewVecDense(k, inputs), mat.NewVecDense(k, r.b)); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrSingular, err)
		}
	}
	return inputs, r.s.slotsFor(inputs, r.slot), nil
}

// slotsFor returns the weights of slots beside given weights of the inputs.
func (s *Sums) slotsFor(inputs []float64, penalty float64) []float64 {
	out := make([]float64, s.slots)
	for slot, n := range s.ss {
		if n == 0 {
			continue
		}
		v := s.sy[slot]
		for i, x := range s.xs[slot*s.inputs:][:s.inputs] {
			v -= x * inputs[i]
		}
		out[slot] = v / (n + penalty)
	}
	return out
}

// Deviate returns how the weights of these rows' inputs differ from given ones, of the inputs and of the slots, pulled to
// no difference by a penalty counted in rows: how a group departs from all.
func (s *Sums) Deviate(inputs, slots []float64, penalty float64) ([]float64, error) {
	s.flush()
	k := s.inputs
	out := make([]float64, k)
	if s.rows == 0 || k == 0 {
		return out, nil
	}
	a := mat.NewSymDense(k, append([]float64(nil), s.xx...))
	b := mat.NewVecDense(k, append([]float64(nil), s.xy...))
	var full mat.VecDense
	full.MulVec(a, mat.NewVecDense(k, inputs))
	b.SubVec(b, &full)
	for slot, n := range s.ss {
		if n == 0 {
			continue
		}
		for i, x := range s.xs[slot*k:][:k] {
			b.SetVec(i, b.AtVec(i)-slots[slot]*x)
		}
	}
	unit := penalty * s.weight / float64(s.rows)
	for i := range k {
		a.SetSym(i, i, a.At(i, i)+unit)
	}
	var c mat.Cholesky
	if !c.Factorize(a) {
		return nil, ErrSingular
	}
	if err := c.SolveVecTo(mat.NewVecDense(k, out), b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSingular, err)
	}
	return out, nil
}
