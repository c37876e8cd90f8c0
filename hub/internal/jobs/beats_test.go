package jobs

import (
	"testing"
	"time"
)

func TestTimeLeft(t *testing.T) {
	began := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	now := began
	b := &beats{now: func() time.Time { return now }, since: began}
	want := func(when string, want time.Duration) {
		t.Helper()
		switch left := b.left(now); {
		case left == nil && want != 0:
			t.Errorf("%s: not known, want %s", when, want)
		case left != nil && *left != want:
			t.Errorf("%s: %s, want %s", when, *left, want)
		}
	}
	want("at the start", 0)
	now = began.Add(10 * time.Second)
	b.note("rows", 4)
	want("too little done", 0)
	now = began.Add(20 * time.Second)
	b.note("gbdt", 20)
	want("a fifth", 80*time.Second)

	// An attempt that finds what an earlier one kept: the first half took it a second.
	b = &beats{now: b.now, since: now}
	b.note("reading history", 10)
	b.skip()
	now = now.Add(time.Second)
	b.note("gbdt: trees", 55)
	want("all was kept so far", 0)
	now = now.Add(30 * time.Second)
	b.note("gbdt: trees", 70)
	want("by what was really done", time.Minute)
	b.skip()
	want("while something kept is passed over", 0)
	b.note("done", 100)
	want("at the end", 0)
}
