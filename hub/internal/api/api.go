package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fluxora.dev/hub/internal/store"
)

// Check is one condition for being ready.
type Check struct {
	Name string
	Ok   func(context.Context) error
}

// Options is what the interface needs.
type Options struct {
	Store       *store.Store
	Registry    *prometheus.Registry // served at /metrics; the interface adds its own metrics
	Ready       []Check
	Version     string
	MetricsOpen bool          // serve /metrics without a token
	Timeout     time.Duration // of one request
	MaxBody     int64         // bytes
	Log         *slog.Logger
	Now         func() time.Time
}

// server holds what the handlers share.
type server struct {
	store *store.Store
	ready []Check
	log   *slog.Logger
	now   func() time.Time
}

// New returns the handler of the whole interface.
func New(o Options) http.Handler {
	s := &server{store: o.Store, ready: o.Ready, log: o.Log, now: o.Now}
	mux := http.NewServeMux()
	document := s.routes(mux, o.Version)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn)}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		get := r.Clone(r.Context())
		get.Method = http.MethodGet
		if _, pattern := mux.Handler(get); pattern != "/" {
			w.Header().Set("Allow", http.MethodGet)
			problem(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s %s: this interface is read-only, want GET", r.Method, r.URL.Path))
			return
		}
		problem(w, http.StatusNotFound, fmt.Sprintf("no such resource: %s; /openapi.json lists what there is", r.URL.Path))
	})

	auth := &authenticator{store: o.Store, now: o.Now, open: map[string]bool{"/healthz": true, "/readyz": true, "/openapi.json": true, "/metrics": o.MetricsOpen}}
	var h http.Handler = newRequestMetrics(o.Registry).wrap(mux)
	h = auth.wrap(h)
	h = limits(h, o.Timeout, o.MaxBody)
	h = recovering(h, o.Log)
	return headers(h, o.Log)
}

// OpenAPI returns the OpenAPI 3.1 document of the interface, indented.
func OpenAPI(version string) []byte {
	return (&server{}).routes(http.NewServeMux(), version)
}

// routes registers every operation and returns the document that describes them.
func (s *server) routes(mux *http.ServeMux, version string) []byte {
	config := huma.DefaultConfig("Fluxora hub", version)
	config.Info.Description = "Energy use of many sites: what was measured, what is forecast, and with which models. Read-only."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // no $schema member in answers
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "Printed once by the first `fluxora-hub serve`; `fluxora-hub api-token rotate` makes another."},
	}
	config.Security = []map[string][]string{{"token": {}}}
	api := humago.New(mux, config)

	s.registerHealth(api)
	s.registerSites(api)
	s.registerPoints(api)
	s.registerIntervals(api)
	s.registerForecast(api)
	s.registerModels(api)
	s.registerRuns(api)
	s.registerWatch(api)
	s.registerAgents(api)
	s.registerLedger(api)
	s.registerQuarantine(api)

	raw, err := api.OpenAPI().MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("encode OpenAPI document: %s", err)) // only a type that cannot be described does that
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		panic(fmt.Sprintf("indent OpenAPI document: %s", err))
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// get describes a read of the given path.
func get(id, path, summary string, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary,
		Errors: append(errors, http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}
}
