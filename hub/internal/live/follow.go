package live

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
)

const (
	ask       = 500 * time.Millisecond
	pruneEach = time.Minute
	keepFor   = 24 * time.Hour
	keepMost  = 100_000
	most      = 500 // events read at once, and kept in memory of each organisation that is followed
)

// Follower reads new events once for all who follow them at this hub.
type Follower struct {
	store *store.Store
	log   *slog.Logger
	now   func() time.Time

	mu   sync.Mutex
	orgs map[uuid.UUID]*feed
	done bool
}

// feed is the newest events of one organisation.
type feed struct {
	followers int
	recent    []store.LiveEvent // without gaps, at most `most`
	head      int64             // newest seq known
	known     bool              // head was read
	news      chan struct{}     // closed when head changes or the follower ends
}

// NewFollower returns one that follows nothing until Run.
func NewFollower(s *store.Store, log *slog.Logger, now func() time.Time) *Follower {
	return &Follower{store: s, log: log, now: now, orgs: map[uuid.UUID]*feed{}}
}

// Run reads what is new, and forgets what is old, until ctx is done. Then all who follow are told to end.
func (f *Follower) Run(ctx context.Context) error {
	defer f.end()
	tick := time.NewTicker(ask)
	defer tick.Stop()
	var pruned time.Time
	for {
		if err := f.read(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("live events cannot be read", "error", err)
		}
		if now := f.now(); now.Sub(pruned) >= pruneEach || now.Before(pruned) {
			pruned = now
			if _, err := f.store.PruneLiveEvents(ctx, now.Add(-keepFor), keepMost); err != nil && ctx.Err() == nil {
				f.log.Warn("old live events cannot be forgotten", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *Follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = true
	for _, d := range f.orgs {
		close(d.news)
	}
}

// read asks for the heads of all organisations that are followed, and for the events of those that moved.
func (f *Follower) read(ctx context.Context) error {
	f.mu.Lock()
	orgs := make([]uuid.UUID, 0, len(f.orgs))
	for org := range f.orgs {
		orgs = append(orgs, org)
	}
	f.mu.Unlock()
	if len(orgs) == 0 {
		return nil
	}
	heads, err := f.store.LiveHeads(ctx, orgs)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		if err := f.advance(ctx, org, heads[org]); err != nil {
			return err
		}
	}
	return nil
}

func (f *Follower) advance(ctx context.Context, org uuid.UUID, head int64) error {
	f.mu.Lock()
	d := f.orgs[org]
	if d == nil || d.known && d.head >= head {
		f.mu.Unlock()
		return nil
	}
	after := head
	if d.known {
		after = max(d.head, head-most)
	}
	f.mu.Unlock()
	var events []store.LiveEvent
	if after < head {
		var err error
		if events, err = f.store.LiveEvents(ctx, org, after, most); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return nil
	}
	if len(d.recent) > 0 && len(events) > 0 && d.recent[len(d.recent)-1].Seq+1 != events[0].Seq {
		d.recent = nil
	}
	d.recent = append(d.recent, events...)
	if extra := len(d.recent) - most; extra > 0 {
		d.recent = append([]store.LiveEvent(nil), d.recent[extra:]...)
	}
	d.known, d.head = true, head
	if len(events) > 0 {
		d.head = events[len(events)-1].Seq
	}
	close(d.news)
	d.news = make(chan struct{})
	return nil
}

// Follow begins to follow an organisation. Call leave when done.
func (f *Follower) Follow(org uuid.UUID) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.orgs[org]
	if d == nil {
		d = &feed{news: make(chan struct{})}
		if f.done {
			close(d.news)
		}
		f.orgs[org] = d
	}
	d.followers++
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if d.followers--; d.followers == 0 {
			delete(f.orgs, org)
		}
	})
}

// State is what a follower knows of an organisation's events.
type State struct {
	Head   int64             // the newest seq; -1 before it is known
	Events []store.LiveEvent // those after the seq that was asked for; empty although there are some when they are no longer in memory
	News   <-chan struct{}   // closed when there may be more
	Ended  bool              // the hub stops
}

// Since returns what is known of the events after a seq. Only those who follow may ask.
func (f *Follower) Since(org uuid.UUID, after int64) State {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.orgs[org]
	s := State{Head: -1, News: d.news, Ended: f.done}
	if d.known {
		s.Head = d.head
		if len(d.recent) > 0 && d.recent[0].Seq <= after+1 && after < d.head {
			s.Events = d.recent[after+1-d.recent[0].Seq:]
		}
	}
	return s
}
