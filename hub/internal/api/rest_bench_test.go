package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// BenchmarkREST asks how many requests a hub answers beside a handler that does nothing, by wrk over loopback on the same machine: with
// 200 points, a year of hourly intervals and a month of hourly forecasts. Run it with -benchtime 1x; it takes a minute.
func BenchmarkREST(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.Fatal("wrk is not installed: apt-get install wrk")
	}
	url := storetest.URL(b)
	s, err := store.Open(context.Background(), url, store.Options{MaxConnections: 16})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	point, token := year(b, s)
	srv := serve(b, s, func(o *api.Options) { o.Concurrency = 64 })
	trivial := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	}))
	b.Cleanup(trivial.Close)
	at := srv.URL + "/v1/points/" + point.String()
	for _, tc := range []struct{ name, url string }{
		{"trivial handler", trivial.URL},
		{"healthz", srv.URL + "/healthz"},
		{"latest forecast", at + "/forecast"},
		{"7 days of hours", at + "/intervals?from=2025-12-13T00:00:00Z&to=2025-12-20T00:00:00Z"},
	} {
		for _, connections := range []int{32, 256} {
			b.Run(fmt.Sprintf("%s/%d", tc.name, connections), func(b *testing.B) {
				for b.Loop() {
					out, err := exec.CommandContext(b.Context(), wrk, "-t2", "-d5s", "--latency", "-c"+strconv.Itoa(connections), "-H", "Authorization: Bearer "+token, tc.url).CombinedOutput()
					if err != nil {
						b.Fatalf("wrk: %v: %s", err, out)
					}
					b.ReportMetric(figure(b, out, `Requests/sec:\s+([\d.]+)()`), "req/s")
					b.ReportMetric(figure(b, out, `99%\s+([\d.]+)(us|ms|s)`), "p99-ms")
					if regexp.MustCompile(`Non-2xx|Socket errors: connect [1-9]`).Match(out) {
						b.Errorf("not all were answered: %s", out)
					}
					b.ReportMetric(0, "ns/op")
				}
			})
		}
	}
}

// figure reads a number from wrk's report, times in milliseconds.
func figure(b *testing.B, out []byte, pattern string) float64 {
	b.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		b.Fatalf("wrk's report lacks %s: %s", pattern, out)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	switch string(m[2]) {
	case "us":
		v /= 1000
	case "s":
		v *= 1000
	}
	return v
}

// year fills the store and returns one of the points and a token.
func year(b *testing.B, s *store.Store) (point uuid.UUID, token string) {
	b.Helper()
	ctx := context.Background()
	org, site, _ := storetest.Site(b, s, "alpha", store.Site{Name: "alpha-site"})
	for _, sql := range []string{
		`insert into point (org_id, point_id, site_id, name) select $1, gen_random_uuid(), $2, 'p' || n from generate_series(1, 200) n`,
		`insert into interval select org_id, point_id, 'energy-import', t, 1000, 0, false from point, generate_series(timestamptz '2025-01-01', '2025-12-31 23:00Z', '1 hour') t where org_id = $1 and $2::uuid is not null`,
		`insert into forecast select org_id, point_id, 'energy-import', t, 3600000, '{0.1,0.5,0.9}', array_fill(1.0::float8, array[144]), 'baseline', null, 1, t
			from point, generate_series(timestamptz '2025-12-01', '2025-12-31 23:00Z', '1 hour') t where org_id = $1 and $2::uuid is not null`,
	} {
		if _, err := s.Pool().Exec(ctx, sql, org, site.ID); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.Pool().Exec(ctx, `analyze`); err != nil {
		b.Fatal(err)
	}
	if err := s.Pool().QueryRow(ctx, `select point_id from point where name = 'p7'`).Scan(&point); err != nil {
		b.Fatal(err)
	}
	token, digest := api.NewToken()
	if ok, err := s.PutFirstAPIToken(ctx, org, uuid.New(), digest[:]); err != nil || !ok {
		b.Fatal(ok, err)
	}
	return point, token
}
