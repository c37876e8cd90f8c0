package train

import (
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
			middle = stat.Quantile(0.5, stat.LinInterp, in, nil)
		}
		for _, l := range levels {
			b.Z = append(b.Z, stat.Quantile(min(1, l*(n+1)/n), stat.LinInterp, in, nil)-middle)
		}
	}
	return b
}
