package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/docpage"
	"fluxora.dev/hub/internal/idempotency"
	"fluxora.dev/hub/internal/middleware"
	"fluxora.dev/hub/internal/ratelimit"
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
	Accounts    *account.Accounts    // nil: with its defaults
	Callers     []Authenticator      // who is known beside accounts and the organisations' tokens
	Registry    *prometheus.Registry // served at /metrics; the interface adds its own metrics
	Ready       []Check
	Version     string
	MetricsOpen bool          // serve /metrics without a token
	Timeout     time.Duration // of one request
	MaxBody     int64         // bytes
	Concurrency int           // requests at once; others wait. 0: 64
	Origins     []string      // of pages that may read answers, scheme://host:port
	Tiers       map[access.Tier]ratelimit.Rate
	Strangers   ratelimit.Rate // of one address, on routes that need no credential
	Proxies     []netip.Prefix // whose X-Forwarded-For is believed
	Live        Live
	Log         *slog.Logger
	Now         func() time.Time
}

// server holds what the handlers share.
type server struct {
	store    *store.Store      // as requests of tenants see it
	accounts *account.Accounts // which are of no tenant
	proxies  []netip.Prefix
	ready    []Check
	log      *slog.Logger
	now      func() time.Time
	live     *streams
}

// New returns the handler of the whole interface.
func New(o Options) http.Handler {
	o.Log = middleware.Logger(o.Log)
	if o.Accounts == nil {
		o.Accounts = account.New(account.Options{Store: o.Store, Log: o.Log, Now: o.Now})
	}
	s := &server{store: o.Store.ForRequests(org), accounts: o.Accounts, proxies: o.Proxies, ready: o.Ready, log: o.Log, now: o.Now, live: newStreams(o.Live)}
	r, document := s.routes(o.Version)
	r.handle(access.Open(), "GET /openapi.json", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document)
	}))
	r.handle(access.Open(), "GET /{$}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // as the first interface has it
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"message":"Fluxora API","version":"` + o.Version + `","docs":"/docs"}` + "\n"))
	}))
	for path, page := range docpage.Handlers() {
		r.handle(access.Open(), "GET "+path, page)
	}
	metrics := access.With(access.Operator, access.ReadMetrics)
	if o.MetricsOpen {
		metrics = access.Open()
	}
	r.handle(metrics, "GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn)}))
	r.mux.HandleFunc("/", r.unrouted)

	gate := &gate{
		routes: r, callers: append([]Authenticator{&tokens{store: o.Store, now: o.Now}, o.Accounts}, o.Callers...),
		throttle: &throttle{limiter: ratelimit.New(mostBuckets, o.Now), tiers: o.Tiers, strangers: o.Strangers, proxies: o.Proxies, now: o.Now},
	}
	// From the route outwards.
	var h http.Handler = newRequestMetrics(o.Registry).wrap(r.mux)
	h = middleware.Conditional(h)
	h = idempotency.Wrap(h, idempotency.Options{Store: s.store, Caller: keyOf, Lease: 2*o.Timeout + 10*time.Second, Log: o.Log})
	h = gate.wrap(h)
	h = middleware.Slash(h)
	h = middleware.Crowd(h, cmp.Or(o.Concurrency, 64), o.Timeout/2, func(r *http.Request) bool { return probe(r) || endless(r) })
	h = middleware.Bound(h, o.Timeout, o.MaxBody, endless)
	h = middleware.Recover(h, o.Log)
	h = middleware.Compress(h)
	h = middleware.Origins(h, o.Origins)
	h = middleware.Secure(h)
	return middleware.Identify(h, o.Log)
}

// keyOf returns by whom a request is made, for idempotency keys: each caller has its own. An answer with a secret is not kept.
func keyOf(r *http.Request) store.IdempotencyKey {
	c := callerOf(r.Context())
	if c.Role == access.Nobody || answersSecret(r.URL.Path) {
		return store.IdempotencyKey{}
	}
	return store.IdempotencyKey{Org: c.Organisation, Caller: string(c.Kind) + " " + c.Subject}
}

// endless reports whether a request is for a stream, which ends when the caller or the hub goes.
func endless(r *http.Request) bool { return strings.TrimSuffix(r.URL.Path, "/") == streamPath }

// OpenAPI returns the OpenAPI 3.1 document of the interface, indented.
func OpenAPI(version string) []byte {
	_, document := (&server{}).routes(version)
	return document
}

// routes registers every operation and returns them with the document that describes them.
func (s *server) routes(version string) (*routes, []byte) {
	config := huma.DefaultConfig("Fluxora hub", version)
	config.Info.Description = "Energy use of many sites: what was measured, what is forecast, and with which models."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // no $schema member in answers
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "Printed once by the first `fluxora-hub serve`; `fluxora-hub api-token rotate` makes another."},
	}
	config.Security = []map[string][]string{{"token": {}}}
	r := newRoutes(http.NewServeMux(), config)

	s.registerHealth(r)
	s.registerSites(r)
	s.registerPoints(r)
	s.registerIntervals(r)
	s.registerForecast(r)
	s.registerDecomposition(r)
	s.registerModels(r)
	s.registerRuns(r)
	s.registerWatch(r)
	s.registerAgents(r)
	s.registerLedger(r)
	s.registerQuarantine(r)
	s.registerStream(r)
	s.registerAuth(r)
	s.registerMe(r)
	s.registerOIDC(r)
	s.registerUsers(r)
	s.registerMembers(r)
	s.registerKeys(r)
	s.registerAudit(r)

	raw, err := r.api.OpenAPI().MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("encode OpenAPI document: %s", err)) // only a type that cannot be described does that
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		panic(fmt.Sprintf("indent OpenAPI document: %s", err))
	}
	out.WriteByte('\n')
	return r, out.Bytes()
}
