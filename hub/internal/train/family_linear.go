package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"fluxora.dev/hub/internal/train/ridge"
	"fluxora.dev/shared/model"
)

// LinearParams are the settings of a line. A penalty is counted in rows that would say the weight is zero; 0 means that it
// is chosen on the held-out rows.
type LinearParams struct {
	Penalty      float64 // of the weights that all hours share
	GroupPenalty float64 // of how a group of hours departs from them
	SlotPenalty  float64 // of the corrections by time of the week
}

// The penalties to choose from.
var (
	linearPenalties = []float64{0.03, 0.3, 3, 30, 300, 3000, 30_000}
	groupPenalties  = []float64{1, 10, 100, 1000, 10_000, math.Inf(1)}
	slotPenalties   = []float64{0.03, 0.3, 3, 30, 300}
)

const (
	linearRounds = 3    // of reweighting towards least absolute error
	weekDays     = 8    // Monday to Sunday, holiday
	trust        = 0.01 // share of the penalty that the terms of an anchor bear: how far a point has drifted since its base
	dayParts     = 4    // night, morning, afternoon, evening
)

func (p LinearParams) check() error {
	for _, v := range []float64{p.Penalty, p.GroupPenalty, p.SlotPenalty} {
		if !(v >= 0) {
			return fmt.Errorf("linear: penalty %g: want a number ≥ 0", v)
		}
	}
	return nil
}

// line is a line while it is fitted.
type line struct {
	t        *table
	bands    model.Bands
	calendar model.Calendar
	base     []int
	inputs   []model.Input
	trusted  []int // columns of inputs that are hardly penalised
	groups   []uint8
	count    int         // groups
	weights  [][]float64 // by band and group
	slots    [][]float64 // by band
}

// hourGroups parts the hours of a week into groups with weights of their own, the parts of Monday, Tuesday to Friday,
// Saturday, and Sunday or holiday: what yesterday says of a Monday morning is not what it says of a Wednesday night.
func hourGroups() (groups []uint8, count int) {
	kinds := [weekDays]uint8{0, 1, 1, 1, 1, 2, 3, 3}
	for _, k := range kinds {
		for h := range 24 {
			groups = append(groups, k*dayParts+uint8(h*dayParts/24))
		}
	}
	return groups, 4 * dayParts
}

// newLine returns a line whose weights are zero, with inputs centred and scaled on some rows.
func newLine(t *table, p Params, rows []int32) *line {
	l := &line{t: t, bands: bands(p), calendar: calendarOf(p.Spec, t.resolution), base: columnsOf(p.Spec, centreBase)}
	l.trusted = columnsOf(p.Spec, centreTerms)
	l.inputs = inputsOf(t, p.Spec, l.base, rows)
	l.groups, l.count = hourGroups()
	return l
}

// read fills x with the inputs of a row and says what it lies in and what the base leaves of its target.
func (l *line) read(r int32, x []float64) (band, group, slot int, left float64) {
	row := l.t.row(r)
	base := (&model.Anchor{Base: l.base}).Of(row, 0)
	for i := range l.inputs {
		x[i] = l.inputs[i].Of(row, base)
	}
	day, at := l.calendar.Of(row)
	band = l.bands.Of(row[l.bands.Lead])
	group = int(l.groups[day*24+at/l.calendar.PerHour])
	return band, band*l.count + group, day*l.calendar.Slots() + at, l.t.target[r] - base
}

// sums adds up rows by band and group, each weighed by one over how far the line is from it: least absolute error, by
// iteratively reweighted least squares.
func (l *line) sums(ctx context.Context, rows []int32) ([]*ridge.Sums, error) {
	out := make([]*ridge.Sums, l.bands.Count()*l.count)
	for g := range out {
		out[g] = ridge.New(len(l.inputs), weekDays*l.calendar.Slots())
	}
	x := make([]float64, len(l.inputs))
	for i, r := range rows {
		if i%4096 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		band, group, slot, left := l.read(r, x)
		e := left - l.value(x, band, group, slot)
		out[group].Add(x, slot, left, 1/math.Sqrt(max(leastStray, math.Abs(e))))
	}
	return out, nil
}

// value returns what the line adds to the base.
func (l *line) value(x []float64, band, group, slot int) float64 {
	if l.weights == nil {
		return 0
	}
	v := l.slots[band][slot]
	for i, w := range l.weights[group] {
		v += w * x[i]
	}
	return v
}

// solve sets the weights of l from sums by band and group. A band without rows takes those of its neighbour.
func (l *line) solve(sums []*ridge.Sums, p LinearParams) error {
	n := l.bands.Count()
	weights, slots := make([][]float64, n*l.count), make([][]float64, n)
	penalty := make([]float64, len(l.inputs))
	for i, in := range l.inputs {
		penalty[i] = p.Penalty
		if slices.Contains(l.trusted, in.Column) {
			penalty[i] *= trust
		}
	}
	var filled []int
	for band := range n {
		groups := sums[band*l.count : (band+1)*l.count]
		all := ridge.New(len(l.inputs), weekDays*l.calendar.Slots())
		for _, g := range groups {
			all.Merge(g)
		}
		if all.Rows() == 0 {
			continue
		}
		reduced, err := all.Reduce(p.SlotPenalty)
		if err != nil {
			return err
		}
		shared, at, err := reduced.Solve(penalty)
		if err != nil {
			return err
		}
		slots[band] = at
		for g, sum := range groups {
			w := slices.Clone(shared)
			if !math.IsInf(p.GroupPenalty, 1) {
				d, err := sum.Deviate(shared, at, p.GroupPenalty)
				if err != nil {
					return err
				}
				for i := range w {
					w[i] += d[i]
				}
			}
			weights[band*l.count+g] = w
		}
		filled = append(filled, band)
	}
	if len(filled) == 0 {
		return fmt.Errorf("%w: no rows to fit a line to", ErrTooLittle)
	}
	for band := range n {
		if slots[band] == nil {
			near := slices.MinFunc(filled, func(a, b int) int { return max(a-band, band-a) - max(b-band, band-b) })
			slots[band] = slots[near]
			copy(weights[band*l.count:(band+1)*l.count], weights[near*l.count:])
		}
	}
	l.weights, l.slots = weights, slots
	return nil
}

// fit fits the weights to some rows.
func (l *line) fit(ctx context.Context, rows []int32, p LinearParams) (sums []*ridge.Sums, err error) {
	for range linearRounds {
		if sums, err = l.sums(ctx, rows); err != nil {
			return nil, err
		}
		if err = l.solve(sums, p); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// loss returns the mean absolute error over some rows.
func (l *line) loss(rows []int32) float64 {
	x, sum := make([]float64, len(l.inputs)), 0.0
	for _, r := range rows {
		band, group, slot, left := l.read(r, x)
		sum += math.Abs(left - l.value(x, band, group, slot))
	}
	return sum / float64(max(1, len(rows)))
}

// choose returns those of the penalties not given that err least on the held-out rows: first of slots and shared weights,
// then of groups.
func (l *line) choose(ctx context.Context, sums []*ridge.Sums, p LinearParams) (LinearParams, error) {
	best, least := p, math.Inf(1)
	try := func(q LinearParams) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := l.solve(sums, q); err != nil {
			return err
		}
		if loss := l.loss(l.t.held); loss < least {
			best, least = q, loss
		}
		return nil
	}
	q := p
	q.GroupPenalty = math.Inf(1)
	for _, q.SlotPenalty = range given(p.SlotPenalty, slotPenalties) {
		for _, q.Penalty = range given(p.Penalty, linearPenalties) {
			if err := try(q); err != nil {
				return p, err
			}
		}
	}
	q = best
	least = math.Inf(1)
	for _, q.GroupPenalty = range given(p.GroupPenalty, groupPenalties) {
		if err := try(q); err != nil {
			return p, err
		}
	}
	return best, nil
}

// given returns the value when there is one, else the choice.
func given(value float64, choice []float64) []float64 {
	if value > 0 {
		return []float64{value}
	}
	return choice
}

// middling returns penalties to begin with.
func (p LinearParams) middling() LinearParams {
	for _, v := range []struct {
		at  *float64
		def float64
	}{{&p.Penalty, 30}, {&p.GroupPenalty, 1000}, {&p.SlotPenalty, 30}} {
		if *v.at == 0 {
			*v.at = v.def
		}
	}
	return p
}

// fitLinear fits a line to the earlier rows, chooses its penalties and calibrates its quantiles on the held-out ones, and
// fits it once more on all rows.
func fitLinear(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
	if err := p.Linear.check(); err != nil {
		return nil, err
	}
	tell.tell("line", 0.1)
	l := newLine(t, p, t.fit)
	sums, err := l.fit(ctx, t.fit, p.Linear.middling())
	if err != nil {
		return nil, err
	}
	tell.tell("penalties", 0.3)
	chosen, err := l.choose(ctx, sums, p.Linear)
	if err != nil {
		return nil, err
	}
	if err := l.solve(sums, chosen); err != nil {
		return nil, err
	}
	tell.tell("spread", 0.5)
	left, x := make([]float64, t.len()), make([]float64, len(l.inputs))
	for i := range left {
		band, group, slot, y := l.read(int32(i), x)
		left[i] = y - l.value(x, band, group, slot)
	}
	s := scatter(t, p, left)
	r.judge(heldErrors(t, left))

	tell.tell("line on all rows", 0.7)
	all := slices.Concat(t.fit, t.held)
	slices.Sort(all)
	if _, err := l.fit(ctx, all, chosen); err != nil {
		return nil, err
	}
	return model.NewLinear(t.width, s, l.calendar, l.base, l.inputs, l.groups, slices.Concat(l.weights...), slices.Concat(l.slots...))
}
