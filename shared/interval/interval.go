package interval

import (
	"errors"
	"fmt"
	"time"

	"fluxora.dev/shared/meter"
)

// Interval is the energy used in [Start, Start+resolution).
type Interval struct {
	Start     meter.Millis
	Energy    meter.WattHours
	Quality   meter.Quality
	Recovered bool // the energy is real, its timing within a gap is guessed: billed, not learnt from
}

// Sample is a reading as the fold takes it.
type Sample struct {
	At      meter.Millis
	Value   int64 // mWh, or mW for power
	Quality meter.Quality
	Kind    meter.Kind
	Modulus int64  // where a counter wraps to zero, mWh; 0 when unknown
	Meter   uint32 // which series of the point this is: another number is another meter
}

// Options are the rules that a site can set. The zero value is not usable: Resolution must be set.
type Options struct {
	Resolution time.Duration // length of intervals: whole minutes that divide 24 hours
	MaxWatts   float64       // the most the connection can carry; 0 when unknown: the package comment says what holds then
	MaxGap     time.Duration // the longest gap that is spread; 0 means DefaultMaxGap
}

// DefaultMaxGap bounds the intervals that one reading can produce.
const DefaultMaxGap = 400 * 24 * time.Hour

// Check returns an error that names what is wrong with o.
func (o Options) Check() error {
	r := o.Resolution
	if r < time.Minute || r > 24*time.Hour || r%time.Minute != 0 || 24*time.Hour%r != 0 {
		return fmt.Errorf("resolution %s: want whole minutes that divide 24 hours, as 15m or 1h", r)
	}
	if !(o.MaxWatts >= 0 && o.MaxWatts <= 1e12) {
		return fmt.Errorf("maximum power %g W: want 0 (unknown) to 1e12", o.MaxWatts)
	}
	if o.MaxGap < 0 {
		return fmt.Errorf("longest gap %s: want 0 (default) or more", o.MaxGap)
	}
	return nil
}

// EventKind names what happened to a meter, or to a reading.
type EventKind uint8

// The events.
const (
	Dip        EventKind = iota + 1 // the counter fell by a digit
	Dropout                         // a reading fell and the next was back: ignored
	Rollover                        // the counter wrapped
	Reset                           // the counter was set back
	Spike                           // a reading rose too fast and the next did not agree: ignored
	Jump                            // a rise too fast, confirmed by the next reading: counted, suspect
	Exchange                        // another meter
	Gap                             // readings too far apart
	LongGap                         // so far apart that the energy is not spread
	Duplicate                       // a second reading at the same instant: ignored
	Unusable                        // a reading that cannot be used: ignored
	Sentinel                        // a number that devices send for "no value": ignored
	Multiplier                      // the values are a thousand times what they were, or a thousandth
	Return                          // after a reset or a jump the counter is back where it was
	Stuck                           // the counter has not moved for long
)

var eventNames = [...]string{"", "dip", "dropout", "rollover", "reset", "spike", "jump", "exchange", "gap", "long-gap", "duplicate", "unusable", "sentinel", "multiplier", "return", "stuck"}

// String returns the word for k.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// Event is something that a person who looks after the meter wants to know.
type Event struct {
	Kind   EventKind
	At     meter.Millis // of the reading that shows it
	Before meter.Millis // of the last believed reading before it
	From   int64        // register before, or value before if not a counter; thousandths of the base unit
	To     int64        // the reading's value
	Energy int64        // counted (not counted for LongGap), mWh
}

// ErrOrder means that a sample lies before the last one: the caller must rebuild from a RestartPoint.
var ErrOrder = errors.New("reading is earlier than the last one")
