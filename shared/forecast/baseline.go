package forecast

import (
	"fmt"
	"math"
	"sort"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

// Reach is how much history before the origin baselines and profiles use: four weeks of errors, each of a forecast that
// looked back four weeks.
const Reach = 59 * 24 * time.Hour

const (
	errorDays   = 28 // days before the origin whose errors give the intervals
	leastErrors = 20 // fewer errors than this at a time of day are pooled with all others
)

// season is a rule that predicts an interval from what was at the same local time of earlier days.
type season struct {
	// at predicts the interval that starts at t from what is known at the origin, NaN when it cannot.
	at func(p *past, origin, t meter.Millis) float64
	// fades says that the second day is known less well than the first. Rules that look back whole weeks are as far from
	// the target on both.
	fades bool
}

// MakeBaseline forecasts the mean of the same local hour in the last four weeks, with quantiles of the errors that this
// rule made over the last four weeks at the same time of day. It needs a week of history and a day of errors.
func MakeBaseline(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	return makeSeasonal(season{at: fourWeekMean}, h, point, register, origin, horizon, levels, now)
}

// MakeNaive forecasts what was used at the same local time a week before, with quantiles as MakeBaseline has them. It is
// the yardstick of backtests: MASE is the error relative to its own.
func MakeNaive(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	return makeSeasonal(season{at: weekBefore}, h, point, register, origin, horizon, levels, now)
}

// MakeDayNaive forecasts what was used at the same local time on the last known day, with quantiles of the errors that
// this made as far ahead. It needs two days of history.
func MakeDayNaive(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	return makeSeasonal(season{at: lastKnown, fades: true}, h, point, register, origin, horizon, levels, now)
}

// MakeSimilar forecasts the mean of the same local time on the last four similar days, be they working days, Saturdays,
// Sundays and holidays, or vacations, with quantiles of the errors that this made as far ahead. It needs two days of history.
func MakeSimilar(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (Forecast, error) {
	return makeSeasonal(season{at: similarDays, fades: true}, h, point, register, origin, horizon, levels, now)
}

// past reads a history as it was known at an origin.
type past struct {
	h        feature.History
	clock    feature.Clock
	holidays *holiday.Calendar // nil: not known
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
	var of spread
	for s := range horizon {
		if s%day == 0 && (s == 0 || rule.fades) {
			errs, total := rule.errors(p, origin, s/day)
			if total < day && s == 0 {
				return Forecast{}, fmt.Errorf("%w: the baseline needs a day of errors of its own: got %d of %d", ErrShortHistory, total, day)
			}
			if total >= day {
				of = newSpread(errs, h.Resolution)
			}
		}
		centre := rule.at(p, origin, origin.Add(time.Duration(s)*h.Resolution))
		if centre != centre {
			return Forecast{}, fmt.Errorf("%w: nothing is known at the local time of step %d on earlier days", ErrShortHistory, s+1)
		}
		f.Values = appendQuantiles(f.Values, centre, of.at(s%day), f.Levels)
	}
	return f, f.Check()
}

// errors returns the errors that the rule made in the last weeks at each time of day, from origins at the same time of day
// so many days ahead of the target's day, and how many there are.
func (rule season) errors(p *past, origin meter.Millis, ahead int) (errs [][]float64, total int) {
	errs = make([][]float64, int(24*time.Hour/p.h.Resolution))
	for d := 1; d <= errorDays; d++ {
		then := p.clock.Back(origin, d+ahead)
		for s := range errs {
			t := p.clock.Back(origin.Add(time.Duration(s)*p.h.Resolution), d)
			if e := p.at(origin, t) - rule.at(p, min(then, t), t); e == e {
				errs[s] = append(errs[s], e)
				total++
			}
		}
	}
	return errs, total
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
	p := &past{h: h, clock: feature.NewClock(h.Zone)}
	if h.Site != nil && h.Site.Country != "" {
		var err error
		if p.holidays, err = holiday.Of(h.Site.Country); err != nil {
			return Forecast{}, nil, err
		}
	}
	return f, p, nil
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
