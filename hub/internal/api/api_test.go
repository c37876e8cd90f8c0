package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

const epoch = 7

// now is some time after everything that the tests store.
var now = time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC)

// first is when the readings begin: midnight in Oslo, a day before the clocks go forward on 29 March.
var first = time.Date(2026, 3, 27, 23, 0, 0, 0, time.UTC)

// tenant is an organisation with a site, one point "main" and a token.
type tenant struct {
	org, agent, point uuid.UUID
	site              store.Site
	token             string
}

// newTenant fills the store: four days of a counter that grows by 1 kWh an hour, and a forecast.
func newTenant(t testing.TB, s *store.Store, name string) tenant {
	t.Helper()
	ctx := context.Background()
	v := tenant{}
	v.org, v.site, v.agent = storetest.Site(t, s, name, store.Site{Name: name + "-site", Zone: "Europe/Oslo"})
	if _, err := s.OpenSession(ctx, v.org, v.agent, wire.Hello{Epoch: epoch, Version: "v1", Pending: 5}); err != nil {
		t.Fatal(err)
	}
	series := wire.Series{ID: 1, Series: meter.Series{Point: "main", Meter: "m1", Register: meter.EnergyImport, Kind: meter.Counter}}
	if err := s.Declare(ctx, v.org, v.agent, epoch, []wire.Series{series}); err != nil {
		t.Fatal(err)
	}
	rs := make([]meter.Reading, 4*24+1)
	for i := range rs {
		rs[i] = meter.Reading{At: meter.MillisOf(first).Add(time.Duration(i) * time.Hour), Value: int64(i) * 1_000_000}
	}
	rs[len(rs)-1].Value += 5 // 0.005 Wh
	b, err := chunk.Append(nil, rs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CommitBatch(ctx, v.org, v.agent, epoch, wire.Batch{First: 1, Count: uint64(len(rs)), Blocks: []wire.Block{{Series: 1, Chunk: b}}}); err != nil {
		t.Fatal(err)
	}
	if err := derive.New(s, derive.Options{}).Drain(ctx); err != nil {
		t.Fatal(err)
	}
	origin := first.Add(4 * 24 * time.Hour)
	for i := range 2 {
		f := forecast.Forecast{
			Point: "main", Register: meter.EnergyImport, Origin: meter.MillisOf(origin.Add(time.Duration(i) * time.Hour)), Resolution: time.Hour,
			Levels: []float64{0.1, 0.5, 0.9}, Values: []float64{1, 2, 3, 4, 5, 6}, Rung: forecast.Baseline, Completeness: 0.75, Issued: meter.MillisOf(origin),
		}
		if err := s.PutForecasts(ctx, v.org, v.agent, []forecast.Forecast{f}); err != nil {
			t.Fatal(err)
		}
	}
	token, digest := api.NewToken()
	if ok, err := s.PutFirstAPIToken(ctx, v.org, uuid.New(), digest[:]); err != nil || !ok {
		t.Fatalf("first token: %t, %v", ok, err)
	}
	v.token = token
	points, err := s.PointRows(ctx, v.org, "", "", "", 10)
	if err != nil || len(points) != 1 {
		t.Fatalf("points: %+v, %v", points, err)
	}
	v.point = points[0].ID
	return v
}

func serve(t testing.TB, s *store.Store, change func(*api.Options)) *httptest.Server {
	t.Helper()
	o := api.Options{
		Store: s, Registry: prometheus.NewRegistry(), Version: "test", Timeout: 5 * time.Second, MaxBody: 1 << 10,
		Ready: []api.Check{{Name: "database", Ok: s.Ping}}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	}
	if change != nil {
		change(&o)
	}
	srv := httptest.NewServer(api.New(o))
	t.Cleanup(srv.Close)
	return srv
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func ask(t testing.TB, srv *httptest.Server, token, path string) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, srv, req)
}

func do(t testing.TB, srv *httptest.Server, req *http.Request) answer {
	t.Helper()
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, body}
}

func read[T any](t testing.TB, srv *httptest.Server, token, path string) T {
	t.Helper()
	a := ask(t, srv, token, path)
	if a.status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, a.body)
	}
	return v
}

func TestHappyPaths(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	// An import is a sender to the store and no agent to people.
	all, err := s.SiteRows(t.Context(), v.org, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutImporter(t.Context(), v.org, all[0].ID); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Fleet(t.Context()); err != nil || f.Agents != 1 {
		t.Errorf("%d agents in the fleet, %v: want 1", f.Agents, err)
	}
	srv := serve(t, s, nil)

	sites := read[api.Sites](t, srv, v.token, "/v1/sites")
	if len(sites.Sites) != 1 || sites.Sites[0].Name != "alpha-site" || sites.Sites[0].Resolution != "PT1H" || sites.Sites[0].Points != 1 || sites.Sites[0].Agents != 1 {
		t.Errorf("sites: %+v", sites)
	}

	points := ask(t, srv, v.token, "/v1/points?site=alpha-site")
	for _, want := range []string{`"name":"main"`, `"meter":"m1"`, `"value":96000.005,"unit":"Wh"`, `"at":"2026-03-31T23:00:00Z"`, `"wh":1000`, `"end":"2026-03-31T23:00:00Z"`} {
		if !strings.Contains(string(points.body), want) {
			t.Errorf("points lack %s: %s", want, points.body)
		}
	}
	if got := read[api.Points](t, srv, v.token, "/v1/points?site=other"); len(got.Points) != 0 {
		t.Errorf("points of another site: %+v", got)
	}

	agents := read[api.Agents](t, srv, v.token, "/v1/agents")
	if a := agents.Agents[0]; len(agents.Agents) != 1 || a.Backlog != 5 || a.Received != 97 || a.Version != "v1" || *a.LagSeconds != 13*3600 || a.Revoked != nil {
		t.Errorf("agents: %s", ask(t, srv, v.token, "/v1/agents").body)
	}

	f := read[api.Forecast](t, srv, v.token, "/v1/points/"+v.point.String()+"/forecast")
	if !f.Origin.Equal(first.Add(97*time.Hour)) || len(f.Steps) != 2 || f.Steps[1].Values[2] != 6 || f.Provenance.Rung != "baseline" || f.Provenance.Completeness != 0.75 {
		t.Errorf("latest forecast: %+v", f)
	}
	f = read[api.Forecast](t, srv, v.token, "/v1/points/"+v.point.String()+"/forecast?register=1.8.0&origin="+url.QueryEscape("2026-04-01T01:00:00+02:00"))
	if !f.Origin.Equal(first.Add(96 * time.Hour)) {
		t.Errorf("forecast of an origin: %+v", f)
	}

	if m := read[api.Models](t, srv, v.token, "/v1/models"); m.Models == nil || m.Trainings == nil {
		t.Errorf("models: want empty lists, not null: %+v", m)
	}
}

func TestIntervals(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, nil)
	path := "/v1/points/" + v.point.String() + "/intervals"

	t.Run("half-open range", func(t *testing.T) {
		got := read[api.Intervals](t, srv, v.token, path+"?from=2026-03-28T00:00:00Z&to=2026-03-28T02:00:00Z")
		if len(got.Intervals) != 2 || !got.Intervals[1].End.Equal(time.Date(2026, 3, 28, 2, 0, 0, 0, time.UTC)) || got.Intervals[0].Wh != 1000 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a day of 23 hours", func(t *testing.T) {
		got := read[api.Intervals](t, srv, v.token, path+"?from=2026-03-27T23:00:00Z&to=2026-03-31T22:00:00Z&resolution=day")
		var wh []int64
		for _, i := range got.Intervals {
			wh = append(wh, i.Wh)
		}
		if len(wh) != 4 || wh[0] != 24000 || wh[1] != 23000 || wh[2] != 24000 || got.Intervals[1].End.Sub(got.Intervals[1].Start) != 23*time.Hour || got.Resolution != "P1D" {
			t.Errorf("got %v in %+v", wh, got)
		}
	})
	t.Run("month", func(t *testing.T) {
		got := read[api.Intervals](t, srv, v.token, path+"?from=2026-02-28T23:00:00Z&to=2026-04-30T22:00:00Z&resolution=month")
		if len(got.Intervals) != 2 || !got.Intervals[0].End.Equal(time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("pages join", func(t *testing.T) {
		whole := read[api.Intervals](t, srv, v.token, path)
		var joined []api.Interval
		next, pages := path+"?limit=10", 0
		for next != "" && pages < 50 {
			page := read[api.Intervals](t, srv, v.token, next)
			joined = append(joined, page.Intervals...)
			pages++
			next = ""
			if page.Next != "" {
				next = path + "?limit=10&cursor=" + page.Next
			}
		}
		if len(whole.Intervals) != 96 || len(joined) != 96 || pages != 10 || joined[95] != whole.Intervals[95] {
			t.Errorf("%d intervals at once, %d in %d pages, want 96 and 96 in 10", len(whole.Intervals), len(joined), pages)
		}
	})
}

func TestListsPage(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	ctx := t.Context()
	for _, name := range []string{"b", "c", "a"} {
		if _, err := s.EnsureSite(ctx, v.org, store.Site{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	srv := serve(t, s, nil)
	var names []string
	next := "/v1/sites?limit=3"
	for next != "" {
		page := read[api.Sites](t, srv, v.token, next)
		for _, x := range page.Sites {
			names = append(names, x.Name)
		}
		next = ""
		if page.Next != "" {
			next = "/v1/sites?limit=3&cursor=" + page.Next
		}
	}
	if strings.Join(names, " ") != "a alpha-site b c" {
		t.Errorf("sites in pages: %v", names)
	}
}

func TestBadRequests(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, nil)
	at := "/v1/points/" + v.point.String()
	for _, tc := range []struct {
		name, path string
		status     int
		want       string // in the problem
	}{
		{"unknown query parameter", "/v1/sites?lmit=3", 422, "lmit"},
		{"huge limit", "/v1/sites?limit=100000", 422, "query.limit"},
		{"huge limit of intervals", at + "/intervals?limit=1000000000000", 422, "limit"},
		{"limit of nothing", "/v1/points?limit=0", 422, "query.limit"},
		{"limit that is no number", "/v1/points?limit=many", 422, "query.limit"},
		{"id that is none", "/v1/points/main/intervals", 422, "path.id"},
		{"id of nothing", "/v1/points/" + uuid.NewString() + "/intervals", 404, "no such point"},
		{"id of nothing, point", "/v1/points/" + uuid.NewString(), 404, "no such point"},
		{"id of nothing, forecast", "/v1/points/" + uuid.NewString() + "/forecast", 404, "no such forecast"},
		{"origin without a forecast", at + "/forecast?origin=2020-01-01T00:00:00Z", 404, "no such forecast"},
		{"from after to", at + "/intervals?from=2026-03-29T00:00:00Z&to=2026-03-28T00:00:00Z", 422, "query.to"},
		{"empty range", at + "/intervals?from=2026-03-29T00:00:00Z&to=2026-03-29T00:00:00Z", 422, "query.to"},
		{"before 1970", at + "/intervals?from=1969-12-31T00:00:00Z", 422, "query.from"},
		{"far future", at + "/intervals?to=9999-12-31T00:00:00Z", 422, "query.to"},
		{"time without a zone", at + "/intervals?from=2026-03-29T00:00:00", 422, "query.from"},
		{"resolution", at + "/intervals?resolution=week", 422, "query.resolution"},
		{"unknown register", at + "/intervals?register=gas", 422, "energy-import"},
		{"cursor of nonsense", "/v1/sites?cursor=%21%21", 422, "query.cursor"},
		{"cursor of another list", at + "/intervals?cursor=" + "ImFscGhhIg", 422, "query.cursor"},
		{"cursor and range", at + "/intervals?from=2026-03-29T00:00:00Z&cursor=e30", 422, "query.cursor"},
		{"cursor with an absurd range", at + "/intervals?cursor=eyJGcm9tIjotOTAwMDAwMDAwMDAwMDAwMDAwMCwiVG8iOjF9", 422, "query.cursor"},
		{"cursor with a NUL", "/v1/sites?cursor=IlwwMDAwIg", 422, "query.cursor"},
		{"unknown path", "/v1/nothing", 404, "/openapi.json"},
		{"name with a NUL", "/v1/points?site=%00", 422, "query.site"},
		{"name that is no UTF-8", "/v1/points?site=%ff", 422, "query.site"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := ask(t, srv, v.token, tc.path)
			if a.status != tc.status || !strings.Contains(string(a.body), tc.want) || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("GET %s: %d %s %s, want %d naming %q", tc.path, a.status, a.header.Get("Content-Type"), a.body, tc.status, tc.want)
			}
		})
	}
	t.Run("method", func(t *testing.T) {
		req, _ := http.NewRequest(http.MethodDelete, srv.URL+"/v1/sites", nil)
		req.Header.Set("Authorization", "Bearer "+v.token)
		if a := do(t, srv, req); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("DELETE: %d, Allow %q: want 405 and GET, HEAD, OPTIONS", a.status, a.header.Get("Allow"))
		}
	})
	t.Run("body too large", func(t *testing.T) {
		req, _ := http.NewRequest(http.MethodGet, srv.URL+"/v1/sites", strings.NewReader(strings.Repeat("x", 2<<10)))
		req.Header.Set("Authorization", "Bearer "+v.token)
		if a := do(t, srv, req); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d, want 413", a.status)
		}
	})
}

func TestNobodyGetsInByDefault(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, nil)
	for _, path := range []string{
		"/v1/sites", "/v1/points", "/v1/points/" + v.point.String() + "/intervals", "/v1/points/" + v.point.String() + "/forecast",
		"/v1/models", "/v1/models/x", "/v1/runs", "/v1/runs/x", "/v1/agents", "/metrics", "/nothing", "//healthz", "/healthz/x", "/./healthz",
	} {
		for name, header := range map[string]string{
			"none": "", "wrong": "Bearer flx_wrong", "other scheme": "Basic " + v.token, "empty": "Bearer ",
			"longer": "Bearer " + v.token + "x", "shorter": "Bearer " + v.token[:len(v.token)-1], "huge": "Bearer " + strings.Repeat("x", 8000),
		} {
			req, _ := http.NewRequest(http.MethodGet, srv.URL+path, nil)
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			if a := do(t, srv, req); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || !strings.Contains(string(a.body), `"status":401`) {
				t.Errorf("GET %s with token %s: %d %s, want 401", path, name, a.status, a.body)
			}
		}
	}
	for _, path := range []string{"/", "/health", "/health/", "/healthz", "/readyz", "/openapi.json"} {
		if a := ask(t, srv, "", path); a.status != http.StatusOK {
			t.Errorf("GET %s: %d, want 200 for everybody", path, a.status)
		}
	}
	if a := ask(t, srv, v.token, "/metrics"); a.status != 200 || !strings.Contains(string(a.body), "fluxora_hub_http_requests_total") {
		t.Errorf("metrics: %d %s", a.status, a.body)
	}
	if a := ask(t, serve(t, s, func(o *api.Options) { o.MetricsOpen = true }), "", "/metrics"); a.status != 200 {
		t.Errorf("open metrics: %d", a.status)
	}
}

func TestAnotherOrganisationIsInvisible(t *testing.T) {
	s := storetest.Open(t)
	a, b := newTenant(t, s, "alpha"), newTenant(t, s, "beta")
	srv := serve(t, s, nil)
	for _, path := range []string{"/intervals", "/forecast", ""} {
		path = "/v1/points/" + b.point.String() + path
		if got := ask(t, srv, a.token, path); got.status != http.StatusNotFound {
			t.Errorf("alpha reads %s: %d %s", path, got.status, got.body)
		}
		if got := ask(t, srv, b.token, path); got.status != http.StatusOK {
			t.Errorf("beta reads %s: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/v1/sites", "/v1/points", "/v1/points?site=beta-site", "/v1/agents", "/v1/models"} {
		if got := ask(t, srv, a.token, path); strings.Contains(string(got.body), "beta") || strings.Contains(string(got.body), b.agent.String()) {
			t.Errorf("alpha reads %s: %s", path, got.body)
		}
	}
}

func TestTokensRotate(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	clock := now
	srv := serve(t, s, func(o *api.Options) { o.Now = func() time.Time { return clock } })
	read[api.Sites](t, srv, v.token, "/v1/sites")

	fresh, digest := api.NewToken()
	if err := s.ReplaceAPITokens(t.Context(), v.org, uuid.New(), digest[:]); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(3 * time.Second)
	if a := ask(t, srv, v.token, "/v1/sites"); a.status != http.StatusUnauthorized {
		t.Errorf("replaced token: %d, want 401", a.status)
	}
	read[api.Sites](t, srv, fresh, "/v1/sites")
	if stored, err := s.PutFirstAPIToken(t.Context(), v.org, uuid.New(), digest[:]); err != nil || stored {
		t.Errorf("a second first token: %t, %v, want none", stored, err)
	}
}

func TestHeaders(t *testing.T) {
	s := storetest.Open(t)
	srv := serve(t, s, nil)
	a := ask(t, srv, "", "/healthz")
	for _, h := range []string{"X-Content-Type-Options", "Content-Security-Policy", "X-Frame-Options", "Referrer-Policy", "X-Request-Id"} {
		if a.header.Get(h) == "" {
			t.Errorf("header %s is missing", h)
		}
	}
	for sent, kept := range map[string]bool{"abc-1": true, "a b": false, strings.Repeat("x", 65): false, `"><script>`: false} {
		req, _ := http.NewRequest(http.MethodGet, srv.URL+"/healthz", nil)
		req.Header.Set("X-Request-Id", sent)
		if got := do(t, srv, req).header.Get("X-Request-Id"); (got == sent) != kept || got == "" {
			t.Errorf("request id %q came back as %q, want kept: %t", sent, got, kept)
		}
	}
}

func TestOffsetsAndTotals(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	for _, name := range []string{"b", "c", "a"} {
		if _, err := s.EnsureSite(t.Context(), v.org, store.Site{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	srv := serve(t, s, nil)
	for query, want := range map[string]string{"": "a alpha-site b c", "offset=1&limit=2": "alpha-site b", "offset=3": "c", "offset=4": "", "offset=1000000": ""} {
		page := read[api.Sites](t, srv, v.token, "/v1/sites?total=true&"+query)
		var names []string
		for _, x := range page.Sites {
			names = append(names, x.Name)
		}
		if got := strings.Join(names, " "); got != want || page.Sites == nil || page.Total == nil || *page.Total != 4 {
			t.Errorf("sites with %q: %q, %+v: want %q of 4", query, got, page, want)
		}
	}
	next := read[api.Sites](t, srv, v.token, "/v1/sites?offset=1&limit=1").Next
	if page := read[api.Sites](t, srv, v.token, "/v1/sites?limit=1&cursor="+next); page.Sites[0].Name != "b" || page.Total != nil {
		t.Errorf("a cursor after an offset: %+v", page)
	}
	if a := ask(t, srv, v.token, "/v1/sites?offset=1&cursor="+next); a.status != 422 {
		t.Errorf("a cursor and an offset: %d", a.status)
	}
	type list struct {
		Points []struct{ Name string }
		Total  *int
	}
	points := read[list](t, srv, v.token, "/v1/points?total=true")
	if *points.Total != 1 || len(points.Points) != 1 {
		t.Errorf("points: %+v", points)
	}
	if points = read[list](t, srv, v.token, "/v1/points?offset=1&total=true&site=alpha-site"); *points.Total != 1 || len(points.Points) != 0 {
		t.Errorf("points after the last: %+v", points)
	}
}

func TestInstantsInAZone(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, nil)
	at := "/v1/points/" + v.point.String()
	for _, tc := range []struct{ path, want string }{
		{"/intervals?from=2026-03-29T00:00:00Z&to=2026-03-29T02:00:00Z&tz=site", `"start":"2026-03-29T01:00:00+01:00","end":"2026-03-29T03:00:00+02:00"`}, // the clocks go forward
		{"/intervals?from=2026-03-29T00:00:00Z&to=2026-03-29T02:00:00Z&tz=America/New_York", `"start":"2026-03-28T20:00:00-04:00"`},
		{"/intervals?from=2026-03-29T00:00:00Z&to=2026-03-29T02:00:00Z", `"start":"2026-03-29T00:00:00Z"`},
		{"/intervals?from=2026-03-28T00:00:00Z&to=2026-03-31T02:00:00Z&resolution=day&tz=site", `"start":"2026-03-29T00:00:00+01:00","end":"2026-03-30T00:00:00+02:00"`},
		{"/forecast?tz=site", `"start":"2026-04-01T02:00:00+02:00"`},
	} {
		if a := ask(t, srv, v.token, at+tc.path); a.status != 200 || !strings.Contains(string(a.body), tc.want) {
			t.Errorf("GET %s: %d %.400s lacks %s", tc.path, a.status, a.body, tc.want)
		}
	}
	for _, zone := range []string{"Local", "Oslo", "../../etc/passwd", "%00"} {
		if a := ask(t, srv, v.token, at+"/intervals?tz="+zone); a.status != 422 {
			t.Errorf("zone %s: %d", zone, a.status)
		}
	}
}
