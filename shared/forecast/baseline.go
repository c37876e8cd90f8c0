package forecast

import (
	"fmt"
	"math"
	"sort"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Reach is how much history before the origin baselines and profiles use: four weeks of errors, each of a forecast that
// looked back four weeks.
const Reach = 59 * 24 * time.Hour

const (
	errorDays   = 28 // days before the origin whose errors give the intervals
	leastErrors = 20 // fewer errors than this at a time of day are pooled with all others
)

// season predicts the interval that starts at t from what is known at the origin, NaN when it cannot.
type season func(p *past, origin, t meter.Millis) float64

// MakeBaseline forecasts the mean of the same local hour in the last four weeks, with quantiles of the errors that this
// rule made over the last four weeks at the same time of day. It needs a week of history and a day of errors.
func MakeBaseline(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	return makeSeasonal(fourWeekMean, h, point, register, origin, horizon, levels, now)
}

// MakeNaive forecasts what was used at the same local time a week before, with quantiles as MakeBaseline has them. It is
// the yardstick of backtests: MASE is the error relative to its own.
func MakeNaive(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	return makeSeasonal(weekBefore, h, point, register, origin, horizon, levels, now)
}

// fourWeekMean is the mean of the same local time one to four known weeks before.
func fourWeekMean(p *past, origin, t meter.Millis) float64 {
	sum, n := 0.0, 0
	first := p.weeks(origin, t)
	for k := range 4 {
		if v := p.at(origin, p.clock.Back(t, 7*(first+k))); v == v {
			sum += v
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

// weekBefore is the last known week at the same local time.
func weekBefore(p *past, origin, t meter.Millis) float64 {
	first := p.weeks(origin, t)
	for k := range 4 {
		if v := p.at(origin, p.clock.Back(t, 7*(first+k))); v == v {
			return v
		}
	}
	return math.NaN()
}

// past reads a history as it was known at an origin.
type past struct {
	h     feature.History
	clock feature.Clock
}

// at returns the energy of the interval that starts at t if it was over at the origin.
func (p *past) at(origin, t meter.Millis) float64 {
	if t >= origin {
		return math.NaN()
	}
	return p.h.At(t)
}

// weeks returns the smallest number of weeks that leads from t back to an interval that is over at the origin.
func (p *past) weeks(origin, t meter.Millis) int {
	return int((t.Sub(origin)+p.h.Resolution-1)/(7*24*time.Hour)) + 1
}

func makeSeasonal(rule season, h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	f, p, err := begin(h, point, register, origin, horizon, levels, now)
	if err != nil {
		return Forecast{}, err
	}
	f.Rung = Baseline
	day := int(24 * time.Hour / h.Resolution)
	// Errors by step of the first day; step s of any day is at the same time of day as step s mod day.
	errs := make([][]float64, day)
	total := 0
	for d := 1; d <= errorDays; d++ {
		then := p.clock.Back(origin, d)
		for s := range day {
			t := p.clock.Back(origin.Add(time.Duration(s)*h.Resolution), d)
			actual := p.at(origin, t)
			// Errors at the lead of the first day serve all steps: a rule that looks back whole weeks is as far from
			// the target on the second day as on the first.
			if e := actual - rule(p, min(then, t), t); e == e {
				errs[s] = append(errs[s], e)
				total++
			}
		}
	}
	if total < day {
		return Forecast{}, fmt.Errorf("%w: the baseline needs eight days, with errors of a day: got %d of %d", ErrShortHistory, total, day)
	}
	spread := newSpread(errs, h.Resolution)
	for s := range horizon {
		centre := rule(p, origin, origin.Add(time.Duration(s)*h.Resolution))
		if centre != centre {
			return Forecast{}, fmt.Errorf("%w: nothing is known whole weeks before step %d", ErrShortHistory, s+1)
		}
		f.Values = appendQuantiles(f.Values, centre, spread.at(s%day), f.Levels)
	}
	return f, f.Check()
}

// begin checks a request and fills in what forecasts without a model share.
func begin(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, *past, error) {
	if err := h.Check(); err != nil {
		return Forecast{}, nil, err
	}
	if err := checkHorizon(horizon); err != nil {
		return Forecast{}, nil, err
	}
	if len(levels) == 0 {
		levels = DefaultLevels()
	}
	if err := CheckLevels(levels); err != nil {
		return Forecast{}, nil, err
	}
	if origin.Floor(h.Resolution) != origin {
		return Forecast{}, nil, fmt.Errorf("origin %s: want a boundary of %s", origin, h.Resolution)
	}
	h = h.Before(origin).Since(origin.Add(-Reach))
	f := Forecast{Point: point, Register: register, Origin: origin, Resolution: h.Resolution, Levels: levels, Issued: now}
	known := 0
	for _, v := range h.Since(origin.Add(-feature.ScaleWindow)).Energy {
		if v == v {
			known++
		}
	}
	f.Completeness = float64(known) / float64(feature.ScaleWindow/h.Resolution)
	f.Values = make([]float64, 0, horizon*len(levels))
	return f, &past{h: h, clock: feature.NewClock(h.Zone)}, nil
}

// spread holds sorted errors by time of day.
type spread struct {
	byTime [][]float64
	all    []float64
}

// newSpread pools each time of day with the half hour or hour around it, and falls back on all errors where few are left.
func newSpread(errs [][]float64, resolution time.Duration) spread {
	near := max(1, int(30*time.Minute/resolution))
	var s spread
	for _, e := range errs {
		s.all = append(s.all, e...)
	}
	sort.Float64s(s.all)
	s.byTime = make([][]float64, len(errs))
	for i := range errs {
		var pool []float64
		for k := -near; k <= near; k++ {
			pool = append(pool, errs[(i+k+len(errs))%len(errs)]...)
		}
		if len(pool) < leastErrors {
			s.byTime[i] = s.all
			continue
		}
		sort.Float64s(pool)
		s.byTime[i] = pool
	}
	return s
}

func (s spread) at(i int) []float64 { return s.byTime[i] }

// appendQuantiles appends centre plus the quantiles of sorted errors, never below zero.
func appendQuantiles(dst []float64, centre float64, sorted, levels []float64) []float64 {
	for _, l := range levels {
		dst = append(dst, max(0, centre+quantile(sorted, l)))
	}
	return dst
}

// quantile returns the conformal quantile of sorted values: position l·(n+1), interpolated, so that n exchangeable errors
// cover the next one with the probability the level names.
func quantile(sorted []float64, l float64) float64 {
	at := float64(l*float64(len(sorted)+1)) - 1
	if at <= 0 {
		return sorted[0]
	}
	i := int(at)
	if i >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + float64((sorted[i+1]-sorted[i])*(at-float64(i)))
}
