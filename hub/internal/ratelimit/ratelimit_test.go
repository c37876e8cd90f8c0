package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"fluxora.dev/hub/internal/ratelimit"
)

func TestBuckets(t *testing.T) {
	now := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	l := ratelimit.New(100, func() time.Time { return now })
	rate := ratelimit.Rate{PerHour: 3600, Burst: 3} // one a second
	for i := range 3 {
		if v := l.Take("a", rate); !v.Allowed || v.Remaining != 2-i || v.Limit != 3600 || v.Reset != time.Duration(i+1)*time.Second {
			t.Fatalf("request %d: %+v", i, v)
		}
	}
	if v := l.Take("a", rate); v.Allowed || v.Retry != time.Second || v.Remaining != 0 {
		t.Errorf("a fourth at once: %+v", v)
	}
	if v := l.Take("b", rate); !v.Allowed {
		t.Errorf("somebody else: %+v", v)
	}
	now = now.Add(1500 * time.Millisecond)
	if v := l.Take("a", rate); !v.Allowed || v.Remaining != 0 {
		t.Errorf("a second and a half later: %+v", v)
	}
	now = now.Add(-time.Hour)
	if v := l.Take("a", rate); v.Allowed {
		t.Errorf("a clock set back filled the bucket: %+v", v)
	}
	now = now.Add(1000 * time.Hour)
	if v := l.Take("a", rate); !v.Allowed || v.Remaining != 2 {
		t.Errorf("much later: %+v", v)
	}
	if v := l.Take("a", ratelimit.Rate{PerHour: 3600, Burst: 1}); !v.Allowed && v.Remaining != 0 {
		t.Errorf("a smaller bucket: %+v", v)
	}
	if v := l.Take("c", ratelimit.Rate{}); !v.Allowed || v.Limited {
		t.Errorf("no limit: %+v", v)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	now := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	l := ratelimit.New(100, func() time.Time { return now })
	rate := ratelimit.Rate{PerHour: 3600, Burst: 2}
	allowed := 0
	for i := range 10_000 {
		if l.Take(fmt.Sprint("caller ", i), rate).Allowed {
			allowed++
		}
	}
	if n := l.Len(); n > 101 || allowed != 102 {
		t.Errorf("%d buckets, %d allowed: want at most 101, and those without a bucket to share one", n, allowed)
	}
	now = now.Add(time.Minute)
	if l.Take("late", rate); l.Len() > 3 {
		t.Errorf("%d buckets are left after all were full again", l.Len())
	}
}
