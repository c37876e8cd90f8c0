package ingest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	uplinkv1 "fluxora.dev/proto/fluxora/uplink/v1"
	"fluxora.dev/proto/wire"

	"fluxora.dev/hub/internal/authority"
)

// Enrol implements uplinkv1.EnrolmentServiceServer.
func (s *Server) Enrol(ctx context.Context, r *uplinkv1.EnrolRequest) (*uplinkv1.EnrolResponse, error) {
	if !s.enrolers.allow(remoteHost(ctx)) {
		return nil, status.Error(codes.ResourceExhausted, "too many enrolments from this address: wait a minute")
	}
	if len(r.GetVersion()) > wire.MaxText {
		return nil, status.Error(codes.InvalidArgument, "version is too long")
	}
	token, err := s.o.Authority.ParseToken(r.GetToken())
	if err != nil {
		return nil, s.enrolRefused(ctx, err.Error())
	}
	request, err := authority.ParseRequest(r.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	agent, err := authority.AgentOf(request.PublicKey)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	issued, err := s.o.Authority.Issue(request, agent)
	if err != nil {
		s.o.Log.Error("enrol", "agent", agent, "error", err)
		return nil, errInternal
	}
	site, config, err := s.o.Enrolment.Admit(ctx, Admission{
		Token: token.ID, Org: token.Org, Site: token.Site, Agent: agent, Version: r.GetVersion(),
		Certificate: issued.Serial, NotAfter: issued.NotAfter,
	})
	switch {
	case errors.Is(err, ErrTokenUsed):
		return nil, s.enrolRefused(ctx, "enrolment token was used by another agent: make another with `fluxora-hub token create`")
	case errors.Is(err, ErrNotFound):
		return nil, s.enrolRefused(ctx, "enrolment token is not known here or was withdrawn, or this agent was revoked")
	case err != nil:
		return nil, s.storeFailed(ctx, "enrol", agent, err)
	}
	s.count.enrolled.Add(1)
	s.o.Log.Info("agent enrolled", "agent", agent, "site", site, "version", r.GetVersion(), "from", remoteHost(ctx))
	return &uplinkv1.EnrolResponse{
		Certificate: issued.DER, Authority: s.o.Authority.Certificate(), ArtifactKey: s.o.Authority.ArtifactKey(),
		Agent: agent.String(), Site: site, Config: wire.EncodeSiteConfig(config),
	}, nil
}

func (s *Server) enrolRefused(ctx context.Context, reason string) error {
	s.count.refused.Add(1)
	s.o.Log.Warn("enrolment refused", "from", remoteHost(ctx), "reason", reason)
	return status.Error(codes.PermissionDenied, reason)
}

// Renew implements uplinkv1.EnrolmentServiceServer. The new certificate is for the key of the old one, since the key is the
// agent. The old one may have expired, but not too long ago.
func (s *Server) Renew(ctx context.Context, r *uplinkv1.RenewRequest) (*uplinkv1.RenewResponse, error) {
	_, agent, err := s.authenticate(ctx, s.o.Authority.Renewer)
	if err != nil {
		return nil, err
	}
	request, err := authority.ParseRequest(r.GetCsr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if id, err := authority.AgentOf(request.PublicKey); err != nil || id != agent.ID {
		return nil, status.Error(codes.InvalidArgument, "the request is for another key than the certificate's")
	}
	issued, err := s.o.Authority.Issue(request, agent.ID)
	if err != nil {
		s.o.Log.Error("renew", "agent", agent.ID, "error", err)
		return nil, errInternal
	}
	if err := s.o.Enrolment.PutCertificate(ctx, agent, issued.Serial, issued.NotAfter); err != nil {
		return nil, s.storeFailed(ctx, "renew", agent.ID, err)
	}
	s.o.Log.Info("certificate renewed", "agent", agent.ID, "site", agent.SiteName, "until", issued.NotAfter)
	return &uplinkv1.RenewResponse{
		Certificate: issued.DER, Authority: s.o.Authority.Certificate(), ArtifactKey: s.o.Authority.ArtifactKey(),
	}, nil
}

func remoteHost(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}

// enrolLimits bounds how fast one address may try tokens, and all of them together.
type enrolLimits struct {
	now func() time.Time
	all *rate.Limiter

	mu sync.Mutex
	by map[string]*rate.Limiter
}

const (
	enrolPerHost = 20 // at once, then one every three seconds
	enrolPerHub  = 200
	enrolHosts   = 10_000 // addresses remembered
)

func newEnrolLimits(now func() time.Time) *enrolLimits {
	return &enrolLimits{now: now, all: rate.NewLimiter(50, enrolPerHub), by: make(map[string]*rate.Limiter)}
}

func (e *enrolLimits) allow(host string) bool {
	e.mu.Lock()
	limit := e.by[host]
	if limit == nil {
		if len(e.by) >= enrolHosts {
			clear(e.by) // forgetting is cheaper than keeping an order, and the limit of all still holds
		}
		limit = rate.NewLimiter(rate.Every(3*time.Second), enrolPerHost)
		e.by[host] = limit
	}
	e.mu.Unlock()
	now := e.now()
	return limit.AllowN(now, 1) && e.all.AllowN(now, 1)
}
