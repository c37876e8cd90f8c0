package interval

import (
	"math"
	"math/bits"

	"fluxora.dev/shared/meter"
)

const (
	smallestDip     = 1_000_000     // 1 kWh, in mWh
	smallestModulus = 1_000_000_000 // 1,000 kWh, in mWh: fewer digits are not worth guessing
	resetWatts      = 100_000       // what can be used after a reset where MaxWatts is unknown
)

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
	limit := f.o.MaxWatts
	if limit == 0 {
		limit = resetWatts
	}
	return n.Value < f.register || n.Value-f.register > f.mostEnergy(limit, f.last.At, n.At)
}

// believable reports whether n can follow the last reading, without looking at what comes after it.
func (f fold) believable(n Sample) bool {
	if n.Kind == meter.Counter && n.Value < f.register {
		return f.register-n.Value <= dipOf(f.register)
	}
	if f.o.MaxWatts == 0 {
		return true
	}
	switch n.Kind {
	case meter.Counter:
		return n.Value-f.register <= f.mostEnergy(f.o.MaxWatts, f.last.At, n.At)
	case meter.Energy:
		return n.Value <= f.mostEnergy(f.o.MaxWatts, f.last.At, n.At)
	default:
		return float64(n.Value) <= f.o.MaxWatts*1000
	}
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
	restart := false
	switch {
	case f.differs(n):
		f.tell(Exchange, n, 0)
		sp.unknown, sp.recovered, restart = true, false, true
	case n.Kind == meter.Power:
		sp.p0, sp.p1 = f.last.Value, n.Value
		if sp.recovered {
			sp.quality = max(sp.quality, meter.Estimated)
		}
	case n.Kind == meter.Energy:
		sp.delta = n.Value
	case n.Value >= f.register:
		sp.delta = n.Value - f.register
	case !held:
		dipped = true
		if !f.dipped {
			f.tell(Dip, n, 0)
		}
	default:
		restart = true
		sp.delta = f.fallen(n)
	}
	if held && (n.Kind != meter.Counter || n.Value >= f.register) {
		f.tell(Jump, n, sp.delta)
		sp.quality = max(sp.quality, meter.Suspect)
	}
	if sp.recovered {
		f.tell(Gap, n, sp.delta)
	}
	f.advance(sp)
	f.last, f.dipped = n, dipped
	if restart {
		f.rebase(n)
	}
}

// fallen returns the energy used while the counter fell to n.
func (f fold) fallen(n Sample) int64 {
	possible := func(e int64) bool {
		return f.o.MaxWatts == 0 || e <= f.mostEnergy(f.o.MaxWatts, f.last.At, n.At)
	}
	if m := n.Modulus; m > f.register {
		if e := m - f.register + n.Value; e <= m/10 && possible(e) {
			f.tell(Rollover, n, e)
			return e
		}
	} else if m == 0 {
		for m = smallestModulus; m <= f.register; m *= 10 { // ends: a counter is at most maxValue
		}
		if e := m - f.register + n.Value; f.register >= m-m/100 && n.Value <= m/100 && possible(e) {
			f.tell(Rollover, n, e)
			return e
		}
	}
	limit := f.o.MaxWatts
	if limit == 0 {
		limit = resetWatts
	}
	if n.Value <= f.register/10 && n.Value <= f.mostEnergy(limit, f.last.At, n.At) {
		f.tell(Reset, n, n.Value)
		return n.Value
	}
	f.tell(Reset, n, 0)
	return 0
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
