package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/ingest"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// TestCountedApart sends readings again and corrects them at random, over restarts: each duplicate and each correction is told once,
// with its instant, and what is stored is everything else.
func TestCountedApart(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	type counts struct{ duplicates, corrections int }
	var mu sync.Mutex
	got, want := map[meter.Millis]counts{}, map[meter.Millis]counts{}
	seen := map[meter.Millis]map[int]bool{}
	stored := 0
	c := config.Default()
	c.Site, c.Store.CommitWindow = "home", time.Millisecond
	for range 6 {
		s, err := store.Open(dir, store.Options{Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		in, err := ingest.New(s, ingest.Options{Config: c, Now: func() time.Time { return noon }, Apart: func(correction bool, of meter.SeriesID, at meter.Millis) {
			mu.Lock()
			defer mu.Unlock()
			n := got[at]
			if correction {
				n.corrections++
			} else {
				n.duplicates++
			}
			got[at] = n
		}})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, in)
		for range 20 {
			n := 1 + rng.IntN(30)
			acks := make(chan struct{}, n)
			for range n {
				at, v := meter.MillisOf(noon.Add(-time.Duration(rng.IntN(80))*time.Minute)), rng.IntN(3)
				w := want[at]
				switch {
				case seen[at] == nil:
					seen[at] = map[int]bool{}
					stored++
				case seen[at][v]:
					w.duplicates++
				default:
					w.corrections++
					stored++
				}
				seen[at][v], want[at] = true, w
				in.Take(t.Context(), mqtt.NewMessage(energyTopic, fmt.Appendf(nil, `{"t":%d,"v":%d}`, at, v), false, false, func() { acks <- struct{}{} }))
			}
			for range n {
				<-acks
			}
		}
		stop()
		if next := s.Next(); int(next) != stored+1 {
			t.Errorf("%d readings are stored: want %d", next-1, stored)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for at := range want {
			if got[at] != want[at] {
				t.Fatalf("at %s %+v: want %+v", at, got[at], want[at])
			}
		}
	}
}
