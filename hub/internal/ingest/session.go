package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// session is one agent's live Sync. Everything but the channels belongs to the goroutine of its handler.
type session struct {
	server *Server
	stream uplinkv1.UplinkService_SyncServer
	agent  Agent
	caller caller
	epoch  uint64

	announce chan struct{} // capacity 1
	recheck  chan struct{} // capacity 1
	displace chan struct{} // closed when a newer session takes over
	done     chan struct{} // closed when the handler will not touch the store again

	next    uint64        // sequence that the agent gave next when the session began
	config  uint64        // revision the agent has
	weather wire.Held     // weather the agent has
	ask     chan struct{} // capacity 1: there may be something to ask for
	receipt []byte        // for the name that the agent gave the session
	asked   string        // the request that the agent is answering; empty for none
}

// Sync implements uplinkv1.UplinkServiceServer.
func (s *Server) Sync(stream uplinkv1.UplinkService_SyncServer) error {
	ctx := stream.Context()
	who, agent, err := s.authenticate(ctx, s.o.Authority.Agent)
	if err != nil {
		return err
	}
	if after, ok := s.admit(); !ok {
		s.count.sentAway.Add(1)
		return sendComeBack(stream, after, "the hub is busy")
	}
	live := &session{
		server: s, stream: stream, agent: agent, caller: who,
		announce: make(chan struct{}, 1), recheck: make(chan struct{}, 1), displace: make(chan struct{}), done: make(chan struct{}),
		ask: make(chan struct{}, 1),
	}

	incoming := make(chan *uplinkv1.SyncRequest)
	failed := make(chan error, 1)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case incoming <- m:
			case <-ctx.Done():
				return
			}
		}
	}()

	hello, err := live.awaitHello(ctx, incoming, failed)
	if err != nil {
		return err
	}
	if away, err := live.knock(ctx, hello); err != nil {
		return err
	} else if away != nil {
		return sendAway(stream, *away)
	}
	if after, err := s.enter(ctx, live); err != nil {
		return err
	} else if after > 0 {
		return sendAway(stream, wire.ComeBack{After: after, Reason: "another agent uses the same identity", Doubled: true})
	}
	defer s.leave(live)
	if err := live.welcome(ctx, hello); err != nil {
		return err
	}
	return live.run(ctx, incoming, failed)
}

func (l *session) awaitHello(ctx context.Context, incoming <-chan *uplinkv1.SyncRequest, failed <-chan error) (wire.Hello, error) {
	timeout := time.NewTimer(l.server.o.HelloTimeout)
	defer timeout.Stop()
	select {
	case m := <-incoming:
		h, err := wire.DecodeHello(m.GetHello())
		if err != nil {
			return h, l.refuse(err)
		}
		l.epoch, l.next, l.config, l.weather = h.Epoch, h.Next, h.ConfigRevision, h.Weather
		return h, nil
	case err := <-failed:
		return wire.Hello{}, err
	case <-timeout.C:
		return wire.Hello{}, status.Error(codes.DeadlineExceeded, "no hello")
	case <-ctx.Done():
		return wire.Hello{}, status.FromContextError(ctx.Err()).Err()
	}
}

// welcome answers hello with what is committed, the configuration and the models.
func (l *session) welcome(ctx context.Context, h wire.Hello) error {
	got, err := l.server.o.Store.OpenSession(ctx, l.agent, h)
	if err != nil {
		return l.server.storeFailed(ctx, "open session", l.agent.ID, err)
	}
	l.server.o.Log.Info("agent connected", "agent", l.agent.ID, "site", l.agent.SiteName, "version", h.Version, "epoch", h.Epoch,
		"cursor", got.Cursor, "next", h.Next, "pending", h.Pending)
	w := wire.Welcome{Received: got, Now: meter.MillisOf(l.server.o.Now()), MaxInFlight: l.server.o.MaxInFlight, Receipt: l.receipt}
	if err := l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Welcome{Welcome: wire.EncodeWelcome(w)}}); err != nil {
		return err
	}
	if err := l.tell(ctx); err != nil {
		return err
	}
	return l.tellWeather(ctx)
}

// tellWeather sends the weather that the agent does not hold yet, if there is any.
func (l *session) tellWeather(ctx context.Context) error {
	w, err := l.server.o.Store.NewWeather(ctx, l.agent, l.weather)
	if err != nil {
		return l.server.storeFailed(ctx, "read weather", l.agent.ID, err)
	}
	if w.Observed.Empty() && w.Forecast == nil {
		return nil
	}
	if !w.Observed.Empty() {
		l.weather.To = w.Observed.End()
	}
	if w.Forecast != nil {
		l.weather.Issued = w.Forecast.Issued
	}
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Weather{Weather: wire.EncodeWeather(w)}})
}

// tell sends the site's configuration, when the agent has another, and the announced models.
func (l *session) tell(ctx context.Context) error {
	config, err := l.server.o.Store.SiteConfig(ctx, l.agent)
	if err != nil {
		return l.server.storeFailed(ctx, "read site configuration", l.agent.ID, err)
	}
	if config.Revision != l.config {
		l.config = config.Revision
		if err := l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Config{Config: wire.EncodeSiteConfig(config)}}); err != nil {
			return err
		}
	}
	models, err := l.server.o.Store.AnnouncedModels(ctx, l.agent)
	if err != nil {
		return l.server.storeFailed(ctx, "read announced models", l.agent.ID, err)
	}
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Models{Models: wire.EncodeModels(models)}})
}

// run takes messages one at a time until either side ends the session.
func (l *session) run(ctx context.Context, incoming <-chan *uplinkv1.SyncRequest, failed <-chan error) error {
	every := l.server.o.WeatherPoll
	weather := time.NewTicker(every - rand.N(every/4+1)) // so that sessions that began together do not ask together
	defer weather.Stop()
	for {
		// Going down and revocation come before more of the agent's messages.
		select {
		case <-l.server.drain:
			return sendComeBack(l.stream, time.Second+rand.N(4*time.Second), "the hub is restarting")
		case <-l.displace:
			return status.Error(codes.Aborted, "a newer session of this agent took over")
		default:
		}
		var err error
		select {
		case m := <-incoming:
			err = l.take(ctx, m)
		case <-l.announce:
			err = l.tell(ctx)
		case <-l.recheck:
			err = l.admitted(ctx)
		case <-weather.C:
			err = l.tellWeather(ctx)
		case <-l.ask:
			err = l.askAgain(ctx)
		case err := <-failed:
			return ended(err)
		case <-l.server.drain:
		case <-l.displace:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		if err != nil {
			return err
		}
	}
}

// admitted returns an error when the agent's certificate expired or was revoked since the session began.
func (l *session) admitted(ctx context.Context) error {
	_, err := l.server.check(ctx, l.caller, l.server.o.Authority.Agent)
	return err
}

func (l *session) take(ctx context.Context, m *uplinkv1.SyncRequest) error {
	switch m := m.GetMessage().(type) {
	case *uplinkv1.SyncRequest_Declaration:
		ss, err := wire.DecodeDeclaration(m.Declaration)
		if err != nil {
			return l.refuse(err)
		}
		if err := l.server.o.Store.Declare(ctx, l.agent, l.epoch, ss); err != nil {
			return l.server.storeFailed(ctx, "declare series", l.agent.ID, err)
		}
		return nil
	case *uplinkv1.SyncRequest_Batch:
		b, err := wire.DecodeBatch(m.Batch)
		if err != nil {
			r, badRange := wire.DecodeRange(&uplinkv1.Range{First: m.Batch.GetFirst(), End: m.Batch.GetFirst() + m.Batch.GetCount()})
			if badRange != nil {
				return l.refuse(err)
			}
			return l.refuseBatch(r, err)
		}
		return l.commit(ctx, b)
	case *uplinkv1.SyncRequest_Report:
		return l.report(ctx, m.Report)
	case *uplinkv1.SyncRequest_Ledger:
		return l.ledger(ctx, m.Ledger)
	case *uplinkv1.SyncRequest_Resent:
		return l.resent(ctx, m.Resent)
	case *uplinkv1.SyncRequest_Hello:
		return l.refuse(fmt.Errorf("%w: a second hello", wire.ErrInvalid))
	default:
		// A newer agent's message: it is told nothing, so it keeps what it sent.
		l.server.count.unknown.Add(1)
		return nil
	}
}

// commit stores b and acks it, once it is its turn. A commit under way outlives the session: stopping it gains nothing, and
// the agent, which got no ack, learns from the next Welcome that it came to pass.
func (l *session) commit(ctx context.Context, b wire.Batch) error {
	began, fresh := time.Now(), b.First+b.Count > l.next
	leave, err := l.server.commits.enter(ctx, fresh, l.displace, l.server.drain)
	switch {
	case errors.Is(err, errTurned):
		return nil // run sees why
	case err != nil:
		return status.FromContextError(err).Err()
	}
	defer leave()
	if !fresh {
		began = time.Now() // that the backlog waits says nothing about the store
	}
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	got, err := l.server.o.Store.CommitBatch(c, l.agent, l.epoch, b)
	l.server.door.committed(l.server.o.Now(), time.Since(began))
	switch {
	case errors.Is(err, ErrOverlap):
		l.server.count.overlaps.Add(1)
		l.server.o.Log.Warn("batch overlaps what is committed", "agent", l.agent.ID, "first", b.First, "count", b.Count, "cursor", got.Cursor)
		o := wire.Overlap{Range: b.Range(), Received: got}
		return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Overlap{Overlap: wire.EncodeOverlap(o)}})
	case errors.Is(err, ErrUndeclared):
		l.server.o.Log.Warn("batch uses an undeclared series", "agent", l.agent.ID, "first", b.First, "error", err)
		return status.Error(codes.FailedPrecondition, "the batch uses a series that was not declared: open a new session and declare it")
	case errors.Is(err, ErrCorrupt):
		return l.refuseBatch(b.Range(), err)
	case err != nil:
		return l.server.storeFailed(ctx, "commit batch", l.agent.ID, err)
	}
	l.server.count.batches.Add(1)
	l.server.count.readings.Add(b.Count - b.Refused)
	l.server.count.bytes.Add(uint64(b.Bytes()))
	l.server.o.Committed(l.agent.Org, l.agent.Site)
	a := wire.Ack{Range: b.Range(), Cursor: got.Cursor}
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Ack{Ack: wire.EncodeAck(a)}})
}

// report stores what m says and acks it. When that can never be stored, its entries are stored one by one, so that the bad one
// keeps no other back; what is refused is counted, logged and told the agent.
func (l *session) report(ctx context.Context, m *uplinkv1.Report) error {
	ack := wire.ReportAck{ID: m.GetId()}
	err := l.put(ctx, m)
	if errors.Is(err, wire.ErrInvalid) || errors.Is(err, ErrCorrupt) {
		for _, part := range wire.SplitReport(m) {
			if err = l.put(ctx, part); errors.Is(err, wire.ErrInvalid) || errors.Is(err, ErrCorrupt) {
				l.server.count.unstorable.Add(1)
				l.server.o.Log.Error("an entry of a report can never be stored", "agent", l.agent.ID, "site", l.agent.SiteName, "error", err)
				if ack.Refused++; ack.Refused == 1 {
					ack.Reason = err.Error()
				}
				err = nil
			}
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		return l.server.storeFailed(ctx, "store report", l.agent.ID, err)
	}
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_ReportAck{ReportAck: wire.EncodeReportAck(ack)}})
}

func (l *session) put(ctx context.Context, m *uplinkv1.Report) error {
	r, err := wire.DecodeReport(m)
	if err != nil {
		return err
	}
	return l.server.o.Store.PutReport(ctx, l.agent, l.epoch, r)
}

// refuseBatch tells the agent that the batch of range r can never be stored. The session goes on: the agent divides the range
// until what is bad stands alone.
func (l *session) refuseBatch(r wire.Range, err error) error {
	l.server.count.unstorable.Add(1)
	l.server.o.Log.Error("batch can never be stored", "agent", l.agent.ID, "site", l.agent.SiteName, "first", r.First, "end", r.End, "error", err)
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Refusal{
		Refusal: wire.EncodeRefusal(wire.Refusal{Range: r, Reason: err.Error()}),
	}})
}

// refuse ends the session because of a message that breaks the protocol.
func (l *session) refuse(err error) error {
	l.server.count.invalid.Add(1)
	l.server.o.Log.Warn("invalid message from agent", "agent", l.agent.ID, "site", l.agent.SiteName, "error", err)
	return status.Error(codes.InvalidArgument, err.Error())
}

func sendComeBack(stream uplinkv1.UplinkService_SyncServer, after time.Duration, reason string) error {
	return sendAway(stream, wire.ComeBack{After: after, Reason: reason})
}

func sendAway(stream uplinkv1.UplinkService_SyncServer, c wire.ComeBack) error {
	return stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_ComeBack{ComeBack: wire.EncodeComeBack(c)}})
}
