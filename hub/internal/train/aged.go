package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Where the newest readings are missing, forecasts err more. By how much more intervals must be wider then, held-out origins
// tell: the same hours are forecast with all readings and without those of the last day, three days and week, as agents would.

const (
	agedOrigins  = 160
	agedMargin   = 0.25 // of misses that are spared when readings are missing: what comes then, a few weeks tell less well
	leastAged    = 200  // hours from which growth can be told
	agedSaltSeed = 0x61676564
	mostWider    = 5.0 // beyond, a model is of no use
	mostMissed   = 1e9 // breadths: what a miss of an interval without breadth counts
)

// aged is an origin at which a forecast can be made and held against what happened.
type aged struct {
	point  Point
	origin meter.Millis
}

// agedFrom draws origins from the last weeks of the histories.
func agedFrom(d Dataset, from, to meter.Millis, p Params) (out []aged) {
	rng := rand.New(rand.NewPCG(p.Seed, agedSaltSeed))
	for range agedOrigins {
		pt := d.Points[rng.IntN(len(d.Points))]
		h := pt.History
		first, last := max(from, h.Start.Add(14*24*time.Hour)), min(to, h.End()).Add(-p.Horizon)
		hours := int(last.Sub(first) / time.Hour)
		if hours < 1 {
			continue
		}
		origin := first.Add(time.Duration(rng.IntN(hours)) * time.Hour).Floor(h.Resolution)
		if len(p.Daily) > 0 {
			origin = origin.Floor(24 * time.Hour).Add(p.Daily[rng.IntN(len(p.Daily))]).Floor(h.Resolution)
		}
		out = append(out, aged{pt, origin})
	}
	return out
}

// growthOf returns by how much the breadths of an artifact must grow with age: the ratio of the quantiles of errors, measured in
// breadths, that cover what the outer levels promise. It is nil where too little is known.
func growthOf(art *model.Artifact, from []aged) model.Growth {
	l, middle := len(art.Levels), model.Middle(art.Levels)
	if middle == 0 || middle == l-1 {
		return nil
	}
	var m forecast.Maker
	var out model.Growth
	fresh, last := 0.0, 1.0
	for i, age := range append([]time.Duration{0}, model.GrowthAges()...) {
		var ratios []float64
		for _, a := range from {
			h := a.point.History
			f, err := m.Make(h.Before(a.origin.Add(-age)), a.point.ID, a.point.Register, a.origin, int(art.Horizon/h.Resolution), art, forecast.Active, nil, a.origin)
			if err != nil {
				continue
			}
			for s := 1; s <= f.Steps(); s++ {
				e, breadth := h.At(f.Start(s))-f.At(s, middle), f.At(s, l-1)-f.At(s, middle)
				if e < 0 {
					breadth = f.At(s, middle) - f.At(s, 0)
				}
				if r := min(mostMissed, math.Abs(e)/breadth); r == r { // no breadth and no error says nothing
					ratios = append(ratios, r)
				}
			}
		}
		if len(ratios) < leastAged {
			return nil
		}
		slices.Sort(ratios)
		nominal := art.Levels[l-1] - art.Levels[0]
		if i > 0 {
			nominal += agedMargin * (1 - nominal)
		}
		q := stat.Quantile(nominal, stat.LinInterp, ratios, nil)
		if i == 0 {
			fresh = max(q, 1e-6)
			continue
		}
		last = max(last, min(mostWider, q/fresh))
		out = append(out, last)
	}
	return out
}
