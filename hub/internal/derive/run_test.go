package derive_test

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/postgres/pgtest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// eager is due at once.
var eager = derive.Options{Due: store.Due{MergeReadings: 200}, Poll: 50 * time.Millisecond, StepMost: 500}

// TestReplicasShare runs four derivers, as two hubs might, on several sites at once.
func TestReplicasShare(t *testing.T) {
	s := storetest.Open(t)
	other, err := store.Open(t.Context(), s.Pool().Config().ConnString(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, s := range []*store.Store{s, other, s, other} {
		d := derive.New(s, eager)
		wg.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 1))
	var senders []*sender
	for range 2 {
		x := newSender(t, t, s, store.Site{Name: "here", Zone: "Europe/Oslo", Resolution: 15 * time.Minute})
		senders = append(senders, x)
		for batch := range slices.Chunk(story(r), 40) {
			x.commit(batch)
		}
	}
	cancel()
	wg.Wait()
	if err := derive.New(s, eager).Drain(t.Context()); err != nil { // what Run had not come to
		t.Fatal(err)
	}
	for _, x := range senders {
		x.checkReadings()
		x.checkDerived()
		x.checkCounts()
	}
}

// TestPostgresRestarts kills the server under a running deriver and an agent that sends: both go on when it is back, and
// nothing is lost or doubled.
func TestPostgresRestarts(t *testing.T) {
	pgtest.Server(t) // skips without Postgres
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	start := func() *postgres.Server {
		srv, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return srv
	}
	srv := start()
	defer func() { srv.Stop() }()
	s, err := store.Open(t.Context(), srv.URL(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := newSender(t, t, s, store.Site{Name: "here", Zone: "Europe/Oslo", Resolution: 15 * time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	d := derive.New(s, eager)
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r := rand.New(rand.NewPCG(2, 2))
	batches := slices.Collect(slices.Chunk(story(r), 20))
	for i, batch := range batches {
		if i == len(batches)/3 || i == 2*len(batches)/3 {
			if i == len(batches)/3 {
				syscall.Kill(srv.PID(), syscall.SIGKILL)
				<-srv.Done()
			}
			srv.Stop()
			if _, err := d.Step(t.Context()); err == nil || !store.Retry(err) {
				t.Errorf("step without a server: error %v, want one to retry", err)
			}
			srv = start()
			for s.Ping(t.Context()) != nil { // the pool drops its broken connections one by one
			}
		}
		x.commit(batch)
	}
	cancel()
	wg.Wait()
	if err := derive.New(s, eager).Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.checkReadings()
	x.checkDerived()
	x.checkCounts()
}
