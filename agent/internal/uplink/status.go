package uplink

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/stats"

	"fluxora.dev/shared/meter"
)

// Status is how the uplink stands.
type Status struct {
	Connected bool
	Since     time.Time // of Connected
	LastAck   time.Time // zero before the first
	LastError string    // why the last session ended or could not begin; empty when none failed
	Sessions  uint64    // begun
	Failures  uint64    // sessions that ended or could not begin for a reason other than the hub's wish

	Acked         uint64        // readings, since the start
	InFlight      uint64        // readings sent and not acked
	SetAside      uint64        // readings that the hub can never store, since the start
	Unreportable  uint64        // entries of reports that the hub can never store, since the start
	BytesSent     uint64        // of messages, compressed, without TLS and framing
	BytesReceived uint64        // the same
	Doubled       bool          // the hub refuses this agent as a copy of another, or of what it was
	Unbalanced    uint32        // accounts that the hub found different when it compared last
	Compared      uint64        // accounts messages that the hub compared
	Resent        uint64        // parts sent again because the hub asked
	ClockOffset   time.Duration // this clock minus the hub's at the last welcome
}

// Status returns how the uplink stands.
func (c *Client) Status() Status {
	c.status.mu.Lock()
	defer c.status.mu.Unlock()
	return c.status.s
}

// statusKeeper keeps the Status, and counts bytes as a stats.Handler of gRPC.
type statusKeeper struct {
	mu sync.Mutex
	s  Status
}

func (k *statusKeeper) connected(yes bool, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.Connected, k.s.Since = yes, now
	if yes {
		k.s.Sessions++
		k.s.LastError = ""
		k.s.Doubled = false
	} else {
		k.s.InFlight = 0
	}
}

// failed notes an error and reports whether it is another than the last one.
func (k *statusKeeper) failed(err error) (news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.Failures++
	text := explain(err).Error()
	away, ok := errors.AsType[comeBack](err)
	k.s.Doubled = ok && away.Doubled
	news = k.s.LastError != text
	k.s.LastError = text
	return news
}

func (k *statusKeeper) welcomed(hub, here meter.Millis) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.ClockOffset = here.Sub(hub)
}

func (k *statusKeeper) acked(n uint64, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.Acked += n
	k.s.LastAck = now
	if n > 0 {
		k.s.LastError = ""
	}
}

func (k *statusKeeper) setAside(n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.SetAside += n
}

func (k *statusKeeper) unreportable(n uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.Unreportable += uint64(n)
}

func (k *statusKeeper) refusedAll(reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.LastError = "the hub refuses one batch after another: " + reason
}

func (k *statusKeeper) compared(done bool, unbalanced uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if done {
		k.s.Compared++
		k.s.Unbalanced = unbalanced
	}
}

func (k *statusKeeper) resent() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.Resent++
}

func (k *statusKeeper) inFlight(n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.InFlight = n
}

// TagRPC implements stats.Handler.
func (k *statusKeeper) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (k *statusKeeper) HandleRPC(_ context.Context, s stats.RPCStats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch s := s.(type) {
	case *stats.OutPayload:
		k.s.BytesSent += uint64(s.WireLength)
	case *stats.InPayload:
		k.s.BytesReceived += uint64(s.WireLength)
	}
}

// TagConn implements stats.Handler.
func (k *statusKeeper) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (k *statusKeeper) HandleConn(context.Context, stats.ConnStats) {}
