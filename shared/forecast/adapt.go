package forecast

import (
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Adapter moves, widens and narrows the forecasts of one point by how its earlier ones turned out.
//
//   - Leaning: on which side of the model's middle level the point has lain these days. All levels move a little that way, by at
//     most a quarter of the half-breadth (leaning.go).
//   - Restlessness, of the point as a whole and of the last day or two: how far what happened strayed beside how far the model
//     said it would (restless.go). Wild days follow wild days.
//   - A factor for each horizon band and side: after each interval that is over, it grows a little when the outer level as served
//     was passed, and shrinks by less when it was not, so that in the long run a level is passed as often as it says, whatever
//     the point does. That is adaptive conformal inference (Gibbs and Candès, 2021), with steps in proportion as quantile
//     tracking takes them (Angelopoulos, Candès and Tibshirani, 2023).
//
// One adapter outlives many models: what it learns is by what factor a model misjudges this point. It also outlives the program
// that holds it (adapt_state.go). Intervals are learnt from in order of time, so that what an adapter knows follows from the
// forecasts that it kept and from the history, not from how often it was asked. The zero value changes nothing yet. It must
// not be used by two goroutines at once.
type Adapter struct {
	low, high float64 // the outer levels of the forecasts that were learnt from
	restless  restless
	leaning   leaning
	bands     [adaptBands]adapted
	kept      []kept // by origin
	unsaved   bool   // a forecast was kept since the state was last encoded
}

// adapted is what was learnt of a horizon band.
type adapted struct {
	factor [2]float64 // of the breadth below and above when the point is as restless as it was expected to be, less 1
	tally  Tally
}

// Tally counts lately served intervals by where what happened lay. An interval counts its length in hours, and the less the
// longer ago it was: half of it after four weeks of such intervals.
type Tally struct{ Below, Within, Above float64 }

// Coverage returns the share that lay within, NaN when nothing was counted.
func (t Tally) Coverage() float64 { return t.Within / (t.Below + t.Within + t.Above) }

// Hours returns how many hours of intervals count.
func (t Tally) Hours() float64 { return t.Below + t.Within + t.Above }

// kept is a forecast, the first steps of which have been learnt from.
type kept struct {
	origin     meter.Millis
	resolution time.Duration
	next       int // the step from which on nothing was learnt yet
	steps      []keptStep
}

// keptStep holds the lowest, the middle and the highest level of a step, Wh: as the model had them and as they were served.
type keptStep struct{ model, served [3]float32 }

// end returns when the interval of the next step is over.
func (k *kept) end() meter.Millis { return k.origin.Add(time.Duration(k.next) * k.resolution) }

const (
	adaptApart = 20 * time.Hour // between forecasts that are learnt from: more say the same again
	adaptFresh = 6 * time.Hour  // forecasts made without the readings of so long are not learnt from
	adaptReach = 48 * time.Hour // from the origin: later steps are not learnt from
	adaptRate  = 0.025          // of an hour
	adaptLeast = 0.1
	adaptMost  = 10.0
	maxKept    = 4
	maxKeptFor = 576 // steps: 48 hours of five minutes

	tallyHours = 4 * 7 * 24 / 0.693 // whose counts halve in four weeks
)

// adaptEdges part the leads that are learnt apart.
var adaptEdges = [...]time.Duration{6 * time.Hour, 12 * time.Hour, 18 * time.Hour, 24 * time.Hour}

const adaptBands = len(adaptEdges) + 1

// adaptBand returns the horizon band of a lead.
func adaptBand(lead time.Duration) int {
	for i, e := range adaptEdges {
		if lead < e {
			return i
		}
	}
	return len(adaptEdges)
}

// AdaptBandNames names the horizon bands that are learnt apart, in order.
func AdaptBandNames() []string { return []string{"0-6h", "6-12h", "12-18h", "18-24h", "24h-"} }

// Coverage returns by horizon band where what happened lay in the intervals that were served.
func (a *Adapter) Coverage() []Tally {
	out := make([]Tally, adaptBands)
	for i, b := range a.bands {
		out[i] = b.tally
	}
	return out
}

// Nominal returns the share of intervals that ought to be covered, 0 before the first forecast.
func (a *Adapter) Nominal() float64 { return a.high - a.low }

// Adapt learns from what h tells of earlier forecasts and returns f as it ought to have been: moved, and its intervals as wide.
// h must hold nothing at or after f.Origin. f may be kept to be learnt from; it is not changed.
func (a *Adapter) Adapt(f Forecast, h feature.History) Forecast {
	l, middle := len(f.Levels), f.Level(0.5)
	a.meet(f)
	a.learn(h, f.Origin)
	out := f
	out.Values = append([]float64(nil), f.Values...)
	rest := a.restless.factor()
	for s := 1; s <= f.Steps(); s++ {
		row := out.Values[(s-1)*l : s*l]
		lead := time.Duration(s-1) * f.Resolution
		factor := a.bands[adaptBand(lead)].factor
		below, above := float64((1+factor[0])*rest), float64((1+factor[1])*rest)
		for i, v := range row {
			if i < middle && below != 1 { // what nothing was learnt of keeps its bits
				row[i] = max(0, row[middle]-float64((row[middle]-v)*below))
			} else if i > middle && above != 1 {
				row[i] = row[middle] + float64((v-row[middle])*above)
			}
		}
		if shift := float64(a.leaning.shift(dayPart(f.Start(s), h.Zone), lead) * (row[l-1] - row[0]) / 2); shift != 0 {
			for i := range row {
				row[i] = max(0, row[i]+shift)
			}
		}
	}
	a.keep(f, out)
	return out
}

// meet makes a ready for forecasts like f. Other levels, another resolution and a clock that was put back leave nothing to
// learn from what was kept; the factors stay, for a point that strays twice as far as its model says does so at any level.
func (a *Adapter) meet(f Forecast) {
	low, high := f.Levels[0], f.Levels[len(f.Levels)-1]
	if a.low != low || a.high != high {
		a.low, a.high, a.kept = low, high, nil
		for i := range a.bands {
			a.bands[i].tally = Tally{}
		}
	}
	rest := a.kept[:0]
	for _, k := range a.kept {
		if k.resolution == f.Resolution && k.origin <= f.Origin {
			rest = append(rest, k)
		}
	}
	a.kept = rest
}

// keep keeps a forecast and what was served of it, unless the last one that was kept is but hours old. What was forecast without
// the newest readings says little about how forecasts with them do.
func (a *Adapter) keep(f, served Forecast) {
	if f.Stale >= adaptFresh {
		return
	}
	if n := len(a.kept); n > 0 && f.Origin.Sub(a.kept[n-1].origin) < adaptApart {
		return
	}
	if len(a.kept) == maxKept {
		a.kept = append(a.kept[:0], a.kept[1:]...)
	}
	k := kept{origin: f.Origin, resolution: f.Resolution, next: 1}
	l, middle := len(f.Levels), f.Level(0.5)
	for s := range min(f.Steps(), maxKeptFor, int(adaptReach/f.Resolution)) {
		var step keptStep
		for i, at := range [3]int{0, middle, l - 1} {
			step.model[i], step.served[i] = float32(f.Values[s*l+at]), float32(served.Values[s*l+at])
		}
		k.steps = append(k.steps, step)
	}
	a.kept = append(a.kept, k)
	a.unsaved = true
}

// learn goes through the steps of kept forecasts that were over at an instant, in order of time.
func (a *Adapter) learn(h feature.History, now meter.Millis) {
	for {
		var next *kept
		for i := range a.kept {
			if k := &a.kept[i]; k.next <= len(k.steps) && k.end() <= now && (next == nil || k.end() < next.end()) {
				next = k
			}
		}
		if next == nil {
			break
		}
		lead := time.Duration(next.next-1) * next.resolution
		if start := next.origin.Add(lead); h.At(start) == h.At(start) {
			a.observe(next.steps[next.next-1], lead, next.resolution, dayPart(start, h.Zone), h.At(start))
		}
		next.next++
	}
	rest := a.kept[:0]
	for i, k := range a.kept {
		if k.next <= len(k.steps) || i == len(a.kept)-1 { // the last one tells when the next is due
			rest = append(rest, k)
		}
	}
	a.kept = rest
}

// observe learns from one interval, which lies in a part of the local day.
func (a *Adapter) observe(s keptStep, lead, resolution time.Duration, part int, actual float64) {
	b := &a.bands[adaptBand(lead)]
	hours := float64(resolution) / float64(time.Hour)
	b.tally.add(s.served, actual, hours)
	if lead < restlessLead {
		a.restless.observe(float64(s.model[2])-float64(s.model[0]), tailScore(a.low)+tailScore(1-a.high), actual-float64(s.served[1]), hours)
	}
	if lead < leanLead {
		a.leaning.observe(part, actual-float64(s.model[1]), (float64(s.served[2])-float64(s.served[0]))/2, hours)
	}
	// Resolutions finer than an hour learn no faster: their intervals say much the same.
	rate := adaptRate * hours
	passed := [2]bool{actual < float64(s.served[0]), actual > float64(s.served[2])}
	for side, miss := range [2]float64{a.low, 1 - a.high} {
		if miss >= 0.5 { // there is no level on this side
			continue
		}
		k := 1 + b.factor[side]
		if passed[side] {
			k += float64(float64(rate*(1-miss)) * k)
		} else {
			k -= float64(float64(rate*miss) * k)
		}
		b.factor[side] = max(adaptLeast, min(adaptMost, k)) - 1
	}
}

// add counts an interval of so many hours.
func (t *Tally) add(served [3]float32, actual, hours float64) {
	fade := 1 - hours/tallyHours
	t.Below, t.Within, t.Above = float64(t.Below*fade), float64(t.Within*fade), float64(t.Above*fade)
	switch {
	case actual < float64(served[0]):
		t.Below += hours
	case actual > float64(served[2]):
		t.Above += hours
	default:
		t.Within += hours
	}
}
