package train

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"fluxora.dev/hub/internal/train/ridge"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// AdditiveParams are the settings of an additive model. Penalties are counted in rows, as those of LinearParams are.
type AdditiveParams struct {
	Penalty    float64 // of the weights that all points share; 0: chosen on the held-out rows
	OwnPenalty float64 // of how a point departs from them, +Inf: it may not; 0: chosen on the held-out rows
	Knots      int     // times at which the trend of a point may bend; 0: one in each 60 days
}

// The penalties to choose from.
var (
	additivePenalties = []float64{0.3, 3, 30, 300, 3000}
	ownPenalties      = []float64{3, 10, 30, 100, 300, 1000, math.Inf(1)}
)

const (
	knotDays    = 60
	leastOwn    = 400  // rows from which a point may depart from all
	mostOwn     = 2000 // points, beyond which none may: an artifact must stay small
	slopeRidge  = 3    // times the penalty of other departures, for each bend of a point's trend
	mostBends   = 50
	leastShared = 1e-6
)

func (p AdditiveParams) check() error {
	if !(p.Penalty >= 0) || math.IsInf(p.Penalty, 1) || !(p.OwnPenalty >= 0) {
		return fmt.Errorf("additive: penalties %g and %g: want numbers ≥ 0", p.Penalty, p.OwnPenalty)
	}
	if p.Knots < 0 || p.Knots > mostBends {
		return fmt.Errorf("additive: %d knots: want 0 to %d", p.Knots, mostBends)
	}
	return nil
}

// additive is an additive model while it is fitted.
type additive struct {
	t       *table
	p       Params
	model   model.Additive // without points; its scatter comes last
	terms   int
	bands   model.Bands
	penalty []float64
}

func newAdditive(t *table, p Params, rows []int32) (*additive, error) {
	a := &additive{t: t, p: p, bands: bands(p)}
	c := calendarOf(p.Spec, t.resolution)
	base := columnsOf(p.Spec, append([]string{"similar mean 4"}, centreBase...))
	l := additiveTerms(t, p, c, base, rows)
	b := a.bands
	b.Z = make([]float64, b.Count()*len(p.Levels))
	a.model = model.Additive{
		Scatter: model.Scatter{Bands: b}, Calendar: c, Yearday: p.Spec.Column(yearday), Base: base,
		Inputs: l.inputs, Rounds: l.rounds, Terms: l.terms, Weights: make([]float64, b.Count()*len(l.terms)),
	}
	a.terms = len(l.terms)
	a.penalty = make([]float64, a.terms)
	trusted := columnsOf(p.Spec, append([]string{"response 4", "shift 4"}, centreTerms...))
	for i, term := range l.terms {
		a.penalty[i] = 1
		if term.Input >= 0 && term.Round < 0 && slices.Contains(trusted, l.inputs[term.Input].Column) {
			a.penalty[i] = trust
		}
	}
	_, err := model.NewAdditive(t.width, a.model)
	return a, err
}

// read fills x with the terms of a row and returns its band and what the profile leaves of its target.
func (a *additive) read(r int32, x []float64) (band int, left float64) {
	row := a.t.row(r)
	profile := a.checked().Values(row, x)
	return a.bands.Of(row[a.bands.Lead]), a.t.target[r] - profile
}

// checked returns the model as it is. It was checked when its terms were chosen.
func (a *additive) checked() *model.Additive { return &a.model }

func (a *additive) shared(x []float64, band int) float64 {
	v := 0.0
	for i, w := range a.model.Weights[band*a.terms : (band+1)*a.terms] {
		v += w * x[i]
	}
	return v
}

// sums adds up rows by band, each weighed by one over how far the model is from it.
func (a *additive) sums(ctx context.Context, rows []int32) ([]*ridge.Sums, error) {
	out := make([]*ridge.Sums, a.bands.Count())
	for b := range out {
		out[b] = ridge.New(a.terms, 1)
	}
	x := make([]float64, a.terms)
	for i, r := range rows {
		if i%4096 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		band, left := a.read(r, x)
		e := left - a.shared(x, band)
		out[band].Add(x, 0, left, 1/math.Sqrt(max(leastStray, math.Abs(e))))
	}
	return out, nil
}

// solve sets the shared weights. A band without rows takes those of its neighbour.
func (a *additive) solve(sums []*ridge.Sums, penalty float64) error {
	each := make([]float64, a.terms)
	for i, p := range a.penalty {
		each[i] = max(leastShared, p*penalty)
	}
	var filled []int
	for band, s := range sums {
		if s.Rows() == 0 {
			continue
		}
		reduced, err := s.Reduce(1e12) // no slots: all is in the terms
		if err != nil {
			return err
		}
		w, _, err := reduced.Solve(each)
		if err != nil {
			return err
		}
		copy(a.model.Weights[band*a.terms:], w)
		filled = append(filled, band)
	}
	if len(filled) == 0 {
		return fmt.Errorf("%w: no rows to fit to", ErrTooLittle)
	}
	for band, s := range sums {
		if s.Rows() == 0 {
			near := slices.MinFunc(filled, func(i, j int) int { return cmp.Compare(max(i-band, band-i), max(j-band, band-j)) })
			copy(a.model.Weights[band*a.terms:(band+1)*a.terms], a.model.Weights[near*a.terms:])
		}
	}
	return nil
}

// fit fits the shared weights to some rows.
func (a *additive) fit(ctx context.Context, rows []int32, penalty float64) (sums []*ridge.Sums, err error) {
	for range linearRounds {
		if sums, err = a.sums(ctx, rows); err != nil {
			return nil, err
		}
		if err = a.solve(sums, penalty); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// loss returns the mean absolute error of the shared weights over the held-out rows.
func (a *additive) loss() float64 {
	x, sum := make([]float64, a.terms), 0.0
	for _, r := range a.t.held {
		band, left := a.read(r, x)
		sum += math.Abs(left - a.shared(x, band))
	}
	return sum / float64(max(1, len(a.t.held)))
}

// own is what sets a point apart, by penalty.
type own struct {
	point int32
	by    []model.Own
}

// owns returns how each point with enough rows departs from the shared weights, for each of some penalties: ridge
// regression on what these leave, with bends of a trend that grows or falls by as much in the time from the profile to the
// target.
func (a *additive) owns(ctx context.Context, rows []int32, penalties []float64) ([]own, error) {
	knots := a.knots(rows)
	k := a.terms + len(knots)
	var out []own
	x := make([]float64, k)
	for from := 0; from < len(rows); {
		point := a.t.point[rows[from]]
		to := from
		for to < len(rows) && a.t.point[rows[to]] == point {
			to++
		}
		in := rows[from:to]
		from = to
		if len(in) < leastOwn {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		sums := ridge.New(k, 1)
		for _, r := range in {
			band, left := a.read(r, x[:a.terms])
			for i, knot := range knots {
				x[a.terms+i] = 0
				if a.t.end[r] > knot {
					x[a.terms+i] = 1
				}
			}
			e := left - a.shared(x[:a.terms], band)
			sums.Add(x, 0, e, 1/math.Sqrt(max(leastStray, math.Abs(e))))
		}
		reduced, err := sums.Reduce(1e12)
		if err != nil {
			return nil, err
		}
		o := own{point: point}
		for _, penalty := range penalties {
			each := make([]float64, k)
			for i := range each {
				each[i] = penalty
				if i >= a.terms {
					each[i] *= slopeRidge
				}
			}
			w, _, err := reduced.Solve(each)
			if err != nil {
				return nil, err
			}
			one := model.Own{Point: a.t.names[point], Weights: make([]float32, a.terms)}
			for i := range one.Weights {
				one.Weights[i] = float32(w[i])
			}
			for _, bend := range w[a.terms:] {
				one.Slope += bend
			}
			o.by = append(o.by, one)
		}
		out = append(out, o)
	}
	return out, nil
}

// knots returns the times at which trends may bend, the first before all rows.
func (a *additive) knots(rows []int32) []meter.Millis {
	from, to := a.t.end[rows[0]], a.t.end[rows[0]]
	for _, r := range rows {
		from, to = min(from, a.t.end[r]), max(to, a.t.end[r])
	}
	n := a.p.Additive.Knots
	if n == 0 {
		n = max(1, min(mostBends, int(to.Sub(from)/(knotDays*24*time.Hour))))
	}
	out := make([]meter.Millis, n)
	for i := range out {
		out[i] = from.Add(to.Sub(from)/time.Duration(n)*time.Duration(i) - time.Millisecond)
	}
	return out
}

// choose returns the penalty of departures that errs least on the held-out rows, and these departures.
func (a *additive) choose(ctx context.Context) (float64, []model.Own, error) {
	penalties := given(a.p.Additive.OwnPenalty, ownPenalties)
	if a.t.points > mostOwn || math.IsInf(penalties[0], 1) {
		return math.Inf(1), nil, nil
	}
	finite := slices.DeleteFunc(slices.Clone(penalties), func(p float64) bool { return math.IsInf(p, 1) })
	owns, err := a.owns(ctx, a.t.fit, finite)
	if err != nil {
		return 0, nil, err
	}
	of := map[int32]*own{}
	for i := range owns {
		of[owns[i].point] = &owns[i]
	}
	losses := make([]float64, len(finite)+1) // the last without departures
	x := make([]float64, a.terms)
	for _, r := range a.t.held {
		band, left := a.read(r, x)
		e := left - a.shared(x, band)
		losses[len(finite)] += math.Abs(e)
		for i := range finite {
			d := 0.0
			if o := of[a.t.point[r]]; o != nil {
				d = o.by[i].Slope
				for k, w := range o.by[i].Weights {
					d += float64(w) * x[k]
				}
			}
			losses[i] += math.Abs(e - d)
		}
	}
	best := len(finite)
	if len(finite) == len(penalties) { // none is no choice
		best = 0
	}
	for i := range finite {
		if losses[i] < losses[best] {
			best = i
		}
	}
	if best == len(finite) {
		return math.Inf(1), nil, nil
	}
	var out []model.Own
	for _, o := range owns {
		out = append(out, o.by[best])
	}
	return finite[best], byName(out), nil
}

// byName sorts what points have of their own, for an artifact.
func byName(points []model.Own) []model.Own {
	slices.SortFunc(points, func(a, b model.Own) int { return cmp.Compare(a.Point, b.Point) })
	return slices.CompactFunc(points, func(a, b model.Own) bool { return a.Point == b.Point })
}

// fitAdditive fits the weights that all points share and how points depart from them to the earlier rows, chooses the
// penalties and calibrates the quantiles on the held-out ones, and fits all once more on all rows.
func fitAdditive(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	if err := p.Additive.check(); err != nil {
		return nil, err
	}
	tell.tell("shared weights", 0.1)
	a, err := newAdditive(t, p, t.fit)
	if err != nil {
		return nil, err
	}
	sums, err := a.fit(ctx, t.fit, given(p.Additive.Penalty, []float64{30})[0])
	if err != nil {
		return nil, err
	}
	penalty, least := 0.0, math.Inf(1)
	for _, q := range given(p.Additive.Penalty, additivePenalties) {
		if err := a.solve(sums, q); err != nil {
			return nil, err
		}
		if loss := a.loss(); loss < least {
			penalty, least = q, loss
		}
	}
	if err := a.solve(sums, penalty); err != nil {
		return nil, err
	}
	tell.tell("points of their own", 0.4)
	ownPenalty, points, err := a.choose(ctx)
	if err != nil {
		return nil, err
	}
	trial := a.model
	trial.Points = points
	m, err := model.NewAdditive(t.width, trial)
	if err != nil {
		return nil, err
	}
	tell.tell("spread", 0.6)
	left := leftByAdditive(t, m)
	s := scatter(t, p, left)
	r.judge(heldErrors(t, left))

	tell.tell("all rows", 0.7)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	if _, err := a.fit(ctx, all, penalty); err != nil {
		return nil, err
	}
	final := a.model
	final.Scatter, final.Points = s, nil
	if !math.IsInf(ownPenalty, 1) {
		owns, err := a.owns(ctx, all, []float64{ownPenalty})
		if err != nil {
			return nil, err
		}
		for _, o := range owns {
			final.Points = append(final.Points, o.by[0])
		}
		final.Points = byName(final.Points)
	}
	return model.NewAdditive(t.width, final)
}

// leftByAdditive returns what a model leaves of the targets, each point by what it has of its own.
func leftByAdditive(t *table, m *model.Additive) []float64 {
	out := make([]float64, t.len())
	for i := range out {
		parts := m.DecomposeFor(t.names[t.point[i]], t.row(int32(i)))
		out[i] = t.target[i]
		for _, v := range parts {
			out[i] -= v
		}
	}
	return out
}
