package feature

import (
	"fmt"
	"math"
	"time"

	"fluxora.dev/shared/meter"
)

// ScaleWindow is how much history before the origin the point's scale is the mean of.
const ScaleWindow = 28 * 24 * time.Hour

// Missing is the one NaN that rows hold for what is not known.
var Missing = math.Float32frombits(0x7fc00000)

// Builder computes rows for one history and origin at a time. After NewBuilder nothing is allocated. It must not be used
// by two goroutines at once.
type Builder struct {
	spec          Spec
	h             History
	clock         Clock
	origin        meter.Millis
	n             int // number of the interval that starts at the origin; only Energy[:n] may be read
	known         int // known intervals within ScaleWindow
	scale         float64
	fixed         []float32 // what depends on the origin alone, by column
	days, weeks   []float64 // of the current row: [k-1] is the value k known periods back, scaled
	maxDay, maxWk int
}

// NewBuilder returns a builder for the features of spec. Reset must be called before Row.
func NewBuilder(spec Spec) *Builder {
	b := &Builder{spec: spec, fixed: make([]float32, spec.Len())}
	for _, o := range spec.ops {
		switch o.kind {
		case dayLag, dayStat:
			b.maxDay = max(b.maxDay, o.k)
		case change:
			b.maxDay = max(b.maxDay, 1)
		case dayDrift:
			b.maxDay = max(b.maxDay, o.k)
		case weekLag, weekStat, weekDrift:
			b.maxWk = max(b.maxWk, o.k)
		}
	}
	b.days, b.weeks = make([]float64, b.maxDay), make([]float64, b.maxWk)
	return b
}

// Reset points b at an origin and computes what all its rows share. Nothing at or after the origin is read.
func (b *Builder) Reset(h History, origin meter.Millis) error {
	if err := h.Check(); err != nil {
		return err
	}
	if origin.Floor(h.Resolution) != origin {
		return fmt.Errorf("origin %s: want a boundary of %s", origin, h.Resolution)
	}
	if b.clock.zone != h.Zone {
		b.clock = NewClock(h.Zone)
	}
	b.h, b.origin, b.n = h, origin, 0
	if origin > h.Start {
		b.n = h.Index(origin)
	} else if origin < h.Start {
		b.h.Energy = nil
	}
	b.scale = 1
	values := b.window(ScaleWindow)
	m, known := meanOf(values)
	b.known = known
	if known > 0 {
		b.scale = max(m, 1) // a point that stands still is measured in watt-hours
	}
	for c, o := range b.spec.ops {
		switch o.kind {
		case window:
			b.fixed[c] = scaled(summary(b.window(o.a), o.stat), b.scale)
		case windowDrift:
			drift, _ := b.drifts(o.a)
			b.fixed[c] = scaled(drift, b.scale)
		case windowStray:
			_, stray := b.drifts(o.a)
			b.fixed[c] = scaled(stray, b.scale)
		case level:
			short, _ := meanOf(b.window(o.a))
			long, _ := meanOf(b.window(o.b))
			b.fixed[c] = scaled(short-long, b.scale)
		case complete:
			_, known := meanOf(b.window(o.a))
			b.fixed[c] = float32(float64(known) / float64(o.a/h.Resolution))
		case age:
			b.fixed[c] = Missing
			w := b.window(o.a)
			for i, v := range w {
				if v == v {
					first := b.n - b.beyond() - len(w) + i
					b.fixed[c] = float32(float64(time.Duration(b.n-first)*h.Resolution) / float64(time.Hour))
					break
				}
			}
		}
	}
	return nil
}

// Scale returns what energies are divided by, in Wh per interval: the mean of what is known of the last 28 days, and at
// least 1 Wh.
func (b *Builder) Scale() float64 { return b.scale }

// Known returns how many intervals of the last 28 days are known.
func (b *Builder) Known() int { return b.known }

// Completeness returns the share of the last 28 days that is known.
func (b *Builder) Completeness() float64 {
	return float64(b.known) / float64(ScaleWindow/b.h.Resolution)
}

// Target returns the actual energy of the interval of step, divided by the scale: what a model learns. It is NaN when the
// history does not reach that far. It is the only method that reads past the origin, and forecasts never call it.
func (b *Builder) Target(step int) float64 {
	i := b.n + step - 1
	if i < 0 || i >= len(b.h.Energy) {
		return math.NaN()
	}
	return b.h.Energy[i] / b.scale
}

// Row fills dst, of length Spec.Len, with the features of the interval that starts step-1 intervals after the origin.
func (b *Builder) Row(step int, dst []float32) {
	copy(dst, b.fixed)
	res := b.h.Resolution
	target := b.origin.Add(time.Duration(step-1) * res)
	ahead := time.Duration(step) * res // from the origin to the end of the target
	firstDay := periods(ahead, 1)
	firstWeek := 7 * periods(ahead, 7)
	for k := range b.days {
		b.days[k] = b.value(b.clock.Back(target, firstDay+k))
	}
	for k := range b.weeks {
		b.weeks[k] = b.value(b.clock.Back(target, firstWeek+7*k))
	}
	cal := b.clock.at(target)
	for c, o := range b.spec.ops {
		switch o.kind {
		case lead:
			dst[c] = float32(float64(ahead-res) / float64(time.Hour))
		case dayLag, weekLag:
			if o.a == 0 {
				if o.kind == dayLag {
					dst[c] = scaled(b.days[o.k-1], b.scale)
				} else {
					dst[c] = scaled(b.weeks[o.k-1], b.scale)
				}
				continue
			}
			back := firstDay + o.k - 1
			if o.kind == weekLag {
				back = firstWeek + 7*(o.k-1)
			}
			dst[c] = scaled(b.value(b.clock.Back(target, back).Add(o.a)), b.scale)
		case change:
			dst[c] = scaled(b.days[0]-b.value(b.clock.Back(target, firstDay+o.k)), b.scale)
		case dayDrift:
			dst[c] = scaled(b.drift(b.clock.Back(target, firstDay+o.k-1), b.days[o.k-1]), b.scale)
		case weekDrift:
			dst[c] = scaled(b.drift(b.clock.Back(target, firstWeek+7*(o.k-1)), b.weeks[o.k-1]), b.scale)
		case dayStat:
			dst[c] = scaled(summary(b.days[:o.k], o.stat), b.scale)
		case weekStat:
			dst[c] = scaled(summary(b.weeks[:o.k], o.stat), b.scale)
		case hour:
			dst[c] = float32(cal.minute / 60)
		case quarter:
			dst[c] = float32(cal.minute % 60 / 15)
		case clockMinute:
			dst[c] = float32(cal.minute)
		case weekday:
			dst[c] = float32(cal.weekday)
		case weekend:
			dst[c] = float32(cal.weekday / 5)
		case yearday:
			dst[c] = float32(cal.yearday)
		case midYear:
			dst[c] = float32(season(cal.yearday, 198))
		case halfSeason:
			dst[c] = float32(season(cal.yearday, 289))
		}
	}
}

// periods returns the smallest number of periods of so many days that is not shorter than ahead.
func periods(ahead time.Duration, days int) int {
	p := time.Duration(days) * 24 * time.Hour
	return int((ahead + p - 1) / p)
}

// value returns the energy of the interval that starts at t, and NaN when it is missing or not over at the origin.
func (b *Builder) value(t meter.Millis) float64 {
	if t < b.h.Start || t >= b.origin {
		return math.NaN()
	}
	if i := b.h.Index(t); i < len(b.h.Energy) && i < b.n {
		return b.h.Energy[i]
	}
	return math.NaN()
}

// window returns the intervals of the given length before the origin, as far as the history holds them.
func (b *Builder) window(length time.Duration) []float64 {
	to := max(0, min(b.n, len(b.h.Energy)))
	from := max(0, b.n-int(length/b.h.Resolution))
	if from >= to {
		return nil
	}
	return b.h.Energy[from:to]
}

// beyond returns how many intervals before the origin the history does not hold.
func (b *Builder) beyond() int { return max(0, b.n-len(b.h.Energy)) }
