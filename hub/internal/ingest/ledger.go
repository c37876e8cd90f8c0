package ingest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// Difference is an account of an agent that does not balance.
type Difference struct {
	Point    string
	Register meter.Register
	Day      time.Time
	Readings int64 // that the agent calls delivered and that are not here; negative when there are more here
	Surplus  bool  // those that are here beyond that are explained, and named by now
}

// Books compares what agents say became of their readings with what is committed, and keeps what is to be sent again. All
// methods may be called concurrently.
type Books interface {
	// Reconcile keeps and compares an agent's account, and sees to it that what is missing is asked for. It is called when nothing of
	// the agent is under way. It returns false when it cannot tell yet.
	Reconcile(ctx context.Context, a Agent, epoch uint64, l wire.Ledger) ([]Difference, bool, error)
	// NextResend returns what the agent is to be asked for next, or false.
	NextResend(ctx context.Context, a Agent) (wire.Resend, bool, error)
	// CommitResent commits a part of what was asked for. When it returns nil the part must be durable. Storing one twice changes
	// nothing. A part that does not follow the last gives ErrConflict, an unknown request ErrNotFound, what can never be
	// stored ErrCorrupt.
	CommitResent(ctx context.Context, a Agent, epoch uint64, r wire.Resent) error
	// AwaitedAgents returns the agents for which NextResend has something.
	AwaitedAgents(ctx context.Context) ([]uuid.UUID, error)
}

// ErrConflict says that a part was sent out of turn.
var ErrConflict = errors.New("conflicts with what is stored")

// watchResends tells live sessions that there is something to ask of their agents, until ctx is done. One question to the store
// serves all of them.
func (s *Server) watchResends(ctx context.Context) {
	if s.o.Books == nil {
		return
	}
	tick := time.NewTicker(s.o.ResendPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c, cancel := context.WithTimeout(ctx, time.Minute)
		awaited, err := s.o.Books.AwaitedAgents(c)
		cancel()
		if err != nil {
			s.o.Log.Debug("look for what agents are to send again", "error", err)
			continue
		}
		s.mu.Lock()
		for _, id := range awaited {
			if live := s.live[id]; live != nil {
				live.mayAsk()
			}
		}
		s.mu.Unlock()
	}
}

// mayAsk makes the session look whether there is something to ask for. It never blocks.
func (l *session) mayAsk() {
	select {
	case l.ask <- struct{}{}:
	default:
	}
}

// askAgain asks the agent for what is wanted next, one request at a time.
func (l *session) askAgain(ctx context.Context) error {
	if l.asked != "" || l.server.o.Books == nil {
		return nil
	}
	r, ok, err := l.server.o.Books.NextResend(ctx, l.agent)
	if err != nil {
		return l.server.storeFailed(ctx, "look for what is to be sent again", l.agent.ID, err)
	}
	if !ok {
		return nil
	}
	l.asked = r.ID
	l.server.o.Log.Info("asking an agent to send again", "agent", l.agent.ID, "site", l.agent.SiteName, "point", r.Point, "register", r.Register,
		"from", r.From, "to", r.To, "request", r.ID)
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_Resend{Resend: wire.EncodeResend(r)}})
}

// ledger compares an agent's account. One that breaks the protocol is told to be sent again later: it must not keep readings from
// getting through.
func (l *session) ledger(ctx context.Context, m *uplinkv1.Ledger) error {
	if l.server.o.Books == nil {
		return nil
	}
	ack := wire.LedgerAck{ID: m.GetId()}
	account, err := wire.DecodeLedger(m)
	if err != nil {
		l.server.count.unstorable.Add(1)
		l.server.o.Log.Error("an agent's ledger cannot be read", "agent", l.agent.ID, "site", l.agent.SiteName, "error", err)
	} else {
		ds, compared, err := l.server.o.Books.Reconcile(ctx, l.agent, l.epoch, account)
		if err != nil {
			return l.server.storeFailed(ctx, "compare ledgers", l.agent.ID, err)
		}
		for i, d := range ds {
			if i == 10 {
				l.server.o.Log.Error("more accounts do not balance", "agent", l.agent.ID, "site", l.agent.SiteName, "accounts", len(ds))
				break
			}
			if d.Surplus {
				l.server.o.Log.Error("the hub holds readings that the agent does not call delivered; they are named surplus", "agent", l.agent.ID,
					"site", l.agent.SiteName, "point", d.Point, "register", d.Register, "day", d.Day.Format(time.DateOnly), "readings", -d.Readings)
				continue
			}
			l.server.o.Log.Error("the ledger does not balance", "agent", l.agent.ID, "site", l.agent.SiteName, "point", d.Point, "register", d.Register,
				"day", d.Day.Format(time.DateOnly), "missing", d.Readings)
		}
		if len(ds) > 0 {
			l.server.count.unbalanced.Add(1)
			l.mayAsk()
		}
		open := slices.DeleteFunc(ds, func(d Difference) bool { return d.Surplus })
		ack.Compared, ack.Unbalanced = compared, uint32(len(open))
	}
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_LedgerAck{LedgerAck: wire.EncodeLedgerAck(ack)}})
}

// resent stores a part of what was asked for, and asks for the next thing when it was the last.
func (l *session) resent(ctx context.Context, m *uplinkv1.Resent) error {
	if l.server.o.Books == nil {
		return nil
	}
	r, err := wire.DecodeResent(m)
	if err == nil {
		err = l.putResent(ctx, r)
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, wire.ErrInvalid) {
		// It would be no better the next time: leave it out and go on behind it.
		l.server.count.unstorable.Add(1)
		l.server.o.Log.Error("what an agent sent again can never be stored", "agent", l.agent.ID, "site", l.agent.SiteName, "request", m.GetId(), "error", err)
		m.Blocks = nil
		if r, err = wire.DecodeResent(m); err != nil {
			return nil
		}
		err = l.putResent(ctx, r)
	}
	switch {
	case errors.Is(err, ErrUndeclared):
		return status.Error(codes.FailedPrecondition, "what was sent again uses a series that was not declared: open a new session and declare it")
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		l.server.o.Log.Warn("what an agent sent again was not asked for", "agent", l.agent.ID, "site", l.agent.SiteName, "request", r.ID, "error", err)
		l.asked = ""
		l.mayAsk()
		return nil
	case err != nil:
		return l.server.storeFailed(ctx, "store what was sent again", l.agent.ID, err)
	}
	if r.Done {
		l.asked = ""
		l.mayAsk()
	}
	a := wire.ResentAck{ID: r.ID, To: r.To}
	return l.stream.Send(&uplinkv1.SyncResponse{Message: &uplinkv1.SyncResponse_ResentAck{ResentAck: wire.EncodeResentAck(a)}})
}

func (l *session) putResent(ctx context.Context, r wire.Resent) error {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := l.server.o.Books.CommitResent(c, l.agent, l.epoch, r)
	if err == nil {
		l.server.count.resent.Add(1)
		l.server.o.Committed(l.agent.Org, l.agent.Site)
	}
	return err
}
