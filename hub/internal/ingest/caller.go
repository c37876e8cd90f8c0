package ingest

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"fluxora.dev/hub/internal/authority"
)

// caller is who is at the other end of a connection, according to TLS.
type caller struct {
	certificate *x509.Certificate
	remote      string
}

// authenticate returns who calls and the agent that is, or an error for the caller. TLS has proved that the caller holds the key, and
// verified the certificate as far as a renewal needs; valid says what else it must be.
func (s *Server) authenticate(ctx context.Context, valid func(*x509.Certificate) (uuid.UUID, error)) (caller, Agent, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, Agent{}, errInternal
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		s.count.refused.Add(1)
		return caller{}, Agent{}, status.Error(codes.Unauthenticated, "a client certificate is needed: enrol this agent first")
	}
	c := caller{info.State.PeerCertificates[0], p.Addr.String()}
	a, err := s.check(ctx, c, valid)
	return c, a, err
}

// check returns the agent that c is, if its certificate is valid, known and not revoked.
func (s *Server) check(ctx context.Context, c caller, valid func(*x509.Certificate) (uuid.UUID, error)) (Agent, error) {
	id, err := valid(c.certificate)
	if expired, ok := errors.AsType[x509.CertificateInvalidError](err); ok && expired.Reason == x509.Expired {
		return Agent{}, s.turnAway(c, id, "certificate expired at "+c.certificate.NotAfter.UTC().Format(time.RFC3339), err)
	}
	if err != nil {
		return Agent{}, s.turnAway(c, id, "certificate is not valid", err)
	}
	a, err := s.o.Store.AgentByCertificate(ctx, id, authority.SerialOf(c.certificate))
	switch {
	case errors.Is(err, ErrNotFound):
		return Agent{}, s.turnAway(c, id, "certificate is not known", err)
	case err != nil:
		return Agent{}, s.storeFailed(ctx, "look up agent", id, err)
	case a.Revoked:
		return Agent{}, s.turnAway(c, id, "certificate was revoked", nil)
	}
	return a, nil
}

func (s *Server) turnAway(c caller, agent uuid.UUID, reason string, err error) error {
	s.count.refused.Add(1)
	s.o.Log.Warn("agent turned away", "agent", agent, "from", c.remote, "reason", reason, "error", err)
	return status.Error(codes.Unauthenticated, reason)
}
