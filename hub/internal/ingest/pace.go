package ingest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of the pace.
const (
	slowCommit  = time.Second     // a commit that takes longer says that too much is under way
	quickCommit = slowCommit / 4  // one that takes less says that there is room
	adapt       = time.Second     // how often the rate of the door changes
	leastDoor   = 2               // sessions a second, whatever happens
	farthest    = 5 * time.Minute // the longest that an agent is told to stay away for
	farBehind   = 2 * time.Minute // a derivation this late leaves the backlog one place
)

// door says how many sessions may be opened a second: as many as Options.OpenPerSec while commits are quick, fewer while they
// are slow, and whoever comes beyond gets a turn of its own to come back at.
type door struct {
	most float64

	mu      sync.Mutex
	limit   *rate.Limiter
	rate    float64
	changed time.Time
	turn    time.Time // the last one that was given away
}

func newDoor(perSec float64) *door {
	return &door{most: perSec, rate: perSec, limit: rate.NewLimiter(rate.Limit(perSec), max(1, int(2*perSec)))}
}

// enter reports whether a session may be opened now, and otherwise after which time the agent should come back.
func (d *door) enter(now time.Time) (after time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limit.AllowN(now, 1) {
		return 0, true
	}
	return d.queue(now), false
}

// wait returns when one who found no place should come back.
func (d *door) wait(now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue(now)
}

func (d *door) queue(now time.Time) time.Duration {
	if first := now.Add(time.Second); d.turn.Before(first) {
		d.turn = first
	}
	if d.turn.Sub(now) < farthest {
		d.turn = d.turn.Add(time.Duration(float64(time.Second) / d.rate))
	}
	return d.turn.Sub(now)
}

// committed takes note of how long a commit took, with its wait at the turnstile if its readings were fresh.
func (d *door) committed(now time.Time, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.changed) < adapt {
		return
	}
	switch {
	case took > slowCommit:
		d.rate = max(leastDoor, d.rate/2)
	case took < quickCommit && d.rate < d.most:
		d.rate = min(d.most, d.rate*1.25)
	default:
		return
	}
	d.changed = now
	d.limit.SetLimitAt(now, rate.Limit(d.rate))
	d.limit.SetBurstAt(now, max(1, int(2*d.rate)))
}

// turnstile lets a few commits at a time into the store. Readings measured since their session began pass those of the
// backlog, but of four commits one is the backlog's while it waits.
type turnstile struct {
	mu      sync.Mutex
	free    int
	places  int
	fresh   []chan struct{} // waiting, the oldest first
	backlog []chan struct{}
	streak  int  // fresh ones in a row while the backlog waited
	old     int  // of the backlog, inside
	narrow  bool // the backlog has one place at most
}

func newTurnstile(places int) *turnstile { return &turnstile{free: places, places: places} }

// errTurned says that who waited for a place was called away.
var errTurned = errors.New("called away while waiting")

// enter waits for a place and returns how it is given back. It gives up, with errTurned, when one of the channels is closed.
func (t *turnstile) enter(ctx context.Context, fresh bool, away, down <-chan struct{}) (leave func(), err error) {
	leave = func() { t.leave(fresh) }
	t.mu.Lock()
	if t.free > 0 && t.admits(fresh) {
		t.take(fresh)
		t.mu.Unlock()
		return leave, nil
	}
	turn := make(chan struct{})
	lane := &t.backlog
	if fresh {
		lane = &t.fresh
	}
	*lane = append(*lane, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return leave, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-away:
		err = errTurned
	case <-down:
		err = errTurned
	}
	t.mu.Lock()
	i := slices.Index(*lane, turn)
	if i >= 0 {
		*lane = slices.Delete(*lane, i, i+1)
	}
	t.mu.Unlock()
	if i < 0 {
		leave() // the place came at the same moment
	}
	return nil, err
}

// admits reports whether one of a lane may take a free place. t.mu is held.
func (t *turnstile) admits(fresh bool) bool { return fresh || !t.narrow || t.old == 0 }

func (t *turnstile) take(fresh bool) {
	t.free--
	if !fresh {
		t.old++
	}
}

func (t *turnstile) leave(fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	if !fresh {
		t.old--
	}
	t.next()
}

// next gives free places to those who wait. t.mu is held.
func (t *turnstile) next() {
	for t.free > 0 {
		old := len(t.backlog) > 0 && t.admits(false)
		switch {
		case len(t.fresh) > 0 && !(old && t.streak >= 3):
			if old {
				t.streak++
			}
			t.take(true)
			close(t.fresh[0])
			t.fresh = t.fresh[1:]
		case old:
			t.streak = 0
			t.take(false)
			close(t.backlog[0])
			t.backlog = t.backlog[1:]
		default:
			return
		}
	}
}

// behind says how far what is made of readings lags behind them.
func (t *turnstile) behind(lag time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.narrow = lag > farBehind
	t.next()
}
