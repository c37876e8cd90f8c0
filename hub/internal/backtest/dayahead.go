package backtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// DayAhead is the common day-ahead protocol: from one origin a day, over the last weeks of every meter, the next 24 hours
// are forecast by models that were fitted once, before.
//
// Each meter has its own weeks, for recordings end at different times. No model may have learnt from anything at or after
// the first origin it is scored from, not of any meter: what all buildings did on a day says much of what one did. Where
// meters end far apart a fit is made for each group of them (Cuts).
type DayAhead struct {
	Days   int           // origins of a meter; 0 means 56
	At     time.Duration // time of day of the origins, UTC; OriginOf gives that of a zone
	Levels []float64     // nil means forecast.DefaultLevels()
	Back   int           // days at the end of each history that are left aside: settings are chosen on what comes before the days of a test
	Stale  time.Duration // how old the newest reading is at each origin, as at a site whose meter is out of reach; whole days
	Seen   time.Duration // how much of a meter's history contenders are shown, as of one newly installed; 0 means all
	Learn  int           // days before a cut that models learn from; 0 means all there are
	Keep   *ForecastFile // takes every forecast that is scored; nil: none
}

const (
	dayAheadDays  = 56
	dayAheadReach = 540 * day // before the first origin: what MASE is scaled by
	leastBefore   = 8 * day   // of history before the first origin: a week to look back and a day of errors
	cutApart      = 28 * day  // first origins closer than this share a fit
	mostCuts      = 4
)

// OriginOf returns the UTC time of day, in whole hours, at which a day begins by the standard time of a zone.
func OriginOf(zone *time.Location, year int) time.Duration {
	_, winter := time.Date(year, 1, 15, 0, 0, 0, 0, zone).Zone()
	_, summer := time.Date(year, 7, 15, 0, 0, 0, 0, zone).Zone()
	standard := time.Duration(min(winter, summer)) * time.Second
	return ((24*time.Hour - standard) % (24 * time.Hour)).Truncate(time.Hour)
}

func (o DayAhead) withDefaults() DayAhead {
	if o.Days == 0 {
		o.Days = dayAheadDays
	}
	if len(o.Levels) == 0 {
		o.Levels = forecast.DefaultLevels()
	}
	return o
}

// Window is what one meter is scored on.
type Window struct {
	Point train.Point
	First meter.Millis // origin
	Last  meter.Millis // origin
	Scale float64      // mean absolute difference from the week before, in-sample: what MASE divides by
}

// Windows returns the windows of the points that hold enough, and why others were left out.
func (o DayAhead) Windows(d train.Dataset) (in []Window, left []error) {
	o = o.withDefaults()
	for _, p := range d.Points {
		end := lastKnown(p.History).Add(-time.Duration(o.Back) * day)
		p.History = p.History.Before(end)
		h := p.History
		last := end.Floor(day).Add(o.At)
		for last.Add(day) > end {
			last = last.Add(-day)
		}
		w := Window{Point: p, First: last.Add(-time.Duration(o.Days-1) * day), Last: last}
		if have := w.First.Sub(h.Start); have < leastBefore {
			left = append(left, fmt.Errorf("point %s: the first of %d origins would be %s after its history begins: want at least %s", p.ID, o.Days, max(0, have), time.Duration(leastBefore)))
			continue
		}
		w.Scale = forecast.WeeklyScale(h.Since(w.First.Add(-dayAheadReach)), w.First)
		in = append(in, w)
	}
	return in, left
}

// lastKnown returns the end of the last known interval.
func lastKnown(h feature.History) meter.Millis {
	for i := len(h.Energy) - 1; i >= 0; i-- {
		if v := h.Energy[i]; v == v {
			return h.Start.Add(time.Duration(i+1) * h.Resolution)
		}
	}
	return h.Start
}

// Cut is a fit: of what lies before To, for the windows that begin at or after it.
type Cut struct {
	To      meter.Millis
	Windows []Window
}

// Cuts groups windows by their first origins. A cut is the earliest first origin of its group.
func Cuts(ws []Window) []Cut {
	ws = slices.Clone(ws)
	slices.SortStableFunc(ws, func(a, b Window) int { return cmp.Compare(a.First, b.First) })
	for apart := time.Duration(cutApart); ; apart *= 2 {
		var out []Cut
		for _, w := range ws {
			if n := len(out); n == 0 || w.First.Sub(out[n-1].To) > apart {
				out = append(out, Cut{To: w.First})
			}
			at := &out[len(out)-1]
			at.Windows = append(at.Windows, w)
		}
		if len(out) <= mostCuts {
			return out
		}
	}
}

// Learn returns what models of a cut may learn from: that many days before it, all for 0.
func (c Cut) Learn(d train.Dataset, days int) train.Dataset {
	var out train.Dataset
	for _, p := range d.Before(c.To).Points {
		if days > 0 {
			p.History = p.History.Since(c.To.Add(-time.Duration(days) * day))
		}
		if len(p.History.Energy) > 0 {
			out.Points = append(out.Points, p)
		}
	}
	return out
}

// DayScore is how a contender did on one meter.
type DayScore struct {
	Bands  [dayBands]forecast.Score // by lead
	Scale  float64
	Failed int // origins from which it had to be replaced by a baseline or profile
}

// dayEdges part the leads of a day; the last band ends at 24 h.
var dayEdges = [...]time.Duration{6 * time.Hour, 12 * time.Hour, 18 * time.Hour}

const dayBands = len(dayEdges) + 1

// DayBandNames names the horizon bands of the protocol, in order.
func DayBandNames() []string { return []string{"0-6h", "6-12h", "12-18h", "18-24h"} }

// Score scores contenders on windows, on the same intervals. The result is by window, then contender.
func (o DayAhead) Score(ctx context.Context, ws []Window, contenders []Contender, threads int) ([][]DayScore, error) {
	o = o.withDefaults()
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	out, errs := make([][]DayScore, len(ws)), make([]error, len(ws))
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range max(1, min(threads, len(ws))) {
		wg.Go(func() {
			makes := make([]Make, len(contenders))
			for i, c := range contenders {
				makes[i] = c.New()
			}
			for i := range jobs {
				out[i], errs[i] = o.scoreOne(ctx, ws[i], contenders, makes)
			}
		})
	}
	for i := range ws {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, errors.Join(errs...)
}

// scoreOne replays one window.
func (o DayAhead) scoreOne(ctx context.Context, w Window, contenders []Contender, makes []Make) ([]DayScore, error) {
	out := make([]DayScore, len(makes))
	h := w.Point.History
	horizon := int(day / h.Resolution)
	made := make([]forecast.Forecast, len(makes))
	var keep []forecast.Forecast
	for origin := w.First; origin <= w.Last && ctx.Err() == nil; origin = origin.Add(day) {
		before := h.Before(origin.Add(-o.Stale))
		if o.Seen > 0 {
			before = before.Since(origin.Add(-o.Seen))
		}
		known := true
		for i, mk := range makes {
			f, err := mk(before, w.Point, origin, horizon)
			if err != nil {
				out[i].Failed++
				f, err = replacement(before, w.Point, origin, horizon, o.Levels)
			}
			if err != nil && !errors.Is(err, forecast.ErrNoHistory) {
				return nil, fmt.Errorf("point %s, origin %s: %w", w.Point.ID, origin, err)
			}
			made[i], known = f, known && err == nil
		}
		if !known { // weeks without a reading: nobody can say anything
			continue
		}
		if o.Keep != nil {
			keep = append(keep, made...)
		}
		for s := range horizon {
			start := origin.Add(time.Duration(s) * h.Resolution)
			actual := h.At(start)
			if math.IsNaN(actual) {
				continue
			}
			band := 0
			for band < len(dayEdges) && start.Sub(origin) >= dayEdges[band] {
				band++
			}
			for i, f := range made {
				l := len(f.Levels)
				out[i].Bands[band].Add(f.Levels, f.Values[s*l:(s+1)*l], actual)
			}
		}
	}
	for i := range out {
		out[i].Scale = w.Scale
	}
	if o.Keep == nil {
		return out, nil
	}
	var names []string
	for _, c := range contenders {
		names = append(names, c.Name)
	}
	return out, o.Keep.add(w, names, keep)
}

// replacement forecasts as an agent does when its model cannot.
func replacement(h feature.History, p train.Point, origin meter.Millis, horizon int, levels []float64) (forecast.Forecast, error) {
	f, err := forecast.MakeBaseline(h, p.ID, p.Register, origin, horizon, levels, origin)
	if err != nil {
		f, err = forecast.MakeProfile(h, p.ID, p.Register, origin, horizon, levels, origin)
	}
	return f, err
}

// DayFigures are the scores of a contender over meters, as the protocol defines them: means of each meter's own figure. A
// meter without the figure (one that never changes has no MASE) is left out of that mean.
type DayFigures struct {
	MASE     float64            `json:"mase"`       // mean absolute error of the median over Window.Scale
	NMAE     float64            `json:"nmae"`       // the same over mean energy
	NRMSE    float64            `json:"nrmse"`      // root mean squared error over mean energy
	NPinball float64            `json:"npinball"`   // mean pinball loss over mean energy
	Coverage float64            `json:"coverage80"` // share of actuals within the outer levels
	Bands    map[string]float64 `json:"coverage80_by_band"`
}

// Figures sums up the scores of one contender, by window.
func Figures(scores []DayScore) DayFigures {
	f := DayFigures{Bands: map[string]float64{}}
	var mase, nmae, nrmse, pinball, coverage []float64
	bands := make([][]float64, dayBands)
	for _, s := range scores {
		var whole forecast.Score
		for b, part := range s.Bands {
			whole.Merge(part)
			if part.Count > 0 {
				bands[b] = append(bands[b], part.Coverage())
			}
		}
		if whole.Count == 0 {
			continue
		}
		coverage = append(coverage, whole.Coverage())
		if s.Scale > 0 {
			mase = append(mase, whole.MAE()/s.Scale)
		}
		if m := whole.Mean(); m > 0 {
			nmae, nrmse, pinball = append(nmae, whole.MAE()/m), append(nrmse, whole.RMSE()/m), append(pinball, whole.MeanPinball()/m)
		}
	}
	f.MASE, f.NMAE, f.NRMSE, f.NPinball, f.Coverage = meanOf(mase), meanOf(nmae), meanOf(nrmse), meanOf(pinball), meanOf(coverage)
	for b, name := range DayBandNames() {
		f.Bands[name] = meanOf(bands[b])
	}
	return f
}
