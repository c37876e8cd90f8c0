package train

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"fluxora.dev/shared/model"
)

// An ensemble learns from what the trials of its members say of the days after they had ended learning: the weights, by
// horizon band and by how long a point's history is, that make the mean absolute error least, each point counting by its
// own weekly seasonal naive error; then the quantiles of what is left.

const (
	leastInGroup = 400 // rows from which a band of a group gets weights of its own
	dropWeight   = 0.02
)

// groupsOf parts points by how long their history is: what serves a year of it does not serve a week.
func groupsOf(p Params) model.Parting {
	for _, name := range []string{"age 672h"} {
		if c := p.Spec.Column(name); c >= 0 {
			return model.Parting{Column: c, Edges: []float32{14 * 24, 27 * 24}}
		}
	}
	return model.Parting{}
}

// said is what several models say of some rows of a table.
type said struct {
	t       *table
	rows    []int32
	weight  []float64 // of the row's error, by row
	levels  int
	members [][]float64 // by member, rows × levels
}

// predict returns what a model says of some rows, ascending, of each point by what it knows of it.
func (t *table) predict(m model.Model, rows []int32, levels int) []float64 {
	out := make([]float64, len(rows)*levels)
	var packed []float32
	for from := 0; from < len(rows); {
		point, to := t.point[rows[from]], from
		packed = packed[:0]
		for to < len(rows) && t.point[rows[to]] == point {
			packed = append(packed, t.row(rows[to])...)
			to++
		}
		model.ForPoint(m, t.names[point]).Predict(packed, to-from, out[from*levels:to*levels])
		from = to
	}
	return out
}

// sayings lets models predict some rows.
func sayings(t *table, p Params, rows []int32, models []model.Model) said {
	s := said{t: t, rows: rows, levels: len(p.Levels)}
	for _, m := range models {
		s.members = append(s.members, t.predict(m, rows, s.levels))
	}
	of := t.pointWeights(p)
	s.weight = make([]float64, len(rows))
	for i, r := range rows {
		s.weight[i] = of[t.point[r]]
	}
	return s
}

// pointWeights returns by point one over the mean absolute error of the weekly seasonal naive forecast, in scales: what
// makes an error of a wild meter and one of a calm meter count alike, as MASE does.
func (t *table) pointWeights(p Params) []float64 {
	points := 0
	for _, at := range t.point {
		points = max(points, int(at)+1)
	}
	sum, n := make([]float64, points), make([]float64, points)
	if week := p.Spec.Column("week 1"); week >= 0 {
		for r := range t.target {
			if v := t.row(int32(r))[week]; v == v && t.end[r] <= t.to {
				sum[t.point[r]] += math.Abs(t.target[r] - float64(v))
				n[t.point[r]]++
			}
		}
	}
	out := make([]float64, points)
	for i := range out {
		out[i] = 1
		if n[i] >= 24 {
			out[i] = 1 / max(0.02, sum[i]/n[i])
		}
	}
	return out
}

// middle returns what member m says of row number i at the middle level.
func (s *said) at(m, i, level int) float64 { return s.members[m][i*s.levels+level] }

// loss returns the weighted mean absolute error of a mixture on some of the rows.
func (s *said) loss(in []int, weights []float64, middle int) float64 {
	sum, of := 0.0, 0.0
	for _, i := range in {
		c, total := 0.0, 0.0
		for m, w := range weights {
			if v := s.at(m, i, middle); w > 0 && v == v {
				c += w * v
				total += w
			}
		}
		if total > 0 {
			sum += s.weight[i] * math.Abs(s.t.target[s.rows[i]]-c/total)
			of += s.weight[i]
		}
	}
	if of == 0 {
		return math.Inf(1)
	}
	return sum / of
}

// weigh returns weights of the first n members, none negative and 1 in sum, that make the loss on some of the rows least: from
// equal weights on, shares move from one member to another as long as that helps, in ever smaller portions. The loss is convex.
func (s *said) weigh(in []int, middle, n int) []float64 {
	w := make([]float64, len(s.members))
	for m := range n {
		w[m] = 1 / float64(n)
	}
	best := s.loss(in, w, middle)
	for portion := 0.25; portion > 0.01; portion /= 2 {
		for moved := true; moved; {
			moved = false
			for from := range n {
				for to := range n {
					d := min(portion, w[from])
					if from == to || d == 0 {
						continue
					}
					w[from] -= d
					w[to] += d
					if l := s.loss(in, w, middle); l < best*(1-1e-6) {
						best, moved = l, true
						continue
					}
					w[from] += d
					w[to] -= d
				}
			}
		}
	}
	for m := range w {
		if w[m] < dropWeight {
			w[m] = 0
		}
	}
	floats.Scale(1/floats.Sum(w), w)
	return w
}

// cells lists the rows of each band and group.
func (s *said) cells(b model.Bands, g model.Parting) [][]int {
	out := make([][]int, b.Count()*g.Count())
	for i, r := range s.rows {
		row := s.t.row(r)
		at := b.Of(row[b.Lead])*g.Count() + g.Of(row)
		out[at] = append(out[at], i)
	}
	return out
}

// mix returns the weights of all cells learnt from the rows that take lets through. A cell of few rows has those of all. Members
// behind the first old ones are for the first of so many groups, that of young points.
func (s *said) mix(cells [][]int, groups, old, middle int, take func(i int) bool) []float64 {
	var all []int
	for i, r := range s.rows {
		if take(i) && !s.t.young[r] {
			all = append(all, i)
		}
	}
	common := s.weigh(all, middle, old)
	var out []float64
	for c, cell := range cells {
		in := slices.DeleteFunc(slices.Clone(cell), func(i int) bool { return !take(i) })
		w, n := common, old
		if c%groups == 0 {
			n = len(s.members)
		}
		if len(in) >= leastInGroup {
			w = s.weigh(in, middle, n)
		}
		out = append(out, w...)
	}
	return out
}

// calibrated returns a mixture of models with the given weights, its quantiles taken from the rows of s.
func (s *said) calibrated(p Params, g model.Parting, members []model.Member, weights []float64) (*model.Mixture, error) {
	b := bands(p)
	for range b.Count() {
		b.Z = append(b.Z, unitLevels(p.Levels)...)
	}
	raw, err := model.NewMixture(s.t.width, b, g, 0, members, weights)
	if err != nil {
		return nil, err
	}
	l, middle := s.levels, model.Middle(p.Levels)
	ratios, leads := make([]float64, 0, len(s.rows)), make([]float32, 0, len(s.rows))
	var breadths []float64
	of := slices.DeleteFunc(slices.Clone(s.rows), func(r int32) bool { return s.t.young[r] })
	for out := range slices.Chunk(s.t.predict(raw, of, l), l) {
		breadths = append(breadths, (out[l-1]-out[0])/2)
	}
	raw.Least = max(0.05*stat.Mean(breadths, nil), 1e-6)
	said := s.t.predict(raw, of, l)
	for i, r := range of {
		out := said[i*l : (i+1)*l]
		e := s.t.target[r] - out[middle]
		breadth := out[l-1] - out[middle]
		if e < 0 {
			breadth = out[middle] - out[0]
		}
		ratios = append(ratios, e/breadth)
		leads = append(leads, s.t.row(r)[b.Lead])
	}
	b.Z = nil
	b = quantilesByBand(b, p.Levels, ratios, leads, true)
	return model.NewMixture(s.t.width, b, g, raw.Least, members, weights)
}

// unitLevels returns quantiles that put the lowest level at -1, the middle at 0 and the highest at 1.
func unitLevels(levels []float64) []float64 {
	middle := model.Middle(levels)
	out := make([]float64, len(levels))
	for i := range out {
		switch {
		case i < middle:
			out[i] = -float64(middle-i) / float64(middle)
		case i > middle:
			out[i] = float64(i-middle) / float64(len(levels)-1-middle)
		}
	}
	return out
}

// mix judges the trials of s on the days after they had ended learning, and makes the ensemble of members, and of those that were
// fitted to young points.
func (s *Study) mix(t *table, p Params, members []string, youngTrials, youngFinals []model.Member) error {
	var rows []int32
	for r, origin := range t.origin {
		if origin >= s.Cut && t.end[r] <= t.to {
			rows = append(rows, int32(r))
		}
	}
	if len(rows) < leastRows/3 {
		return fmt.Errorf("%w: %d rows to learn weights from, want %d", ErrTooLittle, len(rows), leastRows/3)
	}
	var trials, finals []model.Member
	var models []model.Model
	for _, name := range members {
		f := s.Fitted[name]
		trials, finals = append(trials, model.Member{Family: f.Trial.Family, Model: f.Trial.Model}), append(finals, model.Member{Family: f.Artifact.Family, Model: f.Artifact.Model})
		models = append(models, f.Trial.Model)
	}
	old := len(members)
	trials, finals = append(trials, youngTrials...), append(finals, youngFinals...)
	names := slices.Clone(members)
	for _, m := range youngTrials {
		names = append(names, m.Family)
		models = append(models, m.Model)
	}
	say := sayings(t, p, rows, models)
	b, g, middle := bands(p), groupsOf(p), model.Middle(p.Levels)
	cells := say.cells(b, g)
	half := func(odd int64) func(i int) bool {
		return func(i int) bool {
			return !t.young[rows[i]] && int64(t.origin[rows[i]].Sub(s.Cut)/(7*24*time.Hour))%2 == odd
		}
	}

	// Of each week in two, what the other weeks' weights say.
	s.Loss = map[string]float64{}
	var crossed float64
	for odd := range int64(2) {
		w := say.mix(cells, g.Count(), old, middle, half(1-odd))
		crossed += say.lossOf(cells, w, middle, half(odd)) / 2
	}
	s.Loss[model.FamilyEnsemble], s.Selected = crossed, model.FamilyEnsemble
	one := make([]float64, len(cells)*len(models))
	for m, name := range members {
		for i := range one {
			one[i] = 0
			if i%len(models) == m {
				one[i] = 1
			}
		}
		s.Loss[name] = (say.lossOf(cells, one, middle, half(0)) + say.lossOf(cells, one, middle, half(1))) / 2
	}
	for _, name := range members {
		if s.Loss[name] <= s.Loss[s.Selected] {
			s.Selected = name
		}
	}

	weights := say.mix(cells, g.Count(), old, middle, func(int) bool { return true })
	trial, err := say.calibrated(p, g, trials, weights)
	if err != nil {
		return err
	}
	finals, names, weights = used(finals, names, weights)
	final, err := model.NewMixture(t.width, trial.Bands, g, trial.Least, finals, weights)
	if err != nil {
		return err
	}
	p.Family = model.FamilyEnsemble
	f := Fitted{Artifact: t.artifact(p, final), Trial: t.artifact(p, trial)}
	f.Trial.TrainedTo = s.Cut
	f.Artifact.Growth = f.Trial.Growth
	f.Report = Report{Family: p.Family, Points: t.points, Rows: len(t.fit) + len(t.held), HeldRows: len(rows), HeldLoss: crossed, Weights: map[string]float64{}}
	for i, w := range weights { // those of young points count to their family
		f.Report.Weights[names[i%len(names)]] += w * float64(len(finals)) / float64(len(weights))
	}
	reports := map[string]Report{}
	for name, m := range s.Fitted {
		reports[name] = m.Report
		f.Report.OwnPoints = max(f.Report.OwnPoints, m.Report.OwnPoints)
	}
	f.Report.Importance = mixedImportance(f.Report.Weights, reports)
	s.Fitted[model.FamilyEnsemble] = f
	return nil
}

// lossOf returns the loss of the weights of all cells on the rows that take lets through.
func (s *said) lossOf(cells [][]int, weights []float64, middle int, take func(i int) bool) float64 {
	sum, of := 0.0, 0.0
	n := len(s.members)
	for c, cell := range cells {
		in := slices.DeleteFunc(slices.Clone(cell), func(i int) bool { return !take(i) })
		total := 0.0
		for _, i := range in {
			total += s.weight[i]
		}
		if len(in) > 0 {
			sum += total * s.loss(in, weights[c*n:(c+1)*n], middle)
			of += total
		}
	}
	if of == 0 {
		return math.Inf(1)
	}
	return sum / of
}

// used returns the members that have a weight anywhere, their names and their weights.
func used(members []model.Member, names []string, weights []float64) ([]model.Member, []string, []float64) {
	n := len(members)
	var keep []int
	for m := range members {
		for c := 0; c < len(weights); c += n {
			if weights[c+m] > 0 {
				keep = append(keep, m)
				break
			}
		}
	}
	var out []model.Member
	var kept []string
	for _, m := range keep {
		out, kept = append(out, members[m]), append(kept, names[m])
	}
	var w []float64
	for c := 0; c < len(weights); c += n {
		for _, m := range keep {
			w = append(w, weights[c+m])
		}
	}
	return out, kept, w
}
