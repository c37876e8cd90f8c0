package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"fluxora.dev/hub/internal/access"
)

// Health is the answer to "are you there".
type Health struct {
	Status string `json:"status" enum:"ok" doc:"always ok: the process answers"`
}

// Readiness is the answer to "can you work".
type Readiness struct {
	Status string            `json:"status" enum:"ready,unready"`
	Checks map[string]string `json:"checks" doc:"each part with ok or what is wrong with it"`
}

type healthAnswer struct{ Body Health }

type readinessAnswer struct {
	Status     int
	RetryAfter string `header:"Retry-After"`
	Body       Readiness
}

// readyWithin bounds all checks together, so that a probe gets an answer while the database hangs.
const readyWithin = 2 * time.Second

func (s *server) registerHealth(r *routes) {
	register(r, access.Open(), huma.Operation{OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Summary: "Whether the process answers"},
		func(context.Context, *struct{}) (*healthAnswer, error) {
			return &healthAnswer{Health{Status: "ok"}}, nil
		})
	register(r, access.Open(), huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Summary: "Whether the hub can work, the database included",
		Responses: map[string]*huma.Response{"503": {Description: "Not ready; the body says which part is not"}},
	},
		func(ctx context.Context, _ *struct{}) (*readinessAnswer, error) {
			checks, ok := s.checks(ctx)
			out := &readinessAnswer{Status: http.StatusOK, Body: Readiness{Status: "ready", Checks: checks}}
			if !ok {
				out.Body.Status, out.Status, out.RetryAfter = "unready", http.StatusServiceUnavailable, strconv.Itoa(retrySeconds)
			}
			return out, nil
		})
	register(r, access.Open(), huma.Operation{OperationID: "health", Method: http.MethodGet, Path: "/health", Summary: "Whether all of the hub works, for clients of the first interface"}, s.health)
}

// Overall is the answer to "how are you" as clients of the first interface ask it.
type Overall struct {
	Status string            `json:"status" enum:"ok,degraded" doc:"degraded: the process answers and a part of it does not work"`
	Checks map[string]string `json:"checks" doc:"each part with ok or what is wrong with it"`
}

type overallAnswer struct{ Body Overall }

// health answers 200 in any case: clients read the status in the body, and probes ask /readyz.
func (s *server) health(ctx context.Context, _ *struct{}) (*overallAnswer, error) {
	checks, ok := s.checks(ctx)
	out := &overallAnswer{Overall{Status: "ok", Checks: checks}}
	if !ok {
		out.Body.Status = "degraded"
	}
	return out, nil
}

// checks asks all parts, within readyWithin, and reports whether all work.
func (s *server) checks(ctx context.Context) (parts map[string]string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	parts, ok = map[string]string{}, true
	for _, c := range s.ready {
		parts[c.Name] = "ok"
		if err := c.Ok(ctx); err != nil {
			s.log.WarnContext(ctx, "not ready", "check", c.Name, "error", err)
			parts[c.Name], ok = "not reachable", false
		}
	}
	return parts, ok
}
