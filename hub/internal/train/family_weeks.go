package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"

	"fluxora.dev/shared/model"
)

// weeksHours is how many hours before the origin family weeks reads: two weeks.
const weeksHours = 336

// stretches are the hours that its lines read. A point's history decides which serves it: one installed a week ago is
// forecast by weights that are meant for a week, learnt from all points' whole histories.
var stretches = []int{weeksHours, 168, 72, 24}

const (
	weeksRounds  = 2    // of reweighting towards least absolute error
	leastNaive   = 0.01 // roots by which a point differs from a season before, at least: its unit
	leastOff     = 0.05 // an error smaller than this share of the unit weighs no more
	leastWindows = 30   // to choose a penalty by
	weeksBlock   = 512  // windows taken together
)

// weeksPenalties are shares of the mean square of the inputs. All weights are pulled towards repeating the season before.
var weeksPenalties = []float64{1e-4, 1e-3, 1e-2, 0.1, 1, 10}

// weeksLine is one line while it is fitted.
type weeksLine struct {
	w            *windows
	perHour      int
	hours, steps int
	naive        []int     // by step: the input that it repeats when nothing is learnt
	unit         []float64 // by point: how far its targets stray from that
	weights      []float32 // steps × (hours + 1), what is learnt beyond repeating
}

// read fills x with the inputs of a window, and y with what its targets leave of the season before, NaN where there is none.
func (l *weeksLine) read(i int32, x, y []float32) {
	past := l.w.pastOf(i)
	s := model.ReadPast(past[len(past)-l.hours:], x)
	roots(l.w.targetOf(i), s, y)
	for k := range y {
		y[k] -= x[l.naive[k]]
	}
}

// newWeeksLine returns a line that repeats the season before.
func newWeeksLine(w *windows, hours, perHour, points int, rows []int32) *weeksLine {
	l := &weeksLine{w: w, perHour: perHour, hours: hours, steps: w.steps, unit: make([]float64, points)}
	for k := range l.steps {
		season := 24
		if hours >= 168 {
			season = 168
		}
		l.naive = append(l.naive, hours-season+k/perHour%season)
	}
	l.weights = make([]float32, l.steps*(hours+1))
	x, y := make([]float32, hours+1), make([]float32, l.steps)
	n := make([]float64, points)
	for _, i := range rows {
		l.read(i, x, y)
		if e, known := meanSize(y); known > 0 {
			l.unit[w.point[i]] += e
			n[w.point[i]]++
		}
	}
	for i := range l.unit {
		l.unit[i] = max(leastNaive, l.unit[i]/max(1, n[i]))
	}
	return l
}

// meanSize returns the mean absolute value of what is known.
func meanSize(y []float32) (mean float64, known int) {
	for _, v := range y {
		if v == v {
			mean += math.Abs(float64(v))
			known++
		}
	}
	return mean / float64(max(1, known)), known
}

// said fills out with what the line says of inputs, beyond repeating.
func (l *weeksLine) said(x, out []float32) {
	blas32.Gemv(blas.NoTrans, 1, blas32.General{Rows: l.steps, Cols: l.hours + 1, Stride: l.hours + 1, Data: l.weights},
		blas32.Vector{N: l.hours + 1, Inc: 1, Data: x}, 0, blas32.Vector{N: l.steps, Inc: 1, Data: out})
}

// normal holds normal equations, which all steps share: those of a window have one past.
type normal struct {
	k, steps int
	xx, xy   []float64 // k × k and k × steps
}

// sums adds up some windows, each weighed by its point's unit and by one over how far the line is from it. A target that is not
// known counts as what the line says of it.
func (l *weeksLine) sums(ctx context.Context, rows []int32) (*normal, error) {
	k := l.hours + 1
	n := &normal{k: k, steps: l.steps, xx: make([]float64, k*k), xy: make([]float64, k*l.steps)}
	x, y := make([]float32, weeksBlock*k), make([]float32, weeksBlock*l.steps)
	xx, xy := make([]float32, k*k), make([]float32, k*l.steps)
	say, off := make([]float32, l.steps), make([]float32, l.steps)
	for at := 0; at < len(rows); at += weeksBlock {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		in := rows[at:min(at+weeksBlock, len(rows))]
		for j, i := range in {
			xj, yj := x[j*k:(j+1)*k], y[j*l.steps:(j+1)*l.steps]
			l.read(i, xj, yj)
			l.said(xj, say)
			for s, v := range yj {
				off[s] = v - say[s]
				if v != v {
					yj[s] = say[s]
				}
			}
			unit := l.unit[l.w.point[i]]
			e, _ := meanSize(off)
			root := float32(1 / unit / math.Sqrt(max(leastOff, e/unit)))
			blas32.Scal(root, blas32.Vector{N: k, Inc: 1, Data: xj})
			blas32.Scal(root, blas32.Vector{N: l.steps, Inc: 1, Data: yj})
		}
		left := blas32.General{Rows: len(in), Cols: k, Stride: k, Data: x}
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, left, left, 0, blas32.General{Rows: k, Cols: k, Stride: k, Data: xx})
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, left, blas32.General{Rows: len(in), Cols: l.steps, Stride: l.steps, Data: y}, 0,
			blas32.General{Rows: k, Cols: l.steps, Stride: l.steps, Data: xy})
		for i, v := range xx {
			n.xx[i] += float64(v)
		}
		for i, v := range xy {
			n.xy[i] += float64(v)
		}
	}
	return n, nil
}

// solve sets the weights from normal equations and a penalty, a share of the mean square of the inputs.
func (l *weeksLine) solve(n *normal, penalty float64) error {
	a := mat.NewSymDense(n.k, nil)
	trace := 0.0
	for i := range n.k {
		trace += n.xx[i*n.k+i]
		for j := i; j < n.k; j++ {
			a.SetSym(i, j, n.xx[i*n.k+j])
		}
	}
	for i := range n.k {
		a.SetSym(i, i, a.At(i, i)+penalty*trace/float64(n.k)+1e-9)
	}
	var c mat.Cholesky
	var w mat.Dense
	if !c.Factorize(a) {
		return fmt.Errorf("%w: normal equations of %d hours have no single solution", ErrTooLittle, l.hours)
	}
	if err := c.SolveTo(&w, mat.NewDense(n.k, n.steps, n.xy)); err != nil {
		return fmt.Errorf("normal equations of %d hours: %w", l.hours, err)
	}
	for s := range n.steps {
		for i := range n.k {
			l.weights[s*n.k+i] = float32(w.At(i, s))
		}
	}
	return nil
}

// loss returns the mean absolute error over some windows in their points' units.
func (l *weeksLine) loss(rows []int32) float64 {
	x, y, say := make([]float32, l.hours+1), make([]float32, l.steps), make([]float32, l.steps)
	sum := 0.0
	for _, i := range rows {
		l.read(i, x, y)
		l.said(x, say)
		for s := range y {
			y[s] -= say[s]
		}
		e, _ := meanSize(y)
		sum += e / l.unit[l.w.point[i]]
	}
	return sum / float64(max(1, len(rows)))
}

// line returns the line as models have it.
func (l *weeksLine) line() model.PastLine {
	out := model.PastLine{Hours: l.hours, Steps: l.steps, Weights: slices.Clone(l.weights)}
	for s := range l.steps {
		out.Weights[s*(l.hours+1)+l.naive[s]]++
	}
	return out
}

// fitWeeksLine fits a line to the earlier windows with the penalty that errs least on those held out, and once more to all.
func fitWeeksLine(ctx context.Context, l *weeksLine, fit, held []int32) (early, final model.PastLine, err error) {
	penalty := 0.01
	for range weeksRounds {
		n, err := l.sums(ctx, fit)
		if err != nil {
			return early, final, err
		}
		best := math.Inf(1)
		for _, p := range weeksPenalties {
			if len(held) < leastWindows {
				break
			}
			if err := l.solve(n, p); err != nil {
				return early, final, err
			}
			if loss := l.loss(held); loss < best {
				best, penalty = loss, p
			}
		}
		if err := l.solve(n, penalty); err != nil {
			return early, final, err
		}
	}
	early = l.line()
	n, err := l.sums(ctx, slices.Concat(fit, held))
	if err != nil {
		return early, final, err
	}
	err = l.solve(n, penalty)
	return early, l.line(), err
}

// fitWeeks fits a line for each stretch of hours, and calibrates quantiles on what the lines of the earlier windows leave of
// the held-out rows.
func fitWeeks(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	past := pastColumns(p.Spec)
	if len(past) < weeksHours {
		return nil, fmt.Errorf("feature spec: %d of the features \"past 1\", \"past 2\" …: want %d", len(past), weeksHours)
	}
	past = past[len(past)-weeksHours:]
	tell.tell("windows", 0.05)
	w := t.windowsOf(p)
	fit, held := w.part(t)
	perHour := int(time.Hour / t.resolution)
	var early, final []model.PastLine
	for i, hours := range stretches {
		tell.tell(fmt.Sprintf("line of %d hours", hours), 0.1+0.7*float64(i)/float64(len(stretches)))
		before, after := w.filled(fit, hours), w.filled(held, hours)
		if len(before) == 0 {
			continue
		}
		l := newWeeksLine(w, hours, perHour, len(t.names), slices.Concat(before, after))
		e, f, err := fitWeeksLine(ctx, l, before, after)
		if err != nil {
			return nil, err
		}
		early, final = append(early, e), append(final, f)
	}
	if len(final) == 0 {
		return nil, fmt.Errorf("%w: no day of history before an origin with %s after it", ErrTooLittle, p.Horizon)
	}
	tell.tell("spread", 0.85)
	plain := model.Scatter{Bands: bands(p)}
	for range plain.Bands.Count() * len(p.Levels) {
		plain.Z = append(plain.Z, 0)
	}
	m, err := model.NewWeeks(t.width, plain, past, perHour, early)
	if err != nil {
		return nil, err
	}
	left := leftByModel(t, m)
	s := scatter(t, p, left)
	r.judge(heldErrors(t, left))
	return model.NewWeeks(t.width, s, past, perHour, final)
}

// leftByModel returns what the middle level of a model leaves of every target.
func leftByModel(t *table, m model.Model) []float64 {
	n := len(m.Levels())
	middle := model.Middle(m.Levels())
	said, out := make([]float64, t.len()*n), make([]float64, t.len())
	m.Predict(t.rows, t.len(), said)
	for i := range out {
		out[i] = t.target[i] - said[i*n+middle]
	}
	return out
}
