package uplink

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/proto/zstd"

	"fluxora.dev/agent/internal/identity"
	"fluxora.dev/shared/meter"
)

// Options configure a Client. Identity, Store and Log are needed; zero values of the rest mean the defaults.
type Options struct {
	Identity *identity.Identity
	Store    Store
	Lineage  Lineage // tells this agent from a copy of it; none is kept when nil
	Outbox   Outbox  // what is reported; nothing when nil
	Books    Books   // told to the hub and read again for it; none when nil
	Log      *slog.Logger
	Now      func() time.Time
	Hub      string // address, host:port; the identity's when empty
	Version  string // the agent's software version

	// ConfigRevision returns the revision of the SiteConfig in force; 0 when nil.
	ConfigRevision func() uint64
	// OnConfig and OnModels are told what the hub announces, one call at a time. They must not block: readings wait meanwhile.
	OnConfig func(wire.SiteConfig)
	OnModels func([]wire.ModelVersion)
	// Weather says how much of the weather at the site is held, and OnWeather is told what is new of it. It must not block.
	Weather   func() wire.Held
	OnWeather func(wire.Weather)
	// OnTime is told the hub's clock, when a session begins. It must not block.
	OnTime func(meter.Millis)

	BatchReadings int           // in one batch; 10,000
	Fresh         uint64        // a backlog of more readings lets newer ones pass; 20,000
	InFlight      uint64        // readings sent and not acked; 100,000, or less if the hub says so
	InFlightBytes int           // the same, bytes of chunks; 2 MiB
	AckTimeout    time.Duration // without any ack, while some are awaited, the session is given up; 2 min
	BackoffMin    time.Duration // 1 s
	BackoffMax    time.Duration // 5 min
	LedgerEvery   time.Duration // how often accounts that changed are told; 2 min
	ResendEvery   time.Duration // between two parts of what the hub asks for again; 200 ms
	ReportEvery   time.Duration // how often the outbox is looked into at least; 5 s
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Hub == "" {
		o.Hub = o.Identity.Hub()
	}
	if o.Outbox == nil {
		o.Outbox = nothing{}
	}
	if o.ConfigRevision == nil {
		o.ConfigRevision = func() uint64 { return 0 }
	}
	if o.OnConfig == nil {
		o.OnConfig = func(wire.SiteConfig) {}
	}
	if o.Weather == nil {
		o.Weather = func() wire.Held { return wire.Held{} }
	}
	if o.OnWeather == nil {
		o.OnWeather = func(wire.Weather) {}
	}
	if o.OnModels == nil {
		o.OnModels = func([]wire.ModelVersion) {}
	}
	if o.OnTime == nil {
		o.OnTime = func(meter.Millis) {}
	}
	setDefault(&o.BatchReadings, 10_000)
	setDefault(&o.Fresh, 20_000)
	setDefault(&o.InFlight, 100_000)
	setDefault(&o.InFlightBytes, 2<<20)
	setDefault(&o.AckTimeout, 2*time.Minute)
	setDefault(&o.BackoffMin, time.Second)
	setDefault(&o.BackoffMax, 5*time.Minute)
	setDefault(&o.LedgerEvery, 2*time.Minute)
	setDefault(&o.ResendEvery, 200*time.Millisecond)
	setDefault(&o.ReportEvery, 5*time.Second)
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Client keeps the agent connected to its hub. Its methods may be called concurrently.
type Client struct {
	o      Options
	status statusKeeper
	aside  int // atoms set aside since readings were last acked; of the goroutine in Run

	mu   sync.Mutex
	conn *grpc.ClientConn // of the live session; nil when there is none
}

// New returns a client that is not connected yet.
func New(o Options) *Client {
	o.setDefaults()
	zstd.Register()
	return &Client{o: o}
}

// Reasons for which a session ends that are no failures.
var (
	errReconnect = errors.New("the certificate was renewed")
	errClosed    = errors.New("the hub closed the session")
)

// comeBack ends a session because the hub said so.
type comeBack wire.ComeBack

func (c comeBack) Error() string {
	if c.Doubled {
		return c.Reason
	}
	return "the hub asks to come back after " + c.After.String() + ": " + c.Reason
}

// Run opens one session after another until ctx is done, and then returns nil.
func (c *Client) Run(ctx context.Context) error {
	pause := backoff{least: c.o.BackoffMin, most: c.o.BackoffMax}
	for ctx.Err() == nil {
		progress, err := c.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if progress {
			pause.reset()
		}
		var wait time.Duration
		var sentAway comeBack
		switch {
		case errors.Is(err, errReconnect):
			c.o.Log.Info("reconnecting with the renewed certificate")
		case errors.As(err, &sentAway) && sentAway.NewEpoch:
			if err := c.newEpoch(); err != nil {
				wait = pause.next()
				c.o.Log.Error("no new epoch could be begun", "error", err, "retry", wait)
			}
		case errors.As(err, &sentAway) && sentAway.Doubled:
			wait = sentAway.After + rand.N(sentAway.After/2+time.Millisecond)
			if c.status.failed(err) {
				c.o.Log.Error("the hub refuses this agent: "+sentAway.Reason, "retry", wait)
			}
		case errors.As(err, &sentAway):
			// Half as long again at most, so that a fleet that was sent away together does not return together.
			wait = sentAway.After + rand.N(sentAway.After/2+time.Millisecond)
			c.o.Log.Info("the hub sent this agent away", "after", wait, "reason", sentAway.Reason)
		default:
			wait = pause.next()
			if c.status.failed(err) {
				c.o.Log.Warn("uplink session ended", "hub", c.o.Hub, "error", explain(err), "retry", wait)
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// newEpoch begins an epoch under which everything that is held goes up again.
func (c *Client) newEpoch() error {
	if c.o.Lineage == nil {
		return errors.New("this agent keeps no lineage")
	}
	c.o.Log.Warn("the hub lets this agent in again: it begins a new epoch, and all that is held is sent again")
	return c.o.Lineage.NewEpoch()
}

// ErrOffline says that there is no session.
var ErrOffline = errors.New("not connected to the hub")

// Artifact passes the bytes of a model's artifact from offset on to fn, chunk by chunk. fn must not keep them.
func (c *Client) Artifact(ctx context.Context, id string, offset uint64, fn func([]byte) error) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return ErrOffline
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := uplinkv1.NewUplinkServiceClient(conn).Artifact(ctx, &uplinkv1.ArtifactRequest{Id: id, Offset: offset})
	if err != nil {
		return explain(err)
	}
	return eachChunk(stream, fn)
}

// backoff gives growing pauses, each drawn from the upper half of its span, so that many agents do not return in step.
type backoff struct{ least, most, span time.Duration }

func (b *backoff) next() time.Duration {
	b.span = min(max(2*b.span, b.least), b.most)
	return b.span/2 + rand.N(b.span/2+1)
}

func (b *backoff) reset() { b.span = 0 }
