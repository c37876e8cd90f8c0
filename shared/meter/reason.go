package meter

// Reason says in one word why a message or a reading was not taken. It is a label in counters, a column of the
// quarantine and a word on screens, so it must come from this list.
type Reason string

// The reasons.
const (
	Malformed       Reason = "malformed"        // not the JSON that is expected here
	TooLarge        Reason = "too-large"        // a payload or an array beyond the limit
	UnknownTopic    Reason = "unknown-topic"    // a topic that neither the grammar nor a mapping knows
	UnknownRegister Reason = "unknown-register" // a register that is not in the table
	UnknownField    Reason = "unknown-field"    // a field that the payload does not have
	BadValue        Reason = "bad-value"        // a number that cannot be a value: quoted, NaN, too large
	BadUnit         Reason = "bad-unit"         // a unit that is unknown or does not fit the register
	BadKind         Reason = "bad-kind"         // a kind that is unknown or does not fit the register
	BadTime         Reason = "bad-time"         // not an instant
	BadMeter        Reason = "bad-meter"        // a serial number that cannot name a meter
	BadQuality      Reason = "bad-quality"      // an unknown quality
	Absurd          Reason = "absurd"           // a value no meter at this place can have
	Future          Reason = "future"           // later than the clock here allows
	UnsetClock      Reason = "unset-clock"      // before 1971: the sender's clock was not set
	TooOld          Reason = "too-old"          // older than readings are taken
	TooManySeries   Reason = "too-many-series"  // a series beyond the number this agent keeps
	Undecodable     Reason = "undecodable"      // stored or received bytes that cannot be read
	Unstorable      Reason = "unstorable"       // committed here, but the hub can never store it
	Repeated        Reason = "duplicate"        // the same reading again; counted only, never quarantined
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		Malformed, TooLarge, UnknownTopic, UnknownRegister, UnknownField, BadValue, BadUnit, BadKind, BadTime,
		BadMeter, BadQuality, Absurd, Future, UnsetClock, TooOld, TooManySeries, Undecodable, Unstorable, Repeated,
	}
}
