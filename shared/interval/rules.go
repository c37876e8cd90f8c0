package interval

import (
	"math"
	"math/bits"

	"fluxora.dev/shared/meter"
)

const (
	smallestDip     = 1_000_000     // 1 kWh, in mWh
	smallestModulus = 1_000_000_000 // 1,000 kWh, in mWh: fewer digits are not worth guessing
	resetWatts      = 100_000       // where MaxWatts is unknown: what can be used after a reset or an exchange
	mostWatts       = 50_000_000    // where MaxWatts is unknown: a faster rise is not energy
	steadyWatts     = 1_000_000     // where MaxWatts is unknown: a faster rise is no sign that all is well again
	mostTimes       = 10            // where it is known: a rise faster by this factor is not energy
	thousand        = 1000
)

// returns is how long a line that was left can be found again.
const returns = 7 * day

// stuckAfter is how long a counter must stand still for Stuck.
const stuckAfter = day

// dipOf returns how far a counter may fall from v and still be the same counter.
func dipOf(v int64) int64 { return min(max(smallestDip, v/1000), v/2) }

// differs reports whether n comes from another meter, whose value does not go on from the register.
func (f fold) differs(n Sample) bool {
	if n.Kind != f.last.Kind {
		return true
	}
	if n.Meter == f.last.Meter {
		return false
	}
	if n.Kind != meter.Counter {
		return true
	}
	return n.Value < f.register || n.Value-f.register > f.mostEnergy(f.limit(), f.last.At, n.At)
}

// limit returns the power that is believed behind a counter that begins anew, or goes on where it once was.
func (f fold) limit() float64 {
	if f.o.MaxWatts > 0 {
		return f.o.MaxWatts
	}
	return resetWatts
}

// riseLimit returns the power that is believed behind a rise without asking the next reading. Where MaxWatts is unknown, it
// is that of the largest connections: a school takes hundreds of kilowatts, and nobody said that it may not.
func (f fold) riseLimit() float64 {
	if f.o.MaxWatts > 0 {
		return f.o.MaxWatts
	}
	return mostWatts
}

// fits reports whether a counter that stood at value at an instant can show v at another, give or take a digit.
func (f fold) fits(value int64, from meter.Millis, v int64, to meter.Millis) bool {
	return v >= value-dipOf(value) && v-value <= f.mostEnergy(f.limit(), from, to)+smallestDip
}

// believable reports whether n can follow the last reading, without looking at what comes after it.
func (f fold) believable(n Sample) bool {
	if n.Kind == meter.Counter && n.Value < f.register {
		return f.register-n.Value <= dipOf(f.register)
	}
	switch {
	case n.Kind == meter.Counter:
		rise := n.Value - f.register
		if rise > f.mostEnergy(f.limit(), f.last.At, n.At)+smallestDip && f.returned(n) {
			return false // perhaps no use at all, but the way back from a reset
		}
		return rise <= f.mostEnergy(f.riseLimit(), f.last.At, n.At)+smallestDip
	case f.o.MaxWatts == 0:
		return true
	}
	switch n.Kind {
	case meter.Energy:
		return n.Value <= f.mostEnergy(f.o.MaxWatts, f.last.At, n.At)
	default:
		return float64(n.Value) <= f.o.MaxWatts*1000
	}
}

// returned reports whether n is where the register would be had it not left its line at a reset or a jump.
func (f fold) returned(n Sample) bool {
	return f.left && n.At-f.oldAt <= meter.Millis(returns.Milliseconds()) && f.fits(f.old, f.oldAt, n.Value, n.At)
}

// mostEnergy returns the energy that watts give between two instants, mWh.
func (f fold) mostEnergy(watts float64, from, to meter.Millis) int64 {
	e := watts * float64(to-from) / 3600
	return int64(math.Min(e, maxValue))
}

// accept believes n and counts the energy since the last reading. Held says that n was held and is now confirmed.
func (f fold) accept(n Sample, held bool) {
	sp := span{from: f.last.At, to: n.At, quality: max(f.last.Quality, n.Quality)}
	sp.recovered = (sp.to-sp.from)*10 > meter.Millis(f.o.Resolution.Milliseconds())*11
	dipped := false
	restart, leave := false, false // the register goes on from n; the line it was on is kept in mind
	line := f.register
	switch {
	case f.differs(n):
		f.tell(Exchange, n, 0)
		sp.unknown, sp.recovered, restart = true, false, true
		f.forget()
	case n.Kind == meter.Power:
		sp.p0, sp.p1 = f.last.Value, n.Value
		if sp.recovered {
			sp.quality = max(sp.quality, meter.Estimated)
		}
	case n.Kind == meter.Energy:
		sp.delta = n.Value
	case held:
		sp.delta, restart, leave = f.confirmed(n, &sp)
	case n.Value >= f.register:
		sp.delta = n.Value - f.register
	default:
		dipped = true
		if !f.dipped {
			f.tell(Dip, n, 0)
		}
	}
	if held && n.Kind != meter.Counter {
		f.tell(Jump, n, sp.delta)
		sp.quality = max(sp.quality, meter.Suspect)
	}
	if sp.recovered {
		f.tell(Gap, n, sp.delta)
	}
	f.still(n)
	lineAt := f.last.At
	f.advance(sp)
	f.last, f.dipped = n, dipped
	if f.left {
		f.since += sp.delta
	}
	if leave {
		f.left, f.old, f.oldAt, f.since = true, line, lineAt, sp.delta
	}
	if restart {
		f.rebase(n)
	}
}

// forget gives up the line that was left.
func (f fold) forget() { f.left, f.old, f.oldAt, f.since = false, 0, 0, 0 }

// still watches for a counter that has not moved for long.
func (f fold) still(n Sample) {
	switch {
	case n.Kind != meter.Counter:
	case n.Value != f.last.Value || n.Meter != f.last.Meter:
		f.changed, f.stuck = n.At, false
	case !f.stuck && n.At-f.changed >= meter.Millis(stuckAfter.Milliseconds()):
		f.stuck = true
		f.tell(Stuck, n, 0)
	}
}

// confirmed decides what a value of a counter means that could not be believed by itself, and was held until the next
// reading agreed with it.
func (f fold) confirmed(n Sample, sp *span) (energy int64, restart, leave bool) {
	if f.returned(n) {
		energy = max(0, n.Value-f.old-f.since)
		f.tell(Return, n, energy)
		f.forget()
		return energy, true, false
	}
	if v, ok := f.multiplied(n); ok {
		energy = max(0, v-f.register)
		f.tell(Multiplier, n, energy)
		sp.quality = max(sp.quality, meter.Suspect)
		return energy, true, true
	}
	if n.Value < f.register {
		energy, rolled := f.fallen(n)
		return energy, true, !rolled
	}
	energy = n.Value - f.register
	most := f.mostEnergy(mostWatts, f.last.At, n.At)
	if f.o.MaxWatts > 0 {
		most = f.mostEnergy(mostTimes*f.o.MaxWatts, f.last.At, n.At)
	} else if energy <= most {
		return energy, false, false // fast, but nobody said that it cannot be
	}
	sp.quality = max(sp.quality, meter.Suspect)
	if energy <= most {
		f.tell(Jump, n, energy)
		return energy, false, false
	}
	f.tell(Jump, n, 0)
	return 0, true, true
}

// multiplied reports whether n shows what the register should by now, times or divided by a thousand, and what that is.
func (f fold) multiplied(n Sample) (v int64, ok bool) {
	if f.register < 10*smallestDip {
		return 0, false
	}
	if v = n.Value / thousand; f.fits(f.register, f.last.At, v, n.At) && v >= f.register/2 {
		return v, true
	}
	if n.Value > maxValue/thousand {
		return 0, false
	}
	v = n.Value * thousand
	return v, f.register-v <= dipOf(f.register) && v-f.register <= f.mostEnergy(f.limit(), f.last.At, n.At)+max(smallestDip, f.register/1000)
}

// fallen returns the energy used while the counter fell to n, and whether it wrapped.
func (f fold) fallen(n Sample) (energy int64, rolled bool) {
	possible := func(e int64) bool {
		return f.o.MaxWatts == 0 || e <= f.mostEnergy(f.o.MaxWatts, f.last.At, n.At)+smallestDip
	}
	if m := n.Modulus; m > f.register {
		if e := m - f.register + n.Value; e <= m/10 && possible(e) {
			f.tell(Rollover, n, e)
			return e, true
		}
	} else if m == 0 {
		for m = smallestModulus; m <= f.register; m *= 10 { // ends: a counter is at most maxValue
		}
		if e := m - f.register + n.Value; f.register >= m-m/100 && n.Value <= m/100 && possible(e) {
			f.tell(Rollover, n, e)
			return e, true
		}
	}
	if n.Value <= f.register/10 && n.Value <= f.mostEnergy(f.limit(), f.last.At, n.At) {
		f.tell(Reset, n, n.Value)
		return n.Value, false
	}
	f.tell(Reset, n, 0)
	return 0, false
}

// mulDiv returns a*b/c, rounded down, for a, b ≥ 0 and c > 0; beyond the fold's bounds it returns the bound.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return maxValue
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, maxValue))
}
