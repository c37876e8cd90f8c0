package uplink

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"fluxora.dev/agent/internal/identity"
)

// renewal asks for a new certificate when it is time, beside the session and over its connection.
type renewal struct {
	id  *identity.Identity
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex
	running bool
	next    time.Time // no earlier than this
	work    sync.WaitGroup
}

func newRenewal(id *identity.Identity, now func() time.Time, log *slog.Logger) *renewal {
	return &renewal{id: id, now: now, log: log}
}

// start renews the certificate if it is due and nobody is at it. It does not block.
func (r *renewal) start(ctx context.Context, conn grpc.ClientConnInterface) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running || now.Before(r.id.RenewAt()) || now.Before(r.next) {
		return
	}
	r.running = true
	r.work.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		err := r.id.Renew(ctx, conn)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running = false
		if err != nil {
			// Tried again well before the certificate expires, but not at every tick.
			wait := min(r.id.NotAfter().Sub(r.now())/20, time.Hour)
			r.next = r.now().Add(wait/2 + rand.N(wait/2+time.Second))
			r.log.Warn("certificate not renewed yet", "expires", r.id.NotAfter(), "retry", r.next, "error", explain(err))
			return
		}
		r.log.Info("certificate renewed", "expires", r.id.NotAfter())
	})
}

// stop waits for the attempt under way, whose context is done by then or soon.
func (r *renewal) stop() { r.work.Wait() }
