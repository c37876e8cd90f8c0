package ingest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/authority"
)

// Holder is an agent and the serial number of its certificate.
type Holder struct {
	Agent  uuid.UUID
	Serial string
}

// watchStanding makes sessions whose agent was revoked, or whose certificate has expired, look at that, until ctx is done. One
// question to the store serves all sessions.
func (s *Server) watchStanding(ctx context.Context) {
	tick := time.NewTicker(s.o.Recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		holders := make([]Holder, 0, len(s.live))
		for id, l := range s.live {
			holders = append(holders, Holder{id, authority.SerialOf(l.caller.certificate)})
			if _, err := s.o.Authority.Agent(l.caller.certificate); err != nil {
				l.lookAgain()
			}
		}
		s.mu.Unlock()
		if len(holders) == 0 {
			continue
		}
		c, cancel := context.WithTimeout(ctx, time.Minute)
		fallen, err := s.o.Store.Fallen(c, holders)
		cancel()
		if err != nil {
			s.o.Log.Debug("look whether agents were revoked", "error", err) // at the next tick, then
			continue
		}
		for _, id := range fallen {
			s.Recheck(id)
		}
	}
}

// lookAgain makes the session look whether its certificate still admits it.
func (l *session) lookAgain() {
	select {
	case l.recheck <- struct{}{}:
	default:
	}
}

// watchLag tells the turnstile how far derivation is behind, until ctx is done.
func (s *Server) watchLag(ctx context.Context) {
	if s.o.Lag == nil {
		return
	}
	tick := time.NewTicker(s.o.LagPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c, cancel := context.WithTimeout(ctx, time.Minute)
		lag, err := s.o.Lag(c)
		cancel()
		if err == nil {
			s.commits.behind(lag)
		}
	}
}
