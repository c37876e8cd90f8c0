package interval

import (
	"time"

	"fluxora.dev/shared/meter"
)

// span is the time between two believed readings and the energy used in it.
type span struct {
	from, to  meter.Millis
	delta     int64 // energy, mWh, even over the time; or
	p0, p1    int64 // power at both ends, mW
	quality   meter.Quality
	recovered bool
	unknown   bool // nothing is known about the energy
}

// until returns the energy from the start of the span to t, mWh. It is 0 at the start and rounds down.
func (sp span) until(t meter.Millis) int64 {
	x, whole := int64(t-sp.from), int64(sp.to-sp.from)
	if sp.p0 == 0 && sp.p1 == 0 {
		return mulDiv(sp.delta, x, whole)
	}
	p := sp.p0
	if sp.p1 >= sp.p0 {
		p += mulDiv(sp.p1-sp.p0, x, whole)
	} else {
		p -= mulDiv(sp.p0-sp.p1, x, whole)
	}
	return mulDiv(sp.p0+p, x, 2*time.Hour.Milliseconds())
}

// advance moves the register over sp and emits the intervals that end in it.
func (f fold) advance(sp span) {
	step := meter.Millis(f.o.Resolution.Milliseconds())
	before, done := f.register, int64(0) // register at the start of the span (moved at midnight), energy so far
	next := f.start + step
	if f.leading {
		next = f.start
	}
	for ; next <= sp.to; next += step {
		done = max(done, sp.until(next))
		f.register = min(before+done, maxRegister)
		if !f.leading {
			f.mark(sp, next-step >= sp.from)
			f.close()
		}
		f.leading = false
		f.start, f.energy, f.quality, f.recovered = next, 0, meter.Measured, false
		if f.last.Kind != meter.Counter && next.Floor(day) == next {
			before, f.register = 500-done, 500
		}
		f.base = f.register / 1000
	}
	f.register = min(before+max(done, sp.until(sp.to)), maxRegister)
	if !f.leading && f.start < sp.to {
		f.mark(sp, false)
	}
}

// mark notes on the open interval what the span says about it. Whole says that it lies inside the span.
func (f fold) mark(sp span, whole bool) {
	f.quality = max(f.quality, sp.quality)
	f.recovered = f.recovered || sp.recovered
	if sp.unknown {
		f.quality = max(f.quality, meter.Estimated)
		if whole {
			f.quality = meter.Missing
		}
	}
}

// close emits the open interval.
func (f fold) close() {
	if f.emit == nil {
		return
	}
	wh := f.energy + f.register/1000 - f.base
	f.emit(Interval{Start: f.start, Energy: meter.WattHours(wh), Quality: f.quality, Recovered: f.recovered})
}
