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
		s.Value < 0 && s.Kind != meter.Power || !inEra(s.At) || s.Modulus < 0 || s.Modulus > maxValue
}

// Add takes the next reading. It calls emit for each interval that is complete by it, in order, and event for each thing
// worth telling; both may be nil. Readings must come in time order: an earlier one is refused with ErrOrder and changes
// nothing. Options must pass Check and must not change during the life of a state.
func (s *State) Add(n Sample, o Options, emit func(Interval), event func(Event)) error {
	f := fold{s, o, emit, event}
	if n.unusable() {
		f.tell(Unusable, n, 0)
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
	if f.event != nil {
		f.event(Event{Kind: k, At: n.At, Before: f.last.At, From: f.register, To: n.Value, Energy: energy})
	}
}

// begin makes n the first reading.
func (f fold) begin(n Sample) {
	step := meter.Millis(f.o.Resolution.Milliseconds())
	*f.State = State{started: true, last: n, start: n.At.Floor(f.o.Resolution)}
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
	if n.Kind != meter.Counter || f.o.MaxWatts == 0 {
		return true
	}
	rise := n.Value - p.Value
	return rise >= -dipOf(p.Value) && rise <= f.mostEnergy(f.o.MaxWatts, p.At, n.At)
}
