package api_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/postgres/pgtest"
	"fluxora.dev/hub/internal/store"
)

func TestDatabaseGoneAndBack(t *testing.T) {
	pgtest.Server(t) // skips when there is no Postgres
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	start := func() *postgres.Server {
		t.Helper()
		pg, err := postgres.Start(context.Background(), postgres.Options{Dir: dir, Ephemeral: true})
		if err != nil {
			t.Fatal(err)
		}
		return pg
	}
	pg := start()
	defer func() { _ = pg.Stop() }()
	s, err := store.Open(t.Context(), pg.URL(), store.Options{RequestURL: pg.RequestURL()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, nil)
	paths := []string{"/v1/sites", "/v1/points", "/v1/points/" + v.point.String() + "/intervals", "/v1/points/" + v.point.String() + "/forecast", "/v1/models", "/v1/agents"}
	for _, p := range paths {
		read[map[string]any](t, srv, v.token, p)
	}

	_ = pg.Stop()
	for range 2 { // broken connections first, then refused ones
		for _, p := range paths {
			a := ask(t, srv, v.token, p)
			if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "database") {
				t.Errorf("GET %s without a database: %d %v %s, want 503 with Retry-After", p, a.status, a.header, a.body)
			}
		}
	}
	if a := ask(t, srv, "", "/readyz"); a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), `"database":"not reachable"`) || a.header.Get("Retry-After") == "" {
		t.Errorf("readyz without a database: %d %s", a.status, a.body)
	}
	if a := ask(t, srv, "", "/healthz"); a.status != http.StatusOK {
		t.Errorf("healthz without a database: %d", a.status)
	}
	if a := ask(t, srv, v.token, "/metrics"); a.status != http.StatusOK {
		t.Errorf("metrics without a database: %d, want 200: they are wanted most just then", a.status)
	}
	stranger := serve(t, s, func(o *api.Options) { o.Ready = nil })
	if a := ask(t, stranger, v.token, "/v1/sites"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("a hub that never saw the tokens: %d, want 503", a.status)
	}

	pg = start()
	for _, p := range paths {
		read[map[string]any](t, srv, v.token, p)
	}
	if a := ask(t, srv, "", "/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz with the database back: %d %s", a.status, a.body)
	}
}
