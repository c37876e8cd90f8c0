package ingest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDoorGivesTurns shows that a crowd is let in at the rate of the door, each at the turn that it was given.
func TestDoorGivesTurns(t *testing.T) {
	d := newDoor(10)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in, last := 0, time.Duration(0)
	turns := map[time.Duration]int{}
	for range 100 {
		after, ok := d.enter(now)
		if ok {
			in++
			continue
		}
		if after <= last {
			t.Fatalf("turn after %s follows turn after %s", after, last)
		}
		last = after
		turns[after.Truncate(time.Second)]++
	}
	if in != 20 {
		t.Errorf("%d came in at once: want two seconds' worth, 20", in)
	}
	for second, n := range turns {
		if n > 10 {
			t.Errorf("%d have their turn in second %s: want at most 10", n, second)
		}
	}
	for range 100_000 {
		_, _ = d.enter(now)
	}
	if after, ok := d.enter(now); ok || after > farthest+time.Second {
		t.Errorf("in a crowd the turn comes after %s, in %t: want at most %s", after, ok, farthest)
	}
}

// TestDoorFollowsTheStore shows that slow commits close the door to a crack and quick ones open it again.
func TestDoorFollowsTheStore(t *testing.T) {
	d := newDoor(100)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for range 60 {
		now = now.Add(2 * time.Second)
		d.committed(now, 3*slowCommit)
		d.committed(now, 3*slowCommit) // of one second, one counts
	}
	if d.rate != leastDoor {
		t.Errorf("after slow commits %g a second: want %d", d.rate, leastDoor)
	}
	d.committed(now.Add(2*time.Second), slowCommit/2) // neither
	if d.rate != leastDoor {
		t.Errorf("after a commit that was neither slow nor quick %g a second: want %d", d.rate, leastDoor)
	}
	for range 60 {
		now = now.Add(2 * time.Second)
		d.committed(now, quickCommit/2)
	}
	if d.rate != 100 {
		t.Errorf("after quick commits %g a second: want 100", d.rate)
	}
}

// TestFreshPassesBacklog shows the order in which waiting commits get their place.
func TestFreshPassesBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurnstile(1)
		leave, err := s.enter(t.Context(), false, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 20)
		wait := func(name string, fresh bool) {
			go func() {
				leave, err := s.enter(t.Context(), fresh, nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				order <- name
				leave()
			}()
			synctest.Wait()
		}
		for range 3 {
			wait("backlog", false)
		}
		for range 7 {
			wait("fresh", true)
		}
		leave()
		synctest.Wait()
		close(order)
		var got []string
		for name := range order {
			got = append(got, name)
		}
		want := []string{"fresh", "fresh", "fresh", "backlog", "fresh", "fresh", "fresh", "backlog", "fresh", "backlog"}
		if len(got) != len(want) {
			t.Fatalf("%d got in: want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("order %v: want %v", got, want)
			}
		}
		if s.free != 1 || s.old != 0 {
			t.Errorf("afterwards %d places are free and %d of the backlog inside: want 1 and 0", s.free, s.old)
		}
	})
}

// TestBacklogWaitsWhileDerivationLags shows that a late derivation leaves the backlog one place, and that whoever gives up
// waiting takes none.
func TestBacklogWaitsWhileDerivationLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurnstile(4)
		s.behind(2 * farBehind)
		leave, err := s.enter(t.Context(), false, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var in atomic.Int64
		for range 2 {
			go func() {
				if _, err := s.enter(t.Context(), false, nil, nil); err == nil {
					in.Add(1)
				}
			}()
		}
		gone, cancel := context.WithCancel(t.Context())
		away, down := make(chan struct{}), make(chan struct{})
		errs := make(chan error, 3)
		go func() { _, err := s.enter(gone, false, nil, nil); errs <- err }()
		go func() { _, err := s.enter(t.Context(), false, away, nil); errs <- err }()
		go func() { _, err := s.enter(t.Context(), false, nil, down); errs <- err }()
		fresh, err := s.enter(t.Context(), true, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		fresh()
		synctest.Wait()
		if in.Load() != 0 {
			t.Errorf("%d of the backlog are inside beside one: want none", in.Load())
		}
		cancel()
		close(away)
		close(down)
		for range 3 {
			if err := <-errs; !errors.Is(err, context.Canceled) && !errors.Is(err, errTurned) {
				t.Errorf("whoever gave up got %v", err)
			}
		}
		leave()
		s.behind(0)
		synctest.Wait()
		if in.Load() != 2 || s.free != 2 {
			t.Errorf("with derivation up to date %d of the backlog got in, %d places are free: want 2 and 2", in.Load(), s.free)
		}
	})
}
