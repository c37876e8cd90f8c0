package train

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/shared/model"
)

// bandEdges are the horizon bands that quantiles are calibrated in: leads in hours.
var bandEdges = []float32{3, 12, 24}

// leastInBand is how many held-out errors a band needs of its own.
const leastInBand = 50

// bands returns the horizon bands, without quantiles.
func bands(p Params) model.Bands {
	return model.Bands{Lead: p.Spec.Column("lead"), Edges: bandEdges, Levels: p.Levels}
}

// calibrate returns the quantiles of held-out errors by band: split-conformal prediction. A band with too few errors gets
// those of all. When centred, the median stays where the model has it: that of the held-out weeks is mostly their weather,
// and a fitted centre has no bias of its own to correct.
func calibrate(t *table, p Params, errs []float64, centred bool) model.Bands {
	leads := make([]float32, len(errs))
	b := bands(p)
	for i := range errs {
		leads[i] = t.row(t.held[i])[b.Lead]
	}
	return quantilesByBand(b, p.Levels, errs, leads, centred)
}

// quantilesByBand returns b with the quantiles of errors by band; leads has the lead of each.
func quantilesByBand(b model.Bands, levels, errs []float64, leads []float32, centred bool) model.Bands {
	byBand := make([][]float64, b.Count())
	for i, e := range errs {
		band := b.Of(leads[i])
		byBand[band] = append(byBand[band], e)
	}
	all := slices.Sorted(slices.Values(errs))
	for _, in := range byBand {
		if len(in) < leastInBand {
			in = all
		} else {
			slices.Sort(in)
		}
		n, middle := float64(len(in)), 0.0
		if centred {
			middle = stat.Quantile(min(1, 0.5*(n+1)/n), stat.LinInterp, in, nil)
		}
		for _, l := range levels {
			b.Z = append(b.Z, stat.Quantile(min(1, l*(n+1)/n), stat.LinInterp, in, nil)-middle)
		}
	}
	return b
}

// conformal returns by how much each level must move, by horizon band and as multiples of a unit of each row, for the held-out
// actuals to lie below it as often as it says: conformalized quantile regression (Romano, Patterson and Candès, 2019). said has
// the levels of each held-out row. The middle stays where it is, and so do its absolute errors, which are returned: that of
// the held-out weeks is mostly their weather.
func conformal(t *table, p Params, said, units []float64) (b model.Bands, errs []float64) {
	n, middle := len(p.Levels), model.Middle(p.Levels)
	b = bands(p)
	ratios, pooled := make([][]float64, b.Count()*n), make([][]float64, n)
	for i, at := range t.held {
		band := b.Of(t.row(at)[b.Lead])
		for k, v := range said[i*n : (i+1)*n] {
			e := (t.target[at] - v) / units[i]
			ratios[band*n+k] = append(ratios[band*n+k], e)
			pooled[k] = append(pooled[k], e)
		}
		errs = append(errs, math.Abs(t.target[at]-said[i*n+middle]))
	}
	for band := range b.Count() {
		z := make([]float64, n)
		for k, l := range p.Levels {
			in := ratios[band*n+k]
			if len(in) < leastInBand {
				in = slices.Clone(pooled[k])
			}
			slices.Sort(in)
			z[k] = stat.Quantile(min(1, l*float64(len(in)+1)/float64(len(in))), stat.LinInterp, in, nil)
		}
		for _, v := range z {
			b.Z = append(b.Z, v-z[middle])
		}
	}
	return b, errs
}
