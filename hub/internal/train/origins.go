package train

import (
	"math/rand/v2"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// origins says from which origins of a point rows are made, and how many of their steps become rows.
type origins struct {
	stride  time.Duration   // between origins, where they may fall on any hour
	daily   []time.Duration // else the times of the day they fall on
	days    float64         // share of the days that are used then
	horizon int             // steps
	steps   float64         // share of the steps that become rows
	young   float64         // share of the origins that become rows of young points as well
}

// originsFor shares out p.MaxRows over histories of the given total length.
func originsFor(p Params, resolution, total time.Duration) origins {
	o := origins{horizon: int(p.Horizon / resolution), steps: 1, daily: p.Daily}
	if len(o.daily) > 0 {
		// Where not all rows can be learnt from, half the steps of twice as many days say more than all steps of fewer.
		share := float64(p.MaxRows) / max(1, total.Hours()/24*float64(len(o.daily)*o.horizon))
		o.steps = min(1, max(stepShare, share))
		o.days = min(1, share/o.steps)
		return o
	}
	o.steps = min(stepShare, 24/float64(o.horizon)) // fine resolutions give no more rows than hours do
	n := max(1, int(float64(p.MaxRows)/(o.steps*float64(o.horizon))))
	o.stride = max(originStride, total/time.Duration(n))
	o.stride -= o.stride % resolution
	return o
}

// of returns the origins of a history, ascending.
func (o origins) of(h feature.History, rng *rand.Rand) []meter.Millis {
	var out []meter.Millis
	if len(o.daily) == 0 {
		phase := time.Duration(rng.IntN(int(o.stride/h.Resolution))) * h.Resolution
		for at := h.Start.Add(24*time.Hour + phase); at < h.End(); at = at.Add(o.stride) {
			out = append(out, at)
		}
		return out
	}
	for day := h.Start.Floor(24 * time.Hour); day < h.End(); day = day.Add(24 * time.Hour) {
		for _, t := range o.daily {
			at := day.Add(t).Floor(h.Resolution)
			if at >= h.Start.Add(24*time.Hour) && at < h.End() && (o.days >= 1 || rng.Float64() < o.days) {
				out = append(out, at)
			}
		}
	}
	return out
}
