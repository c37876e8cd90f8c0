// Package lifecycle runs the parts of a program together and takes them down in reverse order.
//
// A program builds its parts in one straight line and registers each teardown at once; whatever has been built is taken
// down again, last first, when a later part cannot be built, when a part fails or when the program is told to stop.
//
// Invariants: every registered teardown runs exactly once, in reverse order of registration; all of them together get one
// bounded time; Run returns only after all goroutines started by Go have ended or that time has passed.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// ErrOverdue marks parts that did not end within the time given for stopping.
var ErrOverdue = errors.New("did not stop in time")

// Group is the running parts of one program. Create it with New.
type Group struct {
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc
	grace  time.Duration

	parts sync.WaitGroup

	mu    sync.Mutex
	stops []stop
	done  bool
	err   error
}

type stop struct {
	name string
	fn   func(context.Context) error
}

// New returns a group whose parts are told to stop when ctx ends and then have the grace time to do so.
func New(ctx context.Context, log *slog.Logger, grace time.Duration) *Group {
	g := &Group{log: log, grace: grace}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Context ends when the group is told to stop or a part has failed.
func (g *Group) Context() context.Context { return g.ctx }

// OnStop registers the teardown fn of the part called name. Its context ends with the grace time.
func (g *Group) OnStop(name string, fn func(context.Context) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stops = append(g.stops, stop{name, fn})
}

// Go runs a part until its context ends. A part that returns an error before that, or panics, stops the whole group.
func (g *Group) Go(name string, fn func(context.Context) error) {
	g.parts.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				g.fail(fmt.Errorf("%s: panic: %v\n%s", name, p, debug.Stack()))
			}
		}()
		if err := fn(g.ctx); err != nil && g.ctx.Err() == nil {
			g.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	g.err = errors.Join(g.err, err)
	g.mu.Unlock()
	g.cancel(err)
}

// Wait blocks until the group is told to stop, stops it and returns what went wrong: nil after an orderly stop.
func (g *Group) Wait() error {
	<-g.ctx.Done()
	return g.Stop()
}

// Stop ends the group: it cancels the context, waits for the parts and runs the teardowns, last first. Calling it again
// returns the same error.
func (g *Group) Stop() error {
	g.cancel(nil)
	g.mu.Lock()
	if g.done {
		defer g.mu.Unlock()
		return g.err
	}
	g.done = true
	stops := g.stops
	g.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ctx), g.grace)
	defer cancel()

	ended := make(chan struct{})
	go func() { g.parts.Wait(); close(ended) }()

	var errs []error
	select {
	case <-ended:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("parts: %w (%s)", ErrOverdue, g.grace))
	}
	for i := len(stops) - 1; i >= 0; i-- {
		if err := stops[i].fn(ctx); err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, fmt.Errorf("stop %s: %w", stops[i].name, err))
		}
		g.log.Debug("stopped", "part", stops[i].name)
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = errors.Join(append([]error{g.err}, errs...)...)
	return g.err
}
