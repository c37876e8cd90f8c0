package anomaly

import (
	"fmt"
	"math"
	"slices"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

const (
	farBeyond   = 8    // half breadths of the band; an interval further out counts no more
	nearBeyond  = 1    // so far out is no matter: a cold day lies a little outside from morning to night
	leastBeyond = 4    // no limit is below: four intervals in a row, two half breadths out
	leastPast   = 28   // forecasts that a limit is set by
	pastShare   = 0.98 // of them that stayed within
	pastMargin  = 1.25
)

// Beyond tells how far what was used lay beyond a forecast: in the run of intervals, all on one side of the outer levels,
// that is odd most, the sum of the distances in half breadths of the band, less one each. Intervals are known by their start.
func Beyond(f forecast.Forecast, h feature.History) (strength float64, from, to int) {
	middle, top := f.Level(0.5), len(f.Levels)-1
	if top < 1 {
		return 0, 0, 0
	}
	sum, side, start := 0.0, 0.0, 1
	for step := 1; step <= f.Steps(); step++ {
		y := h.At(f.Start(step))
		low, mid, high := f.At(step, 0), f.At(step, middle), f.At(step, top)
		floor := 0.05*mid + 1 // Wh; a band without breadth knows nothing of what meters round
		e, now := 0.0, 0.0
		switch {
		case y > high:
			e, now = (y-high)/max(high-mid, floor), 1
		case y < low:
			e, now = (low-y)/max(mid-low, floor), -1
		}
		if e = min(e, farBeyond) - nearBeyond; now != side || sum+e <= 0 {
			sum, side, start = 0, now, step
		}
		if sum = max(0, sum+e); sum > strength {
			strength, from, to = sum, start, step
		} else if sum == 0 {
			start = step + 1
		}
	}
	return strength, from, to
}

// Limit returns the strength from which on a forecast was left in an odd way, by the strengths of forecasts of the same
// point before: quantiles promise that one interval in five lies outside, so that alone is nothing. ok is false when there
// are too few.
func Limit(past []float64) (limit float64, ok bool) {
	if len(past) < leastPast {
		return 0, false
	}
	past = slices.Sorted(slices.Values(past))
	return max(leastBeyond, pastMargin*past[int(pastShare*float64(len(past)-1))]), true
}

// JudgeLast tells whether what was used lay beyond the last of some forecasts of a point in a way that is out of the ordinary,
// by those before it.
func JudgeLast(fs []forecast.Forecast, h feature.History) (Finding, bool) {
	if len(fs) == 0 {
		return Finding{}, false
	}
	last := len(fs) - 1
	past := make([]float64, last)
	for i, f := range fs[:last] {
		past[i], _, _ = Beyond(f, h)
	}
	limit, ok := Limit(past)
	if !ok {
		return Finding{}, false
	}
	return JudgeForecast(fs[last], h, limit)
}

// JudgeForecast tells whether what was used lay beyond a forecast in a way that is out of the ordinary, given a limit.
func JudgeForecast(f forecast.Forecast, h feature.History, limit float64) (Finding, bool) {
	strength, from, to := Beyond(f, h)
	if strength < limit || strength == 0 {
		return Finding{}, false
	}
	top := len(f.Levels) - 1
	out := Finding{Kind: Forecast, Start: f.Start(from), End: f.Start(to + 1), Score: 1 - math.Exp2(-strength/limit)}
	low, high := 0.0, 0.0
	for step := from; step <= to; step++ {
		out.Energy += h.At(f.Start(step))
		out.Usual += f.At(step, f.Level(0.5))
		low += f.At(step, 0)
		high += f.At(step, top)
	}
	clock := feature.NewClock(h.Zone)
	show := func(t meter.Millis) string {
		return time.UnixMilli(int64(t) + clock.Offset(t)).UTC().Format("15:04")
	}
	when := show(out.Start) + "–" + show(out.End)
	forecast := fmt.Sprintf("%s where %s to %s were forecast", amount(out.Energy), amount(low), amount(high))
	switch {
	case out.Energy > high && high > 0:
		out.Reason = fmt.Sprintf("used %.1f times the most that was forecast, %s: %s", out.Energy/high, when, forecast)
	case out.Energy > high:
		out.Reason = fmt.Sprintf("used %s, %s", when, forecast)
	case out.Energy == 0:
		out.Reason = fmt.Sprintf("used nothing, %s, where %s to %s were forecast", when, amount(low), amount(high))
	default:
		out.Reason = fmt.Sprintf("used %.0f %% of the least that was forecast, %s: %s", 100*out.Energy/low, when, forecast)
	}
	return out, true
}
