package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/proto/zstd"

	"fluxora.dev/hub/internal/authority"
)

// Options configure a Server. Store, Enrolment, Authority and Log are needed; zero values of the rest mean the defaults.
type Options struct {
	Store     Store
	Enrolment Enrolment
	Books     Books // nil for a hub that keeps none
	Authority *authority.Authority
	Log       *slog.Logger
	Now       func() time.Time

	// Committed is told after each commit whose readings they were. It must not block.
	Committed func(org, site uuid.UUID)

	// Lag, when set, tells how far what is made of readings is behind them.
	Lag func(ctx context.Context) (time.Duration, error)

	MaxSessions  int           // live sessions; 2,000
	OpenPerSec   float64       // sessions opened per second, on average and while commits are quick; 100
	MaxCommits   int           // commits of batches at a time; 8
	MaxInFlight  uint64        // readings an agent may have unacked; 20,000
	Recheck      time.Duration // how soon a revoked agent is cut off; 5 s
	LagPoll      time.Duration // 5 s
	HelloTimeout time.Duration // 15 s
	DrainTimeout time.Duration // 10 s
	WeatherPoll  time.Duration // how soon agents are told of new weather; 5 min
	ResendPoll   time.Duration // how soon agents are asked for what is to be sent again; 2 s
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Committed == nil {
		o.Committed = func(uuid.UUID, uuid.UUID) {}
	}
	setDefault(&o.MaxSessions, 2000)
	setDefault(&o.OpenPerSec, 100)
	setDefault(&o.MaxCommits, 8)
	setDefault(&o.MaxInFlight, 20_000)
	setDefault(&o.Recheck, 5*time.Second)
	setDefault(&o.LagPoll, 5*time.Second)
	setDefault(&o.HelloTimeout, 15*time.Second)
	setDefault(&o.DrainTimeout, 10*time.Second)
	setDefault(&o.WeatherPoll, 5*time.Minute)
	setDefault(&o.ResendPoll, 2*time.Second)
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Server takes in what agents send. Its methods may be called concurrently.
type Server struct {
	uplinkv1.UnimplementedEnrolmentServiceServer
	uplinkv1.UnimplementedUplinkServiceServer

	o        Options
	count    counters
	door     *door
	commits  *turnstile
	enrolers *enrolLimits
	drain    chan struct{} // closed when the server is going down

	mu            sync.Mutex
	live          map[uuid.UUID]*session // by agent
	displacements map[uuid.UUID][]time.Time
}

// New returns a server that is not listening yet.
func New(o Options) *Server {
	o.setDefaults()
	return &Server{
		o:             o,
		door:          newDoor(o.OpenPerSec),
		commits:       newTurnstile(o.MaxCommits),
		enrolers:      newEnrolLimits(o.Now),
		drain:         make(chan struct{}),
		live:          make(map[uuid.UUID]*session),
		displacements: make(map[uuid.UUID][]time.Time),
	}
}

// Serve takes connections from l until ctx is done; then it sends the agents away with ComeBack, lets commits under way
// finish, and returns. It may be called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	zstd.Register()
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.o.Authority.ServerTLS())),
		grpc.MaxRecvMsgSize(wire.MaxMessage),
		grpc.MaxConcurrentStreams(8),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second, MaxConnectionIdle: 5 * time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
		grpc.ChainUnaryInterceptor(s.recoverUnary),
		grpc.ChainStreamInterceptor(s.recoverStream),
	)
	uplinkv1.RegisterEnrolmentServiceServer(g, s)
	uplinkv1.RegisterUplinkServiceServer(g, s)

	watching, unwatch := context.WithCancel(ctx)
	var watches sync.WaitGroup
	for _, watch := range []func(context.Context){s.watchResends, s.watchStanding, s.watchLag} {
		watches.Go(func() { watch(watching) })
	}
	defer func() { unwatch(); watches.Wait() }()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		close(s.drain)
		late := time.AfterFunc(s.o.DrainTimeout, g.Stop)
		defer late.Stop()
		g.GracefulStop()
	})
	err := g.Serve(l)
	if stop() { // ctx is not done: the listener failed
		g.Stop()
		return fmt.Errorf("serve agents on %s: %w", l.Addr(), err)
	}
	<-stopped
	return nil
}

// Announce makes live sessions of the site, or with a zero site of the whole organisation, tell their agents what
// configuration and models the store now holds for them.
func (s *Server) Announce(org, site uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, live := range s.live {
		if live.agent.Org == org && (site == uuid.UUID{} || live.agent.Site == site) {
			select {
			case live.announce <- struct{}{}:
			default: // one is pending already, and will read what is then in the store
			}
		}
	}
}

// Recheck makes an agent's live session look at once whether its certificate still admits it.
func (s *Server) Recheck(agent uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if live := s.live[agent]; live != nil {
		live.lookAgain()
	}
}

// errInternal is all a peer learns of what went wrong here.
var errInternal = status.Error(codes.Internal, "internal error of the hub: see its log")

// errLater is what a peer learns when the store cannot be reached.
var errLater = status.Error(codes.Unavailable, "the hub cannot store anything now: try again later")

func (s *Server) recoverUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	defer s.recovered(info.FullMethod, &err)
	return handle(ctx, request)
}

func (s *Server) recoverStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	return handle(server, stream)
}

func (s *Server) recovered(method string, err *error) {
	if r := recover(); r != nil {
		s.count.panics.Add(1)
		s.o.Log.Error("panic while serving an agent", "method", method, "panic", r, "stack", string(debug.Stack()))
		*err = errInternal
	}
}

// storeFailed logs an error of the store and returns what the agent may know of it.
func (s *Server) storeFailed(ctx context.Context, what string, agent uuid.UUID, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return status.FromContextError(context.Canceled).Err()
	}
	s.o.Log.Error(what, "agent", agent, "error", err)
	return errLater
}
