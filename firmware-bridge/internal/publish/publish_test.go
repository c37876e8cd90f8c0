package publish

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestWindowBlocksWithoutBroker holds what fits and makes the caller wait, as long as it takes.
func TestWindowBlocksWithoutBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Window: 3, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		for range 3 {
			if err := p.Publish(t.Context(), "t", nil, 10); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if err := p.Publish(ctx, "t", nil, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a fourth message: %v, want to wait", err)
		}
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush: %v, want to wait", err)
		}
		if c := p.Counts(); c.Backlog != 3 || c.Published != 3 || c.Readings != 30 {
			t.Errorf("%+v", c)
		}

		taken := make(chan error)
		go func() { taken <- p.Publish(t.Context(), "t", nil, 1) }()
		second := p.held[1]
		p.ack(second) // out of order: the front is not free yet
		synctest.Wait()
		if c := p.Counts(); c.Backlog != 3 || c.Acked != 1 {
			t.Errorf("%+v", c)
		}
		p.ack(p.held[0])
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		if c := p.Counts(); c.Backlog != 2 || c.Acked != 2 || c.Published != 4 {
			t.Errorf("%+v", c)
		}
	})
}

func TestWaitForAgentBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{WaitForAgent: true, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Publish(ctx, "t", nil, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want to wait for the agent", err)
		}
		p.update(func() { p.counts.AgentReady = true })
		if err := p.Publish(t.Context(), "t", nil, 1); err != nil {
			t.Error(err)
		}
	})
}

func TestPauseGrowsAndIsBounded(t *testing.T) {
	p := New(Options{RetryAtMost: 30 * time.Second})
	for attempt, most := range map[int]time.Duration{1: 500 * time.Millisecond, 3: 2 * time.Second, 7: 30 * time.Second, 1000: 30 * time.Second} {
		seen := map[time.Duration]bool{}
		for range 50 {
			d := p.pause(attempt)
			if d < most/10 || d > most {
				t.Errorf("attempt %d: %s, want %s to %s", attempt, d, most/10, most)
			}
			seen[d] = true
		}
		if len(seen) < 10 {
			t.Errorf("attempt %d: no jitter", attempt)
		}
	}
}
