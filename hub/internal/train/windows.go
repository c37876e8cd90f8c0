package train

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// The bounds of windows: more teach little that fewer do not, and each is some hundred numbers.
const (
	mostWindows = 60_000
	mostNumbers = 30_000_000
	shareKnown  = 0.75 // of the targets of a window
)

// windows holds, for many origins of all points, the hours before it and the targets of every step after it: what a family
// learns from that reads the past hour by hour. The table's rows are too few for that, and each would say the same past
// again. Views of a table share them.
type windows struct {
	once         sync.Once
	hours, steps int
	past         []float32 // by window: the hours before the origin, oldest first, in scales
	target       []float32 // by window: the steps, in scales; NaN where there is none
	origin, end  []meter.Millis
	point        []int32
}

func (w *windows) len() int { return len(w.origin) }

func (w *windows) pastOf(i int32) []float32 { return w.past[int(i)*w.hours : (int(i)+1)*w.hours] }

func (w *windows) targetOf(i int32) []float32 { return w.target[int(i)*w.steps : (int(i)+1)*w.steps] }

// windowsOf returns the windows of a table, made when they are first asked for.
func (t *table) windowsOf(p Params) *windows {
	t.windows.once.Do(func() { t.windows.fill(t.ready, p) })
	return t.windows
}

// fill makes the windows of prepared histories.
func (w *windows) fill(ready []prepared, p Params) {
	w.hours, w.steps = weeksHours, int(p.Horizon/ready[0].history.Resolution)
	total := time.Duration(0)
	for _, r := range ready {
		total += r.history.End().Sub(r.history.Start)
	}
	most := min(mostWindows, mostNumbers/(w.hours+w.steps))
	o := origins{daily: p.Daily, days: 1}
	if n := len(o.daily); n > 0 {
		o.days = min(1, float64(most)/max(1, total.Hours()/24*float64(n)))
	} else {
		hours := int(total.Hours())/most + 1
		for hours%2 == 0 || hours%3 == 0 { // so that origins fall on all hours of the day
			hours++
		}
		o.stride = time.Duration(hours) * time.Hour
	}
	b := feature.NewBuilder(pastSpec(w.hours))
	for i, r := range ready {
		w.add(b, r, o, p.Seed+uint64(i), int32(i))
	}
}

// add makes the windows of one point.
func (w *windows) add(b *feature.Builder, r prepared, o origins, seed uint64, point int32) {
	h := r.history
	for _, origin := range o.of(h, rand.New(rand.NewPCG(seed, 0x77696e646f77))) {
		if b.Reset(h, origin) != nil || b.Known() < int(24*time.Hour/h.Resolution) {
			continue
		}
		at, known := len(w.target), 0
		for step := 1; step <= w.steps; step++ {
			y := b.Target(step)
			if y != y || r.leaves(h.Index(origin)+step-1) || !(y > -mostInScales && y < mostInScales) {
				w.target = append(w.target, feature.Missing)
				continue
			}
			w.target = append(w.target, float32(y))
			known++
		}
		if float64(known) < shareKnown*float64(w.steps) {
			w.target = w.target[:at]
			continue
		}
		row := len(w.past)
		w.past = append(w.past, make([]float32, w.hours)...)
		b.Row(1, w.past[row:])
		w.origin, w.point = append(w.origin, origin), append(w.point, point)
		w.end = append(w.end, origin.Add(time.Duration(w.steps)*h.Resolution))
	}
}

// part returns the windows to fit to and those held out, as rows of the table are parted.
func (w *windows) part(t *table) (fit, held []int32) {
	for i := range w.len() {
		switch {
		case w.end[i] > t.to:
		case w.origin[i] >= t.cut:
			held = append(held, int32(i))
		case w.end[i] <= t.cut:
			fit = append(fit, int32(i))
		}
	}
	return fit, held
}

// filled returns those of some windows whose history fills a stretch of hours.
func (w *windows) filled(in []int32, hours int) []int32 {
	var out []int32
	for _, i := range in {
		if model.Fills(w.pastOf(i), hours) {
			out = append(out, i)
		}
	}
	return out
}

// pastSpec returns the spec of the hours before the origin, oldest first.
func pastSpec(hours int) feature.Spec {
	text := fmt.Sprintf("fluxora-features %d\n", feature.Version)
	for k := hours; k > 0; k-- {
		text += fmt.Sprintf("past %d\n", k)
	}
	s, err := feature.ParseSpec(strings.TrimSuffix(text, "\n"))
	if err != nil {
		panic(err) // made of constants
	}
	return s
}

// roots fills dst with what the roots of a window's targets differ from the level of a stretch; NaN where there is none.
func roots(target []float32, s model.Stretch, dst []float32) {
	for i, v := range target {
		dst[i] = v
		if v == v {
			dst[i] = float32(model.Root(float64(v)/s.Unit) - s.Level)
		}
	}
}
