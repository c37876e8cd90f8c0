package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fluxora.dev/shared/lifecycle"
)

func group(ctx context.Context) *lifecycle.Group {
	return lifecycle.New(ctx, slog.New(slog.DiscardHandler), 5*time.Second)
}

func TestStopsInReverseOrderOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := group(ctx)
	var order []string
	for _, name := range []string{"store", "mqtt", "http"} {
		g.OnStop(name, func(context.Context) error { order = append(order, name); return nil })
	}
	partEnded := false
	g.Go("part", func(ctx context.Context) error { <-ctx.Done(); partEnded = true; return ctx.Err() })
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if !partEnded {
		t.Error("teardown ran before the part had ended")
	}
	if want := []string{"http", "mqtt", "store"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestFailingPartStopsTheGroup(t *testing.T) {
	boom := errors.New("boom")
	for name, fail := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return boom },
		"panic": func(context.Context) error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			g := group(t.Context())
			stopped := false
			g.OnStop("store", func(context.Context) error { stopped = true; return nil })
			g.Go("uplink", fail)
			err := g.Wait()
			if err == nil || !strings.Contains(err.Error(), "uplink: ") || !strings.Contains(err.Error(), "boom") {
				t.Errorf("error %v, want the part's", err)
			}
			if !stopped {
				t.Error("the store was not stopped")
			}
		})
	}
}

func TestOverduePartDoesNotHoldTheTeardown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(t.Context())
		release := make(chan struct{})
		stopped := false
		g.OnStop("store", func(context.Context) error { stopped = true; return nil })
		g.Go("stuck", func(context.Context) error { <-release; return nil })
		if err := g.Stop(); !errors.Is(err, lifecycle.ErrOverdue) {
			t.Errorf("error %v, want ErrOverdue", err)
		}
		if !stopped {
			t.Error("the store was not stopped")
		}
		close(release)
	})
}
