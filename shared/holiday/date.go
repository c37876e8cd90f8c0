package holiday

import (
	"fmt"
	"strings"
	"time"
)

// Date is a date of the calendar on the wall: days since 1 January 1970.
type Date int32

// On returns the date of a year, month and day.
func On(year int, month time.Month, day int) Date {
	return Date(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// ParseDate reads 2024-12-24.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("date %.20q: want year-month-day, as 2024-12-24", s)
	}
	return On(t.Date()), nil
}

func (d Date) time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String returns the date as 2024-12-24.
func (d Date) String() string { return d.time().Format(time.DateOnly) }

// Weekday returns 0 for Monday to 6 for Sunday.
func (d Date) Weekday() int { return int(((d+3)%7 + 7) % 7) }

// Range is the dates from From up to, but not including, To.
type Range struct{ From, To Date }

// Has reports whether d lies in the range.
func (r Range) Has(d Date) bool { return d >= r.From && d < r.To }

// String returns the range as 2024-12-21/2025-01-02, half-open.
func (r Range) String() string { return r.From.String() + "/" + r.To.String() }

// MarshalText implements encoding.TextMarshaler.
func (r Range) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what String writes: the first free date, a slash, the first date that is not free any more.
func (r *Range) UnmarshalText(text []byte) error {
	from, to, ok := strings.Cut(string(text), "/")
	if !ok {
		return fmt.Errorf("dates %.40q: want the first free date, a slash and the first date after, as 2024-12-21/2025-01-02", text)
	}
	var err error
	if r.From, err = ParseDate(from); err != nil {
		return err
	}
	if r.To, err = ParseDate(to); err != nil {
		return err
	}
	return r.Check()
}

// Check returns an error unless the range holds 1 to 366 dates: none or more than a year is a misprint.
func (r Range) Check() error {
	if n := r.To - r.From; n < 1 || n > 366 {
		return fmt.Errorf("dates %s: %d days: want 1 to 366, the second date being the first that is not free any more", r, n)
	}
	return nil
}
