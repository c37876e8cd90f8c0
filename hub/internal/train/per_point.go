package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"fluxora.dev/shared/model"
)

const (
	ownGain      = 0.03     // by which a point's own model must err less on the point's held-out rows than the shared one
	mostOwnBytes = 16 << 20 // of all own models in an artifact, which every agent holds: those that gain most come first
)

// learnsFromAll reports whether a family has more weights than a point by itself could teach. In ensembles it is shared in any case.
func learnsFromAll(family string) bool {
	return family == model.FamilyLSTM || family == model.FamilyWeeks
}

// apart returns a fitter that fits, beside the model of all points, one to each point by itself, and keeps those that err less
// than the shared one on the point's own held-out rows. A point never seen, or with too little of its own, falls to the shared one.
func apart(fit fitter) fitter {
	return func(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error) {
		shared, err := fit(ctx, t, p, func(stage string, share float64) { tell.tell(stage, share/2) }, r)
		if err != nil {
			return nil, err
		}
		tell.tell("points of their own", 0.5)
		fits, err := fitEach(ctx, t, p, fit, r.errs)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(fits, func(a, b ownFit) int { return cmp.Compare(b.gain, a.gain) })
		var own []model.OwnModel
		for left := mostOwnBytes; len(fits) > 0 && fits[0].gain >= ownGain; fits = fits[1:] {
			if left -= model.Size(fits[0].model); left < 0 {
				break
			}
			own = append(own, model.OwnModel{Point: model.HashPoint(t.names[fits[0].point]), Model: fits[0].model})
		}
		slices.SortFunc(own, func(a, b model.OwnModel) int { return cmp.Compare(a.Point, b.Point) })
		own = slices.CompactFunc(own, func(a, b model.OwnModel) bool { return a.Point == b.Point })
		r.OwnPoints = len(own)
		return model.NewByPoint(p.Family, shared, own)
	}
}

// ownFit is the model of one point.
type ownFit struct {
	point int32
	model model.Model
	gain  float64 // share of the shared model's error that it does away with
}

// fitEach fits each point that has enough rows by itself; errs are the shared model's on the held-out rows.
func fitEach(ctx context.Context, t *table, p Params, fit fitter, errs []float64) ([]ownFit, error) {
	points := t.each()
	sharedLoss := make([]float64, len(t.names)) // sums
	for i, at := range t.held {
		sharedLoss[t.point[at]] += errs[i]
	}
	single := p
	single.Additive.OwnPenalty = math.Inf(1) // the point's weights are its own already
	single.Trees.Threads, single.Boosted.Threads, single.Quantiles.Threads, single.Forest.Threads, single.Threads = 1, 1, 1, 1, 1
	fits, failed := make([]ownFit, len(points)), make([]error, len(points))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(p.Threads, len(points)) {
		wg.Go(func() {
			for i := range next {
				of := t.of(points[i])
				if failed[i] = of.part(); failed[i] != nil {
					continue
				}
				var r Report
				m, err := fit(ctx, of, single, nil, &r)
				shared := sharedLoss[of.point[0]] / float64(len(of.held))
				fits[i], failed[i] = ownFit{point: of.point[0], model: m, gain: 1 - r.HeldLoss/max(shared, 1e-12)}, err
			}
		})
	}
	for i := range points {
		next <- i
	}
	close(next)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var out []ownFit
	for i, err := range failed {
		switch {
		case errors.Is(err, ErrTooLittle): // it stays with the shared model
		case err != nil:
			return nil, fmt.Errorf("point %s: %w", t.names[t.point[points[i].from]], err)
		default:
			out = append(out, fits[i])
		}
	}
	return out, nil
}

// stretch is the rows of one point.
type stretch struct{ from, to int }

// each lists the rows of each point.
func (t *table) each() []stretch {
	var out []stretch
	for from := 0; from < t.len(); {
		to := from
		for to < t.len() && t.point[to] == t.point[from] {
			to++
		}
		out = append(out, stretch{from, to})
		from = to
	}
	return out
}

// of returns the table of one point's rows, not yet parted.
func (t *table) of(s stretch) *table {
	v := *t
	v.points, v.skipped, v.bins = 1, 0, new(binned)
	v.rows, v.target = t.rows[s.from*t.width:s.to*t.width], t.target[s.from:s.to]
	v.origin, v.end, v.point = t.origin[s.from:s.to], t.end[s.from:s.to], t.point[s.from:s.to]
	return &v
}
