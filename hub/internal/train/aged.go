package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Where the newest readings are missing, forecasts err more. By how much more intervals must be wider then, held-out origins
// tell: the same targets are predicted from rows with all readings and from rows without those of the last day, three days and
// week, as package forecast makes them.

const (
	agedRows     = 24_000 // at most, all ages together
	agedSteps    = 8      // of an origin
	mostAged     = 50     // origins of a point
	leastAged    = 200    // targets from which growth can be told
	mostGrowth   = 5.0    // beyond, a model is of no use
	agedSaltSeed = 0x61676564
)

// aged holds rows of the same targets by age: fresh ones, then those of model.GrowthAges.
type aged struct {
	rows   [][]float32 // by age
	target [][]float64 // by age, in scales, which depend on what is seen
}

// newAged computes rows from origins of the last weeks of the histories.
func newAged(ds []prepared, from, to meter.Millis, p Params) aged {
	ages := append([]time.Duration{0}, model.GrowthAges()...)
	a := aged{rows: make([][]float32, len(ages)), target: make([][]float64, len(ages))}
	if len(ds) == 0 {
		return a
	}
	b := feature.NewBuilder(p.Spec)
	rng := rand.New(rand.NewPCG(p.Seed, agedSaltSeed))
	origins := agedRows / agedSteps / len(ages)
	each := max(1, min(mostAged, origins/len(ds)))
	every := max(1, len(ds)*each/origins) // point in so many
	for i := 0; i < len(ds); i += every {
		for range each {
			a.add(b, ds[i], from, to, p, rng)
		}
	}
	return a
}

// add adds the rows of an origin of one point, or none where some are not known.
func (a *aged) add(b *feature.Builder, of prepared, from, to meter.Millis, p Params, rng *rand.Rand) {
	h := of.history
	longest := int(p.Horizon / h.Resolution)
	from, to = max(from, h.Start.Add(14*24*time.Hour)), min(to, h.End()).Add(-p.Horizon)
	hours := int(to.Sub(from) / time.Hour)
	if hours < 1 {
		return
	}
	origin := from.Add(time.Duration(rng.IntN(hours)) * time.Hour).Floor(h.Resolution)
	if len(p.Daily) > 0 {
		origin = origin.Floor(24 * time.Hour).Add(p.Daily[rng.IntN(len(p.Daily))]).Floor(h.Resolution)
	}
	steps := make([]int, 0, agedSteps)
	for range agedSteps {
		step := 1 + rng.IntN(longest)
		if i := h.Index(origin) + step - 1; i < len(h.Energy) && h.Energy[i] == h.Energy[i] && !of.leaves(i) && !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
	}
	width := p.Spec.Len()
	rows, targets := make([][]float32, len(a.rows)), make([][]float64, len(a.rows))
	for k, age := range append([]time.Duration{0}, model.GrowthAges()...) {
		if b.Reset(h, origin.Add(-age)) != nil || b.Known() < int(24*time.Hour/h.Resolution) {
			return
		}
		for _, step := range steps {
			step += int(age / h.Resolution)
			row := make([]float32, width)
			b.RowBeyond(step, longest, row)
			rows[k], targets[k] = append(rows[k], row...), append(targets[k], b.Target(step))
		}
	}
	for k := range rows {
		a.rows[k], a.target[k] = append(a.rows[k], rows[k]...), append(a.target[k], targets[k]...)
	}
}

// growth returns by how much the breadths of m must grow with age: the ratio of the quantiles of errors, measured in
// half-breadths, that cover what the outer levels promise. It is nil where too little is known.
func (a *aged) growth(m model.Model) model.Growth {
	levels := m.Levels()
	l, middle := len(levels), model.Middle(levels)
	if len(a.target) == 0 || len(a.target[0]) < leastAged || l < 2 || middle == 0 || middle == l-1 {
		return nil
	}
	nominal := levels[l-1] - levels[0]
	var out model.Growth
	fresh, last := 0.0, 1.0
	for k, target := range a.target {
		said := make([]float64, len(target)*l)
		m.Predict(a.rows[k], len(target), said)
		ratios := make([]float64, 0, len(target))
		for i, y := range target {
			row := said[i*l : (i+1)*l]
			e, breadth := y-row[middle], row[l-1]-row[middle]
			if e < 0 {
				breadth = row[middle] - row[0]
			}
			if r := math.Abs(e) / breadth; r == r && breadth > 0 {
				ratios = append(ratios, r)
			}
		}
		if len(ratios) < leastAged/2 {
			return nil
		}
		slices.Sort(ratios)
		q := stat.Quantile(nominal, stat.LinInterp, ratios, nil)
		if k == 0 {
			fresh = max(q, 1e-6)
			continue
		}
		last = max(last, min(mostGrowth, q/fresh))
		out = append(out, last)
	}
	return out
}
