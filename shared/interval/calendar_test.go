package interval_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

func TestIntervalsInDay(t *testing.T) {
	for _, tc := range []struct {
		zone, noon    string
		quarters, hrs int
	}{
		{"Europe/Oslo", "2026-03-29T12:00:00+02:00", 92, 23},
		{"Europe/Oslo", "2026-10-25T12:00:00+01:00", 100, 25},
		{"Europe/Oslo", "2026-10-26T12:00:00+01:00", 96, 24},
		{"America/New_York", "2026-03-08T12:00:00-04:00", 92, 23},
		{"America/New_York", "2026-11-01T12:00:00-05:00", 100, 25},
		{"Australia/Sydney", "2026-10-04T12:00:00+11:00", 92, 23},
		{"Australia/Sydney", "2026-04-05T12:00:00+10:00", 100, 25},
		{"Australia/Lord_Howe", "2026-10-04T12:00:00+11:00", 94, 23},
		{"Asia/Kathmandu", "2026-10-04T12:00:00+05:45", 96, 24},
		{"Asia/Beirut", "2026-03-29T12:00:00+03:00", 92, 23},     // midnight is skipped
		{"America/Havana", "2026-11-01T12:00:00-05:00", 100, 25}, // midnight comes twice
		{"America/Sao_Paulo", "2018-11-04T12:00:00-02:00", 92, 23},
		{"America/Sao_Paulo", "2018-02-17T12:00:00-02:00", 100, 25},
		{"UTC", "2026-03-29T12:00:00Z", 96, 24},
	} {
		t.Run(tc.zone+tc.noon[:10], func(t *testing.T) {
			zone, err := time.LoadLocation(tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, tc.noon)
			if err != nil {
				t.Fatal(err)
			}
			c := interval.Calendar{Location: zone}
			m := meter.MillisOf(at)
			if got := c.IntervalsInDay(m, 15*time.Minute); got != tc.quarters {
				t.Errorf("%d quarters, want %d", got, tc.quarters)
			}
			if got := c.IntervalsInDay(m, time.Hour); got != tc.hrs && tc.zone != "Australia/Lord_Howe" {
				t.Errorf("%d hours, want %d", got, tc.hrs)
			}
		})
	}
}

// TestDaysTile walks years of awkward zones: every day ends where the next begins, and its first instant is in it.
func TestDaysTile(t *testing.T) {
	for _, name := range []string{"Europe/Oslo", "Asia/Beirut", "America/Havana", "America/Sao_Paulo", "Atlantic/Azores", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago", "Asia/Tehran", "Asia/Gaza"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		c := interval.Calendar{Location: zone}
		m := meter.MillisOf(time.Date(2005, 1, 1, 12, 0, 0, 0, time.UTC))
		for range 22 * 365 {
			start, end := c.DayBounds(m)
			local := func(m meter.Millis) int { return m.Time().In(zone).YearDay() }
			if local(start) != local(m) || local(start-1) == local(m) || local(end-1) != local(m) || local(end) == local(m) {
				t.Fatalf("%s: day of %s is %s to %s", name, m, start.Time().In(zone), end.Time().In(zone))
			}
			if s, _ := c.DayBounds(end); s != end {
				t.Fatalf("%s: day after %s starts %s, want %s", name, m, s, end)
			}
			m = end + (end-start)/2
		}
	}
}

func TestMonthAndYearBounds(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	c := interval.Calendar{Location: zone}
	m := meter.MillisOf(time.Date(2026, 12, 31, 22, 30, 0, 0, time.UTC)) // 23:30 in Oslo
	if s, e := c.MonthBounds(m); s.String() != "2026-11-30T23:00:00.000Z" || e.String() != "2026-12-31T23:00:00.000Z" {
		t.Errorf("month %s to %s", s, e)
	}
	if s, e := c.YearBounds(m + 3_600_000); s.String() != "2026-12-31T23:00:00.000Z" || e.String() != "2027-12-31T23:00:00.000Z" {
		t.Errorf("year %s to %s", s, e)
	}
}
