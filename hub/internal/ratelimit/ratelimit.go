// Package ratelimit bounds how often each caller may ask: a bucket of tokens for each, filled at a steady rate (the generic cell rate
// algorithm's other form). It knows callers by an opaque key and no HTTP.
//
// Buckets are in memory: each replica of the hub has its own, so that n of them allow n times as much.
package ratelimit

import (
	"math"
	"sync"
	"time"
)

// Rate is how often a caller may ask. The zero Rate does not limit.
type Rate struct {
	PerHour int // in the long run
	Burst   int // at once, after a pause
}

// Verdict is what a bucket says to one request.
type Verdict struct {
	Allowed   bool
	Limited   bool          // false: this caller is not limited, and the rest means nothing
	Limit     int           // an hour, in the long run
	Remaining int           // at once, now
	Reset     time.Duration // until the bucket is full again
	Retry     time.Duration // until the next request is allowed; 0 when it is now
}

// Limiter holds the buckets. Its methods may be called concurrently.
type Limiter struct {
	most int
	now  func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
	swept   time.Time
}

// bucket is how much was taken from a full bucket, at an instant.
type bucket struct {
	taken float64
	at    time.Time
	rate  Rate
}

// sweepEvery bounds how often full buckets are looked for.
const sweepEvery = time.Second

// New returns a limiter that keeps at most the given number of buckets. Callers beyond share one.
func New(most int, now func() time.Time) *Limiter {
	return &Limiter{most: most, now: now, buckets: map[string]bucket{}}
}

// Take takes one token from a caller's bucket.
func (l *Limiter) Take(key string, rate Rate) Verdict {
	if rate.PerHour <= 0 {
		return Verdict{Allowed: true}
	}
	rate.Burst = max(rate.Burst, 1)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok && len(l.buckets) >= l.most {
		l.sweep(now)
		if len(l.buckets) >= l.most {
			key = "" // no caller has it
			b = l.buckets[key]
		}
	}
	b.taken, b.at, b.rate = b.left(now, rate), now, rate
	v := Verdict{Limited: true, Limit: rate.PerHour}
	if b.taken+1 <= float64(rate.Burst) {
		b.taken++
		v.Allowed = true
	} else {
		v.Retry = rate.fill(b.taken + 1 - float64(rate.Burst))
	}
	v.Remaining = int(math.Floor(float64(rate.Burst) - b.taken))
	v.Reset = rate.fill(b.taken)
	l.buckets[key] = b
	return v
}

// left returns what is missing in the bucket now.
func (b bucket) left(now time.Time, rate Rate) float64 {
	since := max(0, now.Sub(b.at).Hours()) // a clock set back fills nothing
	return min(max(0, b.taken-since*float64(rate.PerHour)), float64(rate.Burst))
}

// fill returns how long it takes until n tokens are there.
func (r Rate) fill(n float64) time.Duration {
	return time.Duration(math.Ceil(n * float64(time.Hour) / float64(r.PerHour)))
}

// sweep forgets full buckets, which are like those that do not exist.
func (l *Limiter) sweep(now time.Time) {
	if since := now.Sub(l.swept); since >= 0 && since < sweepEvery {
		return
	}
	l.swept = now
	for k, b := range l.buckets {
		if b.left(now, b.rate) == 0 {
			delete(l.buckets, k)
		}
	}
}

// Len returns how many buckets there are.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buckets)
}
