// Package watch examines how a model does on the points of an organisation, and the points themselves: live error beside the
// baseline's, drift, and what is out of the ordinary.
//
// It knows which forecasts are made again for it and when a training is called for; how errors, drift and oddities are
// judged, shared/watch and shared/anomaly say. It must not know SQL or the queue.
//
// Forecasts are made again from the history at the beginning of each day (UTC), as the agents make them again: the same history
// gives the same bits, and what agents tell of their days (Hear) differs where theirs does, as after a long outage or when an
// agent could not load the model. Those from before the model had ended learning count for nothing in its live error. Drift is looked
// for in the errors of a fixed rule, which are the same whatever model is active, so that a model that is new, or that has
// seen the year before, changes nothing.
package watch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/anomaly"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
	"fluxora.dev/shared/watch"
)

const (
	day       = 24 * time.Hour
	week      = 7 * day
	liveDays  = 42 // forecast again
	usualMost = 52 // weeks that a reference takes at most
	partBad   = 4  // a model is learnt anew when one point in so many has drifted
	leastBad  = 2  // but not for fewer
)

// Point is what was found of one point.
type Point struct {
	ID        string
	Register  meter.Register
	Live      watch.Live        // without days when there is no model, or its learning has only just ended
	Agent     watch.Live        // the same as its agent measured it; without days when it has told nothing
	Residuals watch.Verdict     // of the fixed rule
	Features  []watch.Verdict   // of Watched, in its order; empty when the history is too short
	Odd       []anomaly.Finding // of the last whole day
}

// Report is what an examination found.
type Report struct {
	To      meter.Millis // what was known
	Model   string       // id of the version examined; empty when there is none
	Points  []Point
	Live    watch.Live    // of all points together
	Agents  watch.Live    // the same as agents measured it, of the points that they told of
	Heard   int           // those points
	Drifted watch.Verdict // residuals of all points together
}

// Watched are the features whose drift is told: means over days, that move slowly. Single hours would cry wolf.
var Watched = [...]string{"window mean 24h", "window std 168h", "drift 168h"}

// Examine looks at all points. active may be nil.
func Examine(ctx context.Context, d train.Dataset, active *model.Artifact, threads int) (Report, error) {
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	_, to := d.Range()
	r := Report{To: to, Points: make([]Point, len(d.Points))}
	if active != nil {
		r.Model = active.ID
	}
	seen := make([]examined, len(d.Points))
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range max(1, min(threads, len(d.Points))) {
		wg.Go(func() {
			for i := range jobs {
				r.Points[i], seen[i] = examine(ctx, d.Points[i], to, active)
			}
		})
	}
	for i := range d.Points {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	weeks := make([]watch.Sketch, usualMost+watch.Span)
	days := daySums{}
	for _, s := range seen {
		for i := range weeks {
			weeks[i].Merge(s.weeks[i])
		}
		for _, x := range s.days {
			days.add(x)
		}
	}
	r.Drifted = judge(watch.MeasureKS, "errors of all points", weeks)
	r.Live = days.live(to)
	return r, nil
}

// Told is a day of a point as its agent measured it.
type Told struct {
	Point    string
	Register meter.Register
	watch.Day
}

// LiveFrom returns since when days count for the live errors of an examination.
func (r Report) LiveFrom() meter.Millis { return watch.DayOf(r.To.Add(-liveDays * day)) }

// Hear adds what agents told of the model's days, of each point and day once. Days before LiveFrom, and points that were not
// examined, count for nothing.
func (r *Report) Hear(told []Told) {
	type key struct {
		point    string
		register meter.Register
	}
	of := map[key][]watch.Day{}
	for _, t := range told {
		if t.Start >= r.LiveFrom() && t.Start < r.To {
			of[key{t.Point, t.Register}] = append(of[key{t.Point, t.Register}], t.Day)
		}
	}
	all := daySums{}
	for i, p := range r.Points {
		days := of[key{p.ID, p.Register}]
		if len(days) == 0 {
			continue
		}
		r.Heard++
		r.Points[i].Agent = watch.LiveOf(days, r.To)
		for _, d := range days {
			all.add(d)
		}
	}
	r.Agents = all.live(r.To)
}

// daySums are the scores of points added up, by day.
type daySums map[meter.Millis]watch.Day

func (s daySums) add(d watch.Day) {
	sum := s[d.Start]
	sum.Start = d.Start
	sum.Merge(d)
	s[d.Start] = sum
}

// live returns how the model did until an instant. Days are added in order, so that the same ones give the same bits.
func (s daySums) live(until meter.Millis) watch.Live {
	return watch.LiveOf(slices.SortedFunc(maps.Values(s), func(a, b watch.Day) int { return cmp.Compare(a.Start, b.Start) }), until)
}

// Retrain reports whether a training is called for, and why.
func (r Report) Retrain() (string, bool) {
	if why, bad := r.Live.Failing(); bad {
		return "on all points together, " + why, true
	}
	if why, bad := r.Agents.Failing(); bad {
		return fmt.Sprintf("as the agents of %d points measured it, %s", r.Heard, why), true
	}
	if r.Drifted.Drifted {
		return r.Drifted.Reason, true
	}
	drifted, why := 0, ""
	for _, p := range r.Points {
		if p.Residuals.Drifted {
			if drifted++; drifted == 1 {
				why = p.Residuals.Reason
			}
		}
	}
	if drifted >= leastBad && partBad*drifted >= len(r.Points) {
		return fmt.Sprintf("%d of %d points drifted; of the first, %s", drifted, len(r.Points), why), true
	}
	return "", false
}

// examined is what a point gives to the sums over all.
type examined struct {
	weeks [usualMost + watch.Span]watch.Sketch
	days  []watch.Day
}

// examine looks at one point. A history that ends long before the others' has nothing live.
func examine(ctx context.Context, p train.Point, to meter.Millis, active *model.Artifact) (Point, examined) {
	out := Point{ID: p.ID, Register: p.Register}
	var s examined
	if ctx.Err() != nil || p.History.Check() != nil {
		return out, s
	}
	var features [][]watch.Sketch
	s.weeks, features = sketches(p.History, to)
	out.Residuals = judge(watch.MeasureKS, "errors", s.weeks[:])
	for i, name := range Watched {
		out.Features = append(out.Features, judge(watch.MeasurePSI, name, features[i]))
	}
	replayed := watch.Replay(p.History, p.ID, p.Register, to, liveDays, active)
	forecasts := make([]forecast.Forecast, len(replayed))
	for i, r := range replayed {
		forecasts[i] = r.Forecast
		if r.Live {
			s.days = append(s.days, r.Day)
		}
	}
	out.Live = watch.LiveOf(s.days, to)
	if f, ok := anomaly.Last(p.History); ok && f.End > to.Add(-2*day) {
		out.Odd = append(out.Odd, f)
	}
	if f, ok := anomaly.JudgeLast(forecasts, p.History); ok && f.End > to.Add(-2*day) {
		out.Odd = append(out.Odd, f)
	}
	return out, s
}

// judge compares the last weeks with those before.
func judge(m watch.Measure, name string, weeks []watch.Sketch) watch.Verdict {
	usual := weeks[:len(weeks)-watch.Span]
	for len(usual) > 0 && usual[0].Known() == 0 {
		usual = usual[1:]
	}
	ref, ok := watch.NewReference(m, usual)
	if !ok {
		return watch.Verdict{}
	}
	return ref.Judge(name, weeks[len(weeks)-watch.Span:])
}

// rule is the fixed rule: the mean of the same hour in the last weeks, moved by most of how far the last day was from such
// means; and after its two features, those watched.
var rule = func() feature.Spec {
	text := "fluxora-features 1\nweeks mean 4\ndrift 24h\n"
	for _, name := range Watched {
		text += name + "\n"
	}
	spec, err := feature.ParseSpec(text)
	if err != nil {
		panic(err) // a constant
	}
	return spec
}()

const followed = 0.7 // share of the last day's drift that the rule expects to last

// sketches returns, for each of the last whole weeks, the errors of the fixed rule on forecasts of a day, and the features
// watched, four times a day.
func sketches(h feature.History, to meter.Millis) (errors [usualMost + watch.Span]watch.Sketch, features [][]watch.Sketch) {
	features = make([][]watch.Sketch, len(Watched))
	for i := range features {
		features[i] = make([]watch.Sketch, len(errors))
	}
	b := feature.NewBuilder(rule)
	from := watch.DayOf(to).Add(-time.Duration(len(errors)) * week)
	for w := range errors {
		seen := sketchWeek(b, h, from.Add(time.Duration(w)*week))
		errors[w] = seen[0]
		for i := range Watched {
			features[i][w] = seen[1+i]
		}
	}
	return errors, features
}

// sketchWeek returns the errors and then each of the features watched of the week that begins at from.
func sketchWeek(b *feature.Builder, h feature.History, from meter.Millis) (seen [1 + len(Watched)]watch.Sketch) {
	var row [2 + len(Watched)]float32
	for q := range 4 * 7 {
		origin := from.Add(time.Duration(q) * 6 * time.Hour)
		if origin < h.Start || origin >= h.End() || b.Reset(h, origin) != nil || b.Known() == 0 {
			continue
		}
		b.Row(1, row[:])
		for i := range Watched {
			seen[1+i].Add(float64(row[2+i]))
		}
		if q%4 != 0 {
			continue
		}
		for step := 1; step <= int(day/h.Resolution); step++ {
			b.Row(step, row[:])
			if r := watch.Residual(b.Target(step), float64(row[0])+followed*float64(row[1]), 1); r == r {
				seen[0].Add(r)
			}
		}
	}
	return seen
}
