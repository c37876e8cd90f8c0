// Package status shows the agent to people and programs on its own network over HTTP: health, metrics, points, readings,
// intervals and forecasts. It serves with no hub and no broker in reach.
//
// It must not know where the data lie (store, history) or how they are made: it reads them through Source.
//
// Invariants: answers are bounded in size and time; an error says what was wrong with the request and what would be right,
// and nothing about the machine; without a token it listens on loopback only.
package status

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// ErrUnknown marks a point or a register that the agent does not know.
var ErrUnknown = errors.New("not known to this agent")

// Point is what the agent knows of a point's register at a glance.
type Point struct {
	Name         string
	Register     meter.Register
	Resolution   time.Duration
	LastReading  *meter.Reading     // nil before the first
	LastInterval *interval.Interval // nil before the first one closed
	Rung         forecast.Rung      // of the latest forecast; empty before the first
	Origin       meter.Millis       // of the latest forecast
	Coverage     []Coverage         // of the intervals served lately, by lead; nil before any was over
}

// Coverage is the share of what happened that lay within the intervals served for a band of leads.
type Coverage struct {
	Lead    string  `json:"lead"`    // as 6-12h
	Nominal float64 `json:"nominal"` // what the levels promise
	Within  float64 `json:"within"`
	Below   float64 `json:"below"`
	Above   float64 `json:"above"`
	Hours   float64 `json:"hours"` // that the shares are of, those of four weeks ago counting half
}

// Source gives what is shown. Its methods may be called concurrently.
type Source interface {
	Overview() Overview
	Points() []Point
	// Readings returns the readings of a point's register in [from, to) in time order, at most limit of them.
	Readings(ctx context.Context, point string, register meter.Register, from, to meter.Millis, limit int) ([]meter.Reading, error)
	Intervals(ctx context.Context, point string, register meter.Register, from, to meter.Millis) ([]interval.Interval, error)
	// Forecast returns the latest forecast, or the reason why there is none.
	Forecast(point string) (forecast.Forecast, error)
	// MakeForecast makes, keeps and publishes a forecast from now on.
	MakeForecast(ctx context.Context, point string) (forecast.Forecast, error)
}

// Part is one thing that the agent's health is made of.
type Part struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // without it the agent is not ready
	Detail string `json:"detail,omitempty"`
}

// Options says where and for whom the server listens.
type Options struct {
	Listen string // "127.0.0.1:8600"; port 0 takes a free one
	Token  string // bearer token; needed when Listen is not on loopback
	Now    func() time.Time
	Parts  func() []Part
	Log    *slog.Logger

	Quarantine Quarantine // nil for no such routes
	Ledger     Ledger     // nil for no such routes
}

// Server is a listening status server.
type Server struct {
	http *http.Server
	ln   net.Listener
}

// Listen binds the address, so that a taken port is known at start; Serve answers requests.
func Listen(src Source, metrics prometheus.Gatherer, o Options) (*Server, error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: want host:port", o.Listen)
	}
	if ip := net.ParseIP(host); o.Token == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen on %s without a token: set http.token_file, or listen on 127.0.0.1", o.Listen)
	}
	ln, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	h := &handler{src: src, o: o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", h.guard(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4})))
	mux.Handle("GET /v1/status", h.guard(h.json(h.overview)))
	mux.Handle("GET /v1/points", h.guard(h.json(h.points)))
	mux.Handle("GET /v1/points/{id}/readings", h.guard(h.json(h.readings)))
	mux.Handle("GET /v1/points/{id}/intervals", h.guard(h.json(h.intervals)))
	mux.Handle("GET /v1/points/{id}/forecast", h.guard(h.json(h.forecast)))
	mux.Handle("POST /v1/points/{id}/forecast", h.guard(h.json(h.makeForecast)))
	h.quarantineRoutes(mux)
	h.ledgerRoutes(mux)
	return &Server{
		ln: ln,
		http: &http.Server{
			Handler:           http.TimeoutHandler(limitBody(noRoute(mux)), 20*time.Second, `{"error":{"message":"took too long"}}`),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		},
	}, nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Serve answers requests until ctx ends, and then those under way.
func (s *Server) Serve(ctx context.Context) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- s.http.Shutdown(ctx)
	})
	if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	}
	return <-stopped
}

// limitBody bounds request bodies, which are few and short.
func limitBody(next http.Handler) http.Handler { return http.MaxBytesHandler(next, 4<<10) }

// guard lets only requests with the token through, when there is one.
func (h *handler) guard(next http.Handler) http.Handler {
	if h.o.Token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(h.o.Token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeError(w, http.StatusUnauthorized, "want the header Authorization: Bearer <token of http.token_file>")
			return
		}
		next.ServeHTTP(w, r)
	})
}
