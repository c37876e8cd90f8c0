// Package backtest replays the past: it forecasts from origins whose future is known and scores what came out.
//
// It knows contenders, folds and scores, and the rule by which a candidate earns its place (verdict.go). It must not know
// SQL or the registry. Every contender, baselines included, goes through package forecast, the code that agents run.
//
// Invariants: a contender is given the history before the origin and nothing else; all contenders are scored on the same
// intervals; a contender that cannot forecast from an origin is counted, and that origin is scored for none.
package backtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// ErrNothing says that no interval could be scored.
var ErrNothing = errors.New("nothing to backtest on")

// Make forecasts from an origin given the history before it.
type Make func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error)

// Contender is something that forecasts.
type Contender struct {
	Name  string
	Model string      // id of the model version; empty for baselines
	New   func() Make // one for each goroutine
}

// Names of the contenders that every backtest has.
const (
	Naive    = "seasonal-naive" // a week before
	FourWeek = "four-week-mean"
	DayNaive = "day-naive"
	Similar  = "similar-days"
)

// Artifact returns a contender that forecasts with a model.
func Artifact(name string, art *model.Artifact, levels []float64) Contender {
	return Contender{Name: name, Model: art.ID, New: func() Make {
		var m forecast.Maker
		return func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
			m.Site = p.Site
			return m.Make(h, p.Known(), p.Register, origin, horizon, art, forecast.Active, levels, origin)
		}
	}}
}

// Refitted returns a contender that forecasts with the newest of several fits of one model that had ended learning by the
// origin, as a model does that is trained again and again. arts must be in order of TrainedTo, and the first must have
// ended before any origin.
func Refitted(name string, arts []*model.Artifact, levels []float64) Contender {
	return Contender{Name: name, New: func() Make {
		var m forecast.Maker
		return func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
			art := arts[0]
			for _, a := range arts[1:] {
				if a.TrainedTo <= origin {
					art = a
				}
			}
			m.Site = p.Site
			return m.Make(h, p.Known(), p.Register, origin, horizon, art, forecast.Active, levels, origin)
		}
	}}
}

// Baselines returns the forecasts that no model is needed for, from a point's own history.
func Baselines(levels []float64) []Contender {
	baseline := func(name string, rule func(h feature.History, point string, register meter.Register, origin meter.Millis, horizon int, levels []float64, now meter.Millis) (forecast.Forecast, error)) Contender {
		return Contender{Name: name, New: func() Make {
			return func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
				return rule(h, p.ID, p.Register, origin, horizon, levels, origin)
			}
		}}
	}
	return []Contender{
		baseline(Naive, forecast.MakeNaive),
		baseline(FourWeek, forecast.MakeBaseline),
		baseline(DayNaive, forecast.MakeDayNaive),
		baseline(Similar, forecast.MakeSimilar),
	}
}

// Options say what is replayed.
type Options struct {
	From    meter.Millis  // first origin, rounded up to the grid
	To      meter.Millis  // no origin at or after it; 0 means the end of the data
	Stride  time.Duration // between origins of a point; 0 means 24 h
	Horizon time.Duration // 0 means 48 h
	Levels  []float64     // what the contenders forecast; nil means forecast.DefaultLevels()
	Threads int           // 0 means the number of processors
}

func (o Options) withDefaults() Options {
	if o.Stride == 0 {
		o.Stride = 24 * time.Hour
	}
	if o.Horizon == 0 {
		o.Horizon = 48 * time.Hour
	}
	if len(o.Levels) == 0 {
		o.Levels = forecast.DefaultLevels()
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	return o
}

// bandEdges parts scores by lead: the first hours, the first day, the second, the rest.
var bandEdges = []time.Duration{6 * time.Hour, 24 * time.Hour, 48 * time.Hour}

// tally is what one point adds up to for one contender.
type tally struct {
	bands  [4]forecast.Score
	failed int
	why    error
}

// Run scores the contenders on the points from every origin of o.
func Run(ctx context.Context, d train.Dataset, contenders []Contender, o Options) (Report, error) {
	o = o.withDefaults()
	if len(contenders) == 0 {
		return Report{}, errors.New("backtest: no contenders")
	}
	_, end := d.Range()
	if o.To == 0 || o.To > end {
		o.To = end
	}
	tallies := make([][]tally, len(d.Points)) // by point, then contender
	scales := make([]float64, len(d.Points))
	folds := make([]int, len(d.Points))
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range max(1, min(o.Threads, len(d.Points))) {
		wg.Go(func() {
			makes := make([]Make, len(contenders))
			for i, c := range contenders {
				makes[i] = c.New()
			}
			for i := range jobs {
				tallies[i], folds[i] = replay(ctx, d.Points[i], makes, o)
				scales[i] = forecast.WeeklyScale(d.Points[i].History, o.From)
			}
		})
	}
	for i := range d.Points {
		if ctx.Err() != nil {
			break
		}
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	if ctx.Err() != nil {
		return Report{}, context.Cause(ctx)
	}
	r := report(contenders, tallies, scales, folds, o)
	if r.Folds == 0 {
		why := fmt.Errorf("no known interval from %s to %s", o.From, o.To)
		for _, ts := range tallies {
			for _, t := range ts {
				if t.why != nil {
					why = t.why
				}
			}
		}
		return r, fmt.Errorf("backtest: %w: %w", ErrNothing, why)
	}
	return r, nil
}

// replay forecasts one point from every origin with every contender.
func replay(ctx context.Context, p train.Point, makes []Make, o Options) ([]tally, int) {
	out := make([]tally, len(makes))
	h := p.History
	horizon := int(o.Horizon / h.Resolution)
	made := make([]forecast.Forecast, len(makes))
	folds := 0
	first := o.From.Add(h.Resolution - time.Millisecond).Floor(h.Resolution)
	for origin := first; origin < o.To && ctx.Err() == nil; origin = origin.Add(o.Stride) {
		before := h.Before(origin)
		ok := true
		for i, mk := range makes {
			var err error
			if made[i], err = mk(before, p, origin, horizon); err != nil {
				out[i].failed++
				out[i].why, ok = fmt.Errorf("point %s, origin %s: %w", p.ID, origin, err), false
			}
		}
		if !ok {
			continue
		}
		scored := false
		for step := 1; step <= horizon; step++ {
			start := origin.Add(time.Duration(step-1) * h.Resolution)
			if start >= o.To {
				break
			}
			actual := h.At(start)
			if actual != actual {
				continue
			}
			scored = true
			band := bandOf(start.Sub(origin))
			for i, f := range made {
				l := len(f.Levels)
				out[i].bands[band].Add(f.Levels, f.Values[(step-1)*l:step*l], actual)
			}
		}
		if scored {
			folds++
		}
	}
	return out, folds
}

func bandOf(lead time.Duration) int {
	for i, e := range bandEdges {
		if lead < e {
			return i
		}
	}
	return len(bandEdges)
}
