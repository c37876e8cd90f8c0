package ingest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/status"
)

const (
	handover   = 5 * time.Second // how long a newer session waits for the older to leave the store
	cloneSpan  = time.Minute
	cloneLimit = 3 // displacements within cloneSpan that look like two agents with one identity
)

// admit says whether another session may be opened now, and if not, when to ask again.
func (s *Server) admit() (after time.Duration, ok bool) {
	select {
	case <-s.drain:
		return time.Second + rand.N(4*time.Second), false
	default:
	}
	s.mu.Lock()
	full := len(s.live) >= s.o.MaxSessions
	s.mu.Unlock()
	if full {
		return s.door.wait(s.o.Now()), false
	}
	return s.door.enter(s.o.Now())
}

// enter makes l the agent's live session. An older one, which usually died without the hub noticing yet, is closed first, and
// l waits until it is out of the store. Where sessions displace one another again and again, two agents share an identity:
// then the older stays, and the newer is told to come back after a while.
func (s *Server) enter(ctx context.Context, l *session) (after time.Duration, err error) {
	for {
		s.mu.Lock()
		older := s.live[l.agent.ID]
		if older == nil {
			s.live[l.agent.ID] = l
			s.mu.Unlock()
			s.count.sessions.Add(1)
			return 0, nil
		}
		if s.displaced(l) > cloneLimit {
			s.mu.Unlock()
			s.count.clones.Add(1)
			s.o.Log.Error("two agents seem to use one identity: revoke it and enrol both anew", "agent", l.agent.ID, "site", l.agent.SiteName,
				"from", l.caller.remote, "other", older.caller.remote)
			return cloneSpan, nil
		}
		select {
		case <-older.displace:
		default:
			close(older.displace)
			s.count.displaced.Add(1)
			s.o.Log.Warn("a newer session takes over", "agent", l.agent.ID, "from", l.caller.remote, "older", older.caller.remote)
		}
		s.mu.Unlock()

		timeout := time.NewTimer(handover)
		select {
		case <-older.done:
			timeout.Stop()
		case <-timeout.C:
			return handover, nil
		case <-ctx.Done():
			timeout.Stop()
			return 0, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// displaced notes that l displaces a session and returns how often that happened to its agent of late. s.mu is held.
func (s *Server) displaced(l *session) int {
	now := s.o.Now()
	recent := s.displacements[l.agent.ID][:0]
	for _, at := range s.displacements[l.agent.ID] {
		if now.Sub(at) < cloneSpan {
			recent = append(recent, at)
		}
	}
	if len(recent) <= cloneLimit {
		recent = append(recent, now)
	}
	s.displacements[l.agent.ID] = recent
	return len(recent)
}

// leave ends l's part in the store.
func (s *Server) leave(l *session) {
	s.mu.Lock()
	if s.live[l.agent.ID] == l {
		delete(s.live, l.agent.ID)
	}
	s.mu.Unlock()
	s.count.sessions.Add(-1)
	close(l.done)
	s.o.Log.Info("agent disconnected", "agent", l.agent.ID, "site", l.agent.SiteName)
}

// ended returns what to answer when receiving failed with err: nothing when the agent closed its side.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
