package interval

import (
	"fmt"
	"time"

	"fluxora.dev/shared/meter"
)

// Bounds within which no sum of the fold can overflow.
const (
	maxValue    = 1_000_000_000_000_000 // 1 TWh or 1 TW
	maxRegister = 1 << 62
	firstMillis = -62_135_596_800_000 // year 1
	lastMillis  = 253_402_300_799_999 // year 9999
)

const day = 24 * time.Hour

func inEra(m meter.Millis) bool { return m >= firstMillis && m <= lastMillis }

// unusable reports whether s says nothing about energy.
func (s Sample) unusable() bool {
	return s.Quality >= meter.Missing || !s.Kind.Valid() || s.Value > maxValue || s.Value < -maxValue ||
		s.Value < 0 && s.Kind != meter.Power || !inEra(s.At) || s.Modulus < 0 || s.Modulus > maxValue || s.sentinel()
}

// sentinel reports whether s is one of the numbers that devices send when they have none: all ones, or the largest or smallest
// number of 32 bits, or for power of 16 bits, in any decimal unit. A counter that really shows such a number does so once.
func (s Sample) sentinel() bool {
	v := s.Value
	if v < 0 {
		v = -v
	}
	if v < 0x7fff {
		return false
	}
	for unit := int64(1); unit <= 1_000_000; unit *= 10 {
		if v%unit != 0 {
			return false
		}
		switch n := v / unit; {
		case n == 0xffff_ffff || n == 0x7fff_ffff || n == 0x8000_0000 && s.Value < 0:
			return true
		case s.Kind == meter.Power && unit == 1000 && (n == 0xffff || n == 0x7fff || n == 0x8000 && s.Value < 0):
			return true
		}
	}
	return false
}

// Add takes the next reading. It calls emit for each interval that is complete by it, in order, and event for each thing
// worth telling; both may be nil. Readings must come in time order: an earlier one is refused with ErrOrder and changes
// nothing. Options must pass Check and must not change during the life of a state.
func (s *State) Add(n Sample, o Options, emit func(Interval), event func(Event)) error {
	f := fold{s, o, emit, event}
	if n.unusable() {
		kind := Unusable
		if n.sentinel() {
			kind = Sentinel
		}
		f.tell(kind, n, 0)
		return nil
	}
	if n.Kind == meter.Power && n.Value < 0 {
		n.Value = 0
	}
	if at, ok := s.At(); ok {
		if n.At < at {
			return fmt.Errorf("reading at %s after one at %s: %w", n.At, at, ErrOrder)
		}
		if n.At == at {
			f.tell(Duplicate, n, 0)
			return nil
		}
	}
	f.follow(n)
	switch {
	case !s.started:
		f.begin(n)
	case n.At-s.last.At > meter.Millis(f.maxGap().Milliseconds()):
		f.tell(LongGap, n, max(0, n.Value-s.register))
		f.begin(n)
	case s.held:
		f.decide(n)
	default:
		f.take(n)
	}
	return nil
}

// follow notes how readings rise on one another, as RestartPoint does, and forgets the line that was left once nothing can lead back to
// it: where RestartPoint lets a fold start, the past must not matter.
func (f fold) follow(n Sample) {
	prev := f.last
	if f.held {
		prev = f.pending
	}
	switch {
	case !f.started || n.Kind != meter.Counter || !f.steady(prev, n):
		f.run, f.second = 1, 0
	case f.run == 1:
		f.run, f.second = 2, n.Value
	default:
		if f.run = 3; n.Value-f.second >= largestDip(n.Value) {
			f.left, f.old, f.oldAt, f.since = false, 0, 0, 0
		}
	}
}

// fold is a state with what Add was called with.
type fold struct {
	*State
	o     Options
	emit  func(Interval)
	event func(Event)
}

func (f fold) maxGap() time.Duration {
	if f.o.MaxGap > 0 {
		return f.o.MaxGap
	}
	return DefaultMaxGap
}

func (f fold) tell(k EventKind, n Sample, energy int64) {
	if f.event == nil {
		return
	}
	from := f.register
	if n.Kind != meter.Counter {
		from = f.last.Value // the register shows no more than what began with the day
	}
	f.event(Event{Kind: k, At: n.At, Before: f.last.At, From: from, To: n.Value, Energy: energy})
}

// begin makes n the first reading.
func (f fold) begin(n Sample) {
	step := meter.Millis(f.o.Resolution.Milliseconds())
	*f.State = State{started: true, last: n, start: n.At.Floor(f.o.Resolution), run: 1, changed: n.At}
	if f.start < n.At {
		f.start += step
	}
	f.leading = f.start > n.At
	f.rebase(n)
}

// rebase makes the register show n, after the energy so far has been put aside.
func (f fold) rebase(n Sample) {
	f.energy += f.register/1000 - f.base
	f.register = n.Value
	if n.Kind != meter.Counter {
		f.register = 500 // half a watt-hour, so that whole watt-hours are rounded
	}
	f.base = f.register / 1000
}

// take believes n or holds it.
func (f fold) take(n Sample) {
	if f.differs(n) || f.believable(n) {
		f.accept(n, false)
		return
	}
	f.pending, f.held = n, true
}

// decide settles the held reading, now that n follows it.
func (f fold) decide(n Sample) {
	p := f.pending
	f.pending, f.held = Sample{}, false
	fell := p.Kind == meter.Counter && p.Value < f.register
	if f.differs(n) || f.believable(n) {
		kind := Spike
		if fell {
			kind = Dropout
		}
		f.tell(kind, p, 0)
		f.accept(n, false)
		return
	}
	if !f.agrees(p, n) {
		f.tell(Spike, p, 0)
		f.pending, f.held = n, true
		return
	}
	f.accept(p, true)
	f.take(n)
}

// agrees reports whether n, which is not believable by itself, confirms the held p.
func (f fold) agrees(p, n Sample) bool {
	if n.Kind != meter.Counter {
		return true
	}
	limit := f.o.MaxWatts
	if limit == 0 {
		limit = mostWatts
	}
	rise := n.Value - p.Value
	return rise >= -dipOf(p.Value) && rise <= f.mostEnergy(limit, p.At, n.At)+smallestDip
}
