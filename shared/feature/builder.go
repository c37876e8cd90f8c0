package feature

import (
	"fmt"
	"math"
	"time"

	"fluxora.dev/shared/holiday"
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
	fixed         []float32         // what depends on the origin alone, by column
	perDegree     []float64         // Wh an interval and °C, of the features that are responses
	holidays      *holiday.Calendar // of the site's country; nil: not known
	sky           sky
	sorted        []float64            // scratch for quantiles
	alike         [similarBack]float64 // of the current row: values of similar days, latest first, scaled by nothing
	alikes        int                  // how many there are; -1: not looked for yet
	days, weeks   []float64            // of the current row: [k-1] is the value k known periods back, scaled
	maxDay, maxWk int
}

// NewBuilder returns a builder for the features of spec. Reset must be called before Row.
func NewBuilder(spec Spec) *Builder {
	b := &Builder{spec: spec, fixed: make([]float32, spec.Len()), perDegree: make([]float64, spec.Len())}
	for _, o := range spec.ops {
		switch o.kind {
		case dayLag, dayStat:
			b.maxDay = max(b.maxDay, o.k)
		case change:
			b.maxDay = max(b.maxDay, 1)
		case dayDrift:
			b.maxDay = max(b.maxDay, o.k)
		case weekLag, weekStat, weekDrift, shift:
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
	if err := b.look(h.Site); err != nil {
		return err
	}
	b.scale = 1
	values := b.window(ScaleWindow)
	m, known := meanOf(values)
	b.known = known
	if known > 0 {
		b.scale = max(m, 1) // a point that stands still is measured in watt-hours
	}
	for c := range b.spec.ops {
		if o := &b.spec.ops[c]; o.kind == response {
			b.perDegree[c] = b.responseOf(o.k)
		}
		b.fixed[c] = b.ofOrigin(&b.spec.ops[c])
	}
	return nil
}

// look takes up what is known of the site.
func (b *Builder) look(s *Site) error {
	b.sky = skyAt(s, b.origin)
	if s == nil || s.Country == "" {
		b.holidays = nil
		return nil
	}
	if b.holidays == nil || b.holidays.Country() != s.Country {
		var err error
		b.holidays, err = holiday.Of(s.Country)
		return err
	}
	return nil
}

// ofOrigin returns a feature that depends on the origin alone, and 0 for others.
func (b *Builder) ofOrigin(o *op) float32 {
	switch o.kind {
	case window:
		return scaled(b.summary(b.window(o.a), o, true), b.scale)
	case windowDrift:
		drift, _ := b.drifts(o.a)
		return scaled(drift, b.scale)
	case windowStray:
		_, stray := b.drifts(o.a)
		return scaled(stray, b.scale)
	case level:
		short, _ := meanOf(b.window(o.a))
		long, _ := meanOf(b.window(o.b))
		return scaled(short-long, b.scale)
	case complete:
		_, known := meanOf(b.window(o.a))
		return float32(float64(known) / float64(o.a/b.h.Resolution))
	case age:
		w := b.window(o.a)
		for i, v := range w {
			if v == v {
				first := b.n - b.beyond() - len(w) + i
				return float32(float64(time.Duration(b.n-first)*b.h.Resolution) / float64(time.Hour))
			}
		}
		return Missing
	case past:
		perHour := int(time.Hour / b.h.Resolution)
		to := b.n - (o.k-1)*perHour
		return scaled(first(meanOf(b.between(to-perHour, to))), b.scale)
	case size:
		if b.known == 0 {
			return Missing
		}
		return float32(log2(b.scale * float64(time.Hour/b.h.Resolution)))
	case fact:
		if b.h.Site != nil {
			if v, ok := b.h.Site.Facts[o.fact]; ok {
				return float32(v)
			}
		}
		return Missing
	}
	return 0
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
	return b.between(b.n-int(length/b.h.Resolution), b.n)
}

// between returns the intervals with numbers from up to to, as far as they lie before the origin and the history holds them.
func (b *Builder) between(from, to int) []float64 {
	from, to = max(0, from), min(to, b.n, len(b.h.Energy))
	if from >= to {
		return nil
	}
	return b.h.Energy[from:to]
}

// beyond returns how many intervals before the origin the history does not hold.
func (b *Builder) beyond() int { return max(0, b.n-len(b.h.Energy)) }
