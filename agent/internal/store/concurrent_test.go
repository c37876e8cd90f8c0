package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// TestConcurrentUse appends, drains, scans, quarantines and flushes at once, in a store so small that segments are sealed,
// trimmed and evicted under its readers.
func TestConcurrentUse(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{MaxBytes: 1 << 20, Retention: time.Nanosecond})
	id := series(t, s, "main")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	loop := func(fn func() error) {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := fn(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	loop(func() error {
		for _, r := range s.Unacked() {
			b, err := s.ReadFrom(r.First, 2000)
			if err != nil {
				return err
			}
			if b.Count > 0 && b.First%3 == 0 {
				if err := s.Ack(store.Range{First: b.First, End: b.First + b.Count}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	loop(func() error {
		_, _, err := s.Readings(s.Next()/2, 5000)
		return err
	})
	loop(func() error { return s.Scan(id, 0, 1<<60, func(meter.Reading) error { return nil }) })
	loop(func() error {
		_, _, _ = s.Span(id)
		_, _ = s.Ledger(), s.Bytes()
		return s.Quarantine([]store.Quarantined{{Reason: "malformed", Payload: []byte("x")}})
	})
	loop(func() error { return s.PutDerived(s.Next(), []store.Entry{{Key: []byte("k"), Value: []byte("v")}}) })
	for i := range 100 {
		rs := counter(id, i*500, 500)
		for i := range rs {
			rs[i].Value ^= int64(i*7919) % 65521
		}
		appendAll(t, s, rs)
	}
	cancel()
	wg.Wait()
	if l := s.Ledger(); l.Received != 50_000 || l.Received != l.Delivered+l.Evicted+l.Pending {
		t.Errorf("ledger %+v does not balance", l)
	}
	if d := s.Damage(); len(d) > 0 {
		t.Errorf("damage: %v", d)
	}
	if s.Bytes() > 1<<20 {
		t.Errorf("%d bytes", s.Bytes())
	}
}
