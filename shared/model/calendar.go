package model

import "fmt"

// Kinds of day beside Monday 0 … Sunday 6.
const (
	Holiday = 7
	days    = 8
)

// Calendar reads from a row which kind of day its target lies in, and at which time of that day. A column of -1 is one that
// the spec does not have: every row is then taken for a Monday, or for the first hour.
type Calendar struct {
	Hour, Quarter, Weekday, Holiday int // columns
	PerHour                         int // slots in an hour: 1, or 4 where quarters of the hour differ
}

// Slots returns how many slots a day has.
func (c *Calendar) Slots() int { return 24 * c.PerHour }

// Of returns the day, 0 to 7, and the slot of a row.
func (c *Calendar) Of(row []float32) (day, slot int) {
	if c.Holiday >= 0 && row[c.Holiday] >= 0.5 {
		day = Holiday
	} else {
		day = whole(row, c.Weekday, 7)
	}
	slot = whole(row, c.Hour, 24) * c.PerHour
	if c.PerHour == 4 {
		slot += whole(row, c.Quarter, 4)
	}
	return day, slot
}

// whole returns a column's value as a number below n, 0 when it is missing or none.
func whole(row []float32, column, n int) int {
	if column < 0 {
		return 0
	}
	if v := row[column]; v >= 0 && v < float32(n) {
		return int(v)
	}
	return 0
}

func (c *Calendar) check(features int) error {
	for _, at := range []int{c.Hour, c.Quarter, c.Weekday, c.Holiday} {
		if at < -1 || at >= features {
			return fmt.Errorf("calendar: column %d of %d features", at, features)
		}
	}
	if c.PerHour != 1 && c.PerHour != 4 {
		return fmt.Errorf("calendar: %d slots in an hour: want 1 or 4", c.PerHour)
	}
	return nil
}

func (c *Calendar) encode(w *writer) {
	for _, at := range []int{c.Hour, c.Quarter, c.Weekday, c.Holiday} {
		w.u16(uint16(at + 1))
	}
	w.u8(uint8(c.PerHour))
}

func decodeCalendar(r *reader) Calendar {
	column := func() int { return int(r.u16()) - 1 }
	return Calendar{Hour: column(), Quarter: column(), Weekday: column(), Holiday: column(), PerHour: int(r.u8())}
}
