package meter

import (
	"fmt"
	"time"
)

// Millis is an instant in milliseconds since 1970-01-01T00:00:00Z.
type Millis int64

// MillisOf returns the instant t, truncated to the millisecond.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time returns the instant as a time in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// String returns the instant in RFC 3339 with milliseconds.
func (m Millis) String() string { return m.Time().Format("2006-01-02T15:04:05.000Z07:00") }

// Floor returns the last multiple of d (counted from 1970) that is not after m.
//
// It aligns resolutions that divide an hour to UTC hours, which every zone in use whose offset is a multiple of 15
// minutes shares for resolutions of up to 15 minutes; days and longer are the business of package interval.
func (m Millis) Floor(d time.Duration) Millis {
	step := Millis(d.Milliseconds())
	r := m % step
	if r < 0 {
		r += step
	}
	return m - r
}

// Add returns the instant d later.
func (m Millis) Add(d time.Duration) Millis { return m + Millis(d.Milliseconds()) }

// Sub returns the time from o to m.
func (m Millis) Sub(o Millis) time.Duration { return time.Duration(m-o) * time.Millisecond }

// WattHours is an amount of energy. Import and export are both positive.
type WattHours int64

// Quality says how far a reading or an interval may be believed (VEE: validation, estimation, editing).
type Quality uint8

// The qualities. Measured is the zero value: what a meter sent and nothing contradicts.
const (
	Measured  Quality = iota // as sent by the meter
	Estimated                // computed, because nothing was measured; or measured at an instant that had to be computed
	Edited                   // entered or corrected by a person
	Suspect                  // measured, but contradicted by what came before or after
	Missing                  // nothing is known
)

var qualityNames = [...]string{"measured", "estimated", "edited", "suspect", "missing"}

// String returns the word for q.
func (q Quality) String() string {
	if int(q) < len(qualityNames) {
		return qualityNames[q]
	}
	return fmt.Sprintf("quality(%d)", uint8(q))
}

// ParseQuality returns the quality that s names.
func ParseQuality(s string) (Quality, error) {
	for i, n := range qualityNames {
		if s == n {
			return Quality(i), nil
		}
	}
	return Missing, fmt.Errorf("quality %q: want one of %v", s, qualityNames)
}

// Valid reports whether q is one of the qualities above.
func (q Quality) Valid() bool { return int(q) < len(qualityNames) }

// Reading is the value of a register at an instant.
type Reading struct {
	Series  SeriesID
	At      Millis
	Value   int64 // thousandths of the register's base unit: mWh or mW
	Quality Quality
}
