package forecast

import (
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Adapter widens and narrows the intervals of one point's forecasts by how its earlier ones turned out: after each interval
// that is over, the outer level above (or below) moves out a little when it was passed and in by less when it was not, so
// that in the long run it is passed as often as it says, whatever the point does. That is adaptive conformal inference
// (Gibbs and Candès, 2021), with steps in proportion as quantile tracking takes them (Angelopoulos, Candès and Tibshirani,
// 2023). Only the breadth moves: the middle level stays the model's.
//
// One adapter outlives many models: what it learns is by what factor a model misjudges this point. The zero value changes
// nothing yet. It must not be used by two goroutines at once.
type Adapter struct {
	kept   []kept
	factor [adaptBands][2]float64 // of the half-breadth below and above, less 1
}

// kept is a forecast as it came from the model, whose first steps have been learnt from.
type kept struct {
	f    Forecast
	next int // the step from which on nothing was learnt yet
}

const (
	adaptBands  = 3
	adaptApart  = 20 * time.Hour // between forecasts that are learnt from: more say the same again
	adaptKeep   = 10 * 24 * time.Hour
	adaptRate   = 0.03
	adaptLeast  = 0.25
	adaptMost   = 6.0
	maxAdapting = 16 // forecasts kept
)

// adaptBand returns the horizon band of a lead.
func adaptBand(lead time.Duration) int {
	switch {
	case lead < 6*time.Hour:
		return 0
	case lead < 24*time.Hour:
		return 1
	}
	return 2
}

// Adapt learns from what h tells of earlier forecasts and returns f with its intervals as wide as they ought to have been.
// h must hold nothing at or after f.Origin. f is kept to be learnt from; it is not changed.
func (a *Adapter) Adapt(f Forecast, h feature.History) Forecast {
	a.learn(h, f.Origin)
	if n := len(a.kept); n == 0 || f.Origin.Sub(a.kept[n-1].f.Origin) >= adaptApart {
		if len(a.kept) == maxAdapting {
			a.kept = append(a.kept[:0], a.kept[1:]...)
		}
		a.kept = append(a.kept, kept{f: f, next: 1})
	}
	l, middle := len(f.Levels), f.Level(0.5)
	out := f
	out.Values = append([]float64(nil), f.Values...)
	for s := 1; s <= f.Steps(); s++ {
		row := out.Values[(s-1)*l : s*l]
		band := adaptBand(time.Duration(s-1) * f.Resolution)
		for i, v := range row {
			if i < middle && a.factor[band][0] != 0 { // what nothing was learnt of keeps its bits
				row[i] = max(0, row[middle]-float64((row[middle]-v)*(1+a.factor[band][0])))
			} else if i > middle && a.factor[band][1] != 0 {
				row[i] = row[middle] + float64((v-row[middle])*(1+a.factor[band][1]))
			}
		}
	}
	return out
}

// learn goes through the steps of kept forecasts that were over at an instant.
func (a *Adapter) learn(h feature.History, now meter.Millis) {
	rest := a.kept[:0]
	for _, k := range a.kept {
		for ; k.next <= k.f.Steps() && k.f.Start(k.next).Add(k.f.Resolution) <= now; k.next++ {
			if actual := h.At(k.f.Start(k.next)); actual == actual {
				a.observe(k.f, k.next, actual)
			}
		}
		if k.next <= k.f.Steps() && now.Sub(k.f.Origin) < adaptKeep {
			rest = append(rest, k)
		}
	}
	a.kept = rest
}

// observe learns from one interval.
func (a *Adapter) observe(f Forecast, step int, actual float64) {
	l, middle := len(f.Levels), f.Level(0.5)
	row := f.Values[(step-1)*l : step*l]
	band := adaptBand(f.Start(step).Sub(f.Origin))
	// Resolutions finer than an hour learn no faster: their intervals say much the same.
	rate := adaptRate * float64(f.Resolution) / float64(time.Hour)
	for side, at := range [2]int{0, l - 1} {
		breadth, off := row[middle]-row[at], row[middle]-actual
		miss := f.Levels[at]
		if side == 1 {
			breadth, off, miss = -breadth, -off, 1-f.Levels[at]
		}
		if at == middle {
			continue
		}
		k := 1 + a.factor[band][side]
		if off > float64(breadth*k) {
			k += float64(float64(rate*(1-miss)) * k)
		} else {
			k -= float64(float64(rate*miss) * k)
		}
		a.factor[band][side] = max(adaptLeast, min(adaptMost, k)) - 1
	}
}
