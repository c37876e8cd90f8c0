package jobs

import (
	"testing"
	"time"
)

func TestDaily(t *testing.T) {
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, after, want string }{
		{"later today", "2026-06-01T00:00:00+02:00", "2026-06-01T02:30:00+02:00"},
		{"tomorrow", "2026-06-01T02:30:00+02:00", "2026-06-02T02:30:00+02:00"},
		{"the last of a month", "2026-06-30T12:00:00+02:00", "2026-07-01T02:30:00+02:00"},
		{"half past two does not exist", "2026-03-29T00:00:00+01:00", "2026-03-29T03:30:00+02:00"},
		{"the day after that", "2026-03-29T12:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		{"half past two comes twice: the second", "2026-10-25T00:00:00+02:00", "2026-10-25T02:30:00+01:00"},
		{"not the first", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"},
		{"and once", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			after, _ := time.Parse(time.RFC3339, tc.after)
			want, _ := time.Parse(time.RFC3339, tc.want)
			if got := (daily{2, 30, oslo}).Next(after); !got.Equal(want) {
				t.Errorf("after %s comes %s, want %s", after, got, want)
			}
		})
	}
}
