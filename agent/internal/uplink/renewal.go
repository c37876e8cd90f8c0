package uplink

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

// afresh has the certificate renewed over conn when the hub did not take it, as it may have expired while this agent was away, and
// returns why to open another session, or err when it could not be. The hub's clock decides, since this one may be wrong.
func (c *Client) afresh(ctx context.Context, conn grpc.ClientConnInterface, err error) error {
	if status.Code(err) != codes.Unauthenticated {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if e := c.o.Identity.Renew(ctx, conn); e != nil {
		c.o.Log.Debug("the certificate is not renewed either", "error", explain(e))
		return err
	}
	select {
	case <-c.o.Identity.Changed(): // this session is over anyway
	default:
	}
	return errReconnect
}

// stop waits for the attempt under way, whose context is done by then or soon.
func (r *renewal) stop() { r.work.Wait() }
