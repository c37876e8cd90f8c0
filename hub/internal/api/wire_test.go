package api_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/ratelimit"
	"fluxora.dev/hub/internal/store/storetest"
)

// send makes a request with headers, given as name and value in turn.
func send(t testing.TB, method, url, token string, body io.Reader, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

func TestConditionalReads(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv, replica := serve(t, s, nil), serve(t, s, nil)
	url := "/v1/points/" + v.point.String() + "/intervals?to=2026-04-01T00:00:00Z"
	first := do(t, srv, send(t, "GET", srv.URL+url, v.token, nil))
	tag := first.header.Get("ETag")
	if first.status != 200 || !strings.HasPrefix(tag, `W/"`) || first.header.Get("Cache-Control") != "private, no-cache" {
		t.Fatalf("%d %v", first.status, first.header)
	}
	for _, have := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag, "*"} {
		a := do(t, replica, send(t, "GET", replica.URL+url, v.token, nil, "If-None-Match", have))
		if a.status != http.StatusNotModified || len(a.body) > 0 || a.header.Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d %q %v", have, a.status, a.body, a.header)
		}
	}
	if a := do(t, srv, send(t, "GET", srv.URL+url, v.token, nil, "If-None-Match", `W/"old"`)); a.status != 200 || !bytes.Equal(a.body, first.body) {
		t.Errorf("another tag: %d", a.status)
	}
	if a := do(t, srv, send(t, "HEAD", srv.URL+url, v.token, nil)); a.status != 200 || a.header.Get("ETag") != tag || len(a.body) > 0 {
		t.Errorf("HEAD: %d %v %q", a.status, a.header, a.body)
	}
	if a := do(t, srv, send(t, "GET", srv.URL+"/v1/points/x", v.token, nil)); a.header.Get("ETag") != "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a refusal is cacheable: %v", a.header)
	}
	if a := do(t, srv, send(t, "GET", srv.URL+url, "flx_wrong", nil, "If-None-Match", tag)); a.status != 401 {
		t.Errorf("a stranger with the tag: %d, want 401", a.status)
	}
}

func TestCompression(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, nil)
	url := srv.URL + "/v1/points/" + v.point.String() + "/intervals?to=2026-04-01T00:00:00Z"
	plain := do(t, srv, send(t, "GET", url, v.token, nil, "Accept-Encoding", "identity"))
	for encoding, open := range map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	} {
		a := do(t, srv, send(t, "GET", url, v.token, nil, "Accept-Encoding", encoding))
		r, err := open(bytes.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(body, plain.body) || a.header.Get("Content-Encoding") != encoding || len(a.body)*3 > len(body) || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%s: %v, %d bytes of %d, %v", encoding, err, len(a.body), len(body), a.header)
		}
		if a := do(t, srv, send(t, "GET", url, v.token, nil, "Accept-Encoding", encoding, "If-None-Match", a.header.Get("ETag"))); a.status != 304 {
			t.Errorf("%s and If-None-Match: %d", encoding, a.status)
		}
	}
	if a := do(t, srv, send(t, "GET", srv.URL+"/healthz", "", nil, "Accept-Encoding", "gzip")); a.header.Get("Content-Encoding") != "" {
		t.Error("a short answer was compressed")
	}
}

func TestOriginsAndMethods(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, func(o *api.Options) { o.Origins = []string{"https://energy.example.com"} })
	closed := serve(t, s, nil)
	for _, tc := range []struct {
		origin string
		let    bool
	}{{"https://energy.example.com", true}, {"https://evil.example.com", false}, {"null", false}, {"http://energy.example.com", false}} {
		a := do(t, srv, send(t, "GET", srv.URL+"/v1/sites", v.token, nil, "Origin", tc.origin))
		if got := a.header.Get("Access-Control-Allow-Origin"); (got == tc.origin) != tc.let || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("origin %s: allowed %q, want %t", tc.origin, got, tc.let)
		}
		a = do(t, srv, send(t, "OPTIONS", srv.URL+"/v1/sites", "", nil, "Origin", tc.origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,idempotency-key"))
		if got := a.header.Get("Access-Control-Allow-Methods"); (got == "POST") != tc.let {
			t.Errorf("preflight of %s: %d, methods %q", tc.origin, a.status, got)
		}
	}
	if a := do(t, closed, send(t, "GET", closed.URL+"/v1/sites", v.token, nil, "Origin", "https://energy.example.com")); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a hub that names no origin lets one in")
	}
	a := do(t, srv, send(t, "OPTIONS", srv.URL+"/v1/sites/", v.token, nil))
	if a.status != 204 || a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	for _, path := range []string{"/v1/sites", "/v1/sites/", "/v1/points/" + v.point.String() + "/intervals/?limit=3"} {
		if a := ask(t, srv, v.token, path); a.status != 200 {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
}

func TestRateLimits(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	caller := func(subject string, tier access.Tier) access.Caller {
		return access.Caller{Kind: access.User, Subject: subject, Organisation: v.org, Role: access.Viewer, Scopes: []access.Scope{access.Every}, Tier: tier}
	}
	clock := now
	srv := serve(t, s, func(o *api.Options) {
		o.Now = func() time.Time { return clock }
		o.Tiers = map[access.Tier]ratelimit.Rate{access.Free: {PerHour: 100, Burst: 10}, access.Premium: {PerHour: 10_000, Burst: 20}}
		o.Callers = []api.Authenticator{known{"free": caller("1", access.Free), "none": caller("2", ""), "premium": caller("3", access.Premium)}}
	})
	count := func(credential string) (n int, last answer) {
		for range 30 {
			if last = ask(t, srv, credential, "/v1/sites"); last.status == http.StatusOK {
				n++
			}
		}
		return n, last
	}
	for credential, want := range map[string]int{"free": 10, "none": 10, "premium": 20, v.token: 30} {
		n, last := count(credential)
		if n != want {
			t.Errorf("%s: %d of 30 answered, want %d", credential, n, want)
		}
		if h := last.header; want < 30 && (last.status != 429 || h.Get("Retry-After") == "" || h.Get("X-RateLimit-Remaining") != "0" || h.Get("X-RateLimit-Reset") == "" || !strings.Contains(string(last.body), "too many requests")) {
			t.Errorf("%s: %d %v %s", credential, last.status, h, last.body)
		}
	}
	clock = clock.Add(36 * time.Second) // one of 100 an hour
	if a := ask(t, srv, "free", "/v1/sites"); a.status != 200 || a.header.Get("X-RateLimit-Limit") != "100" {
		t.Errorf("36 s later: %d %v", a.status, a.header)
	}
	if a := ask(t, srv, "free", "/healthz"); a.status != 200 {
		t.Errorf("a probe counts: %d", a.status)
	}
}

func TestManyClientsShareAFewConnections(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, func(o *api.Options) { o.Concurrency = 32; o.Timeout = time.Minute })
	srv.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 256
	clients := 256
	if testing.Short() {
		clients = 64
	}
	statuses := make(chan int, clients*2)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range 2 {
				req, _ := http.NewRequest("GET", srv.URL+"/v1/points/"+v.point.String()+"/forecast", nil)
				req.Header.Set("Authorization", "Bearer "+v.token)
				res, err := srv.Client().Do(req)
				if err != nil {
					statuses <- 0
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				statuses <- res.StatusCode
			}
		})
	}
	all.Wait()
	close(statuses)
	got := map[int]int{}
	for status := range statuses {
		got[status]++
	}
	if got[200] != clients*2 {
		t.Errorf("answers by status: %v", got)
	}
}

func TestTraceAndRequestIDReachLogsAndErrors(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	var mu sync.Mutex
	var out bytes.Buffer
	srv := serve(t, s, func(o *api.Options) {
		o.Log = slog.New(slog.NewJSONHandler(writer(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return out.Write(b)
		}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	a := do(t, srv, send(t, "GET", srv.URL+"/v1/points/"+uuid.NewString(), v.token, nil, "X-Request-ID", "r-17", "traceparent", "00-"+trace+"-00f067aa0ba902b7-01"))
	if !strings.Contains(string(a.body), `"request_id":"r-17"`) || a.header.Get("X-Request-Id") != "r-17" {
		t.Errorf("%s %v", a.body, a.header)
	}
	srv.Close() // the last record is written when the answer has gone
	mu.Lock()
	defer mu.Unlock()
	if line := out.String(); !strings.Contains(line, `"trace":"`+trace+`"`) || !strings.Contains(line, `"request":"r-17"`) || !strings.Contains(line, `"status":404`) || strings.Contains(line, "00f067aa0ba902b7") {
		t.Errorf("log: %s", line)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestErrorsReadTheSameForBothKindsOfClients(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, nil)
	for path, want := range map[string][]string{
		"/v1/points/" + uuid.NewString(): {`"title":"Not Found"`, `"detail":"no such point"`, `"code":"HTTP_404","message":"no such point"`},
		"/v1/sites?limit=0":              {`"status":422`, `"location":"query.limit"`, `"code":"VALIDATION_ERROR"`, `"loc":["query","limit"]`},
		"/nothing":                       {`"code":"HTTP_404"`, `/openapi.json`, `"request_id":"`},
	} {
		a := ask(t, srv, v.token, path)
		for _, w := range want {
			if !strings.Contains(string(a.body), w) {
				t.Errorf("GET %s: %s lacks %s", path, a.body, w)
			}
		}
	}
	if a := ask(t, srv, "", "/v1/sites"); !strings.Contains(string(a.body), `"code":"HTTP_401"`) {
		t.Error(fmt.Sprint("a stranger reads ", string(a.body)))
	}
}

func TestDocsAreOpenAndTheirOwn(t *testing.T) {
	srv := serve(t, storetest.Open(t), nil)
	for _, path := range []string{"/docs", "/docs/", "/docs/start.js", "/docs/swagger-ui.css"} {
		if a := ask(t, srv, "", path); a.status != 200 || !strings.Contains(a.header.Get("Content-Security-Policy"), "script-src 'self'") {
			t.Errorf("GET %s: %d %v", path, a.status, a.header)
		}
	}
	if a := ask(t, srv, "", "/docs/../v1/sites"); a.status != 401 {
		t.Errorf("GET /docs/../v1/sites: %d, want 401", a.status)
	}
}
