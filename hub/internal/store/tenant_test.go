package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// TestEveryTableOfTenantsHasAPolicy lists the tables, so that a new one is either an organisation's own and kept apart, or named here.
func TestEveryTableOfTenantsHasAPolicy(t *testing.T) {
	ofHub := []string{"hub_secret", "goose_db_version", "weather_quota"} // closed to requests
	s := storetest.Open(t)
	rows, err := s.Pool().Query(t.Context(), `
		select n.nspname || '.' || c.relname, c.relname, n.nspname,
			exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped),
			c.relrowsecurity and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant'),
			has_table_privilege('fluxora_request', c.oid, 'select, insert, update, delete, truncate, references, trigger') and
			has_schema_privilege('fluxora_request', n.oid, 'usage'),
			has_table_privilege('fluxora_request', c.oid, 'truncate, references, trigger')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'queue')`)
	if err != nil {
		t.Fatal(err)
	}
	var full, name, schema string
	var owned, apart, open, more bool
	n := 0
	_, err = pgx.ForEachRow(rows, []any{&full, &name, &schema, &owned, &apart, &open, &more}, func() error {
		n++
		switch {
		case owned && !apart:
			t.Errorf("table %s has an organisation and no policy: isolate_tenants() was to give it one", full)
		case !owned && open:
			t.Errorf("table %s has no organisation and is open to requests: give it an org_id, or revoke it from %s", full, store.RequestRole)
		case !owned && schema == "public" && !slices.Contains(ofHub, name):
			t.Errorf("table %s has no organisation: give it an org_id, or name it in this test with the reason", full)
		case more:
			t.Errorf("table %s may be truncated or referred to by %s", full, store.RequestRole)
		}
		return nil
	})
	if err != nil || n < 30 {
		t.Fatalf("%d tables, %v", n, err)
	}

	var views []string
	err = s.Pool().QueryRow(t.Context(), `select coalesce(array_agg(c.relname::text), '{}') from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('v', 'm') and n.nspname = 'public' and not coalesce(c.reloptions @> '{security_invoker=on}', false)`).Scan(&views)
	if err != nil || len(views) > 0 {
		t.Errorf("views %v look with the eyes of their owner, %v: set (security_invoker = on)", views, err)
	}
	var functions []string
	err = s.Pool().QueryRow(t.Context(), `select coalesce(array_agg(p.proname::text), '{}') from pg_proc p join pg_namespace n on n.oid = p.pronamespace
		where n.nspname = 'public' and p.prosecdef`).Scan(&functions)
	if err != nil || len(functions) > 0 {
		t.Errorf("functions %v run with the rights of their owner, %v", functions, err)
	}
}

// TestRequestsOfATenant asks and writes as a request does, with statements that forget to name the organisation.
func TestRequestsOfATenant(t *testing.T) {
	t.Run("with a login of its own", func(t *testing.T) { requestsOfATenant(t, storetest.Open(t), true) })
	t.Run("with the hub's login", func(t *testing.T) {
		s, err := store.Open(t.Context(), storetest.URL(t), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		requestsOfATenant(t, s, false)
	})
}

func requestsOfATenant(t *testing.T, s *store.Store, own bool) {
	a, site, agent := storetest.Site(t, s, "alpha", store.Site{Name: "alpha-site"})
	b, _, _ := storetest.Site(t, s, "beta", store.Site{Name: "beta-site"})
	type key struct{}
	requests := s.ForRequests(func(ctx context.Context) uuid.UUID {
		org, _ := ctx.Value(key{}).(uuid.UUID)
		return org
	})
	as := func(org uuid.UUID) context.Context { return context.WithValue(t.Context(), key{}, org) }

	var role string
	var super, bypass, owns bool
	err := requests.QueryRow(as(a), `select current_user, rolsuper, rolbypassrls, exists (select from pg_class where relowner = r.oid)
		from pg_roles r where rolname = current_user`).Scan(&role, &super, &bypass, &owns)
	if err != nil || role != store.RequestRole || super || bypass || owns {
		t.Fatalf("requests run as %s, superuser %t, bypasses %t, owns %t, %v", role, super, bypass, owns, err)
	}
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want []string
	}{{"alpha", as(a), []string{"alpha-site"}}, {"beta", as(b), []string{"beta-site"}}, {"nobody", t.Context(), nil}, {"nil", as(uuid.Nil), nil}, {"alpha again", as(a), []string{"alpha-site"}}} {
		rows, err := requests.Query(tc.ctx, `select name from site`)
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || !slices.Equal(names, tc.want) {
			t.Errorf("%s sees the sites %v, %v: want %v", tc.name, names, err, tc.want)
		}
	}
	if rows, err := requests.SiteRows(as(a), b, "", 10); err != nil || len(rows) != 0 {
		t.Errorf("alpha asks for beta's sites by its id: %v, %v", rows, err)
	}
	if rows, err := requests.SiteRows(as(a), a, "", 10); err != nil || len(rows) != 1 {
		t.Errorf("alpha's own sites: %v, %v", rows, err)
	}
	if err := requests.RevokeAgent(as(b), a, agent); err == nil {
		t.Error("beta revoked an agent of alpha's")
	}
	site.Horizon = 12
	if err := requests.UpdateSite(as(b), a, site); err == nil {
		t.Error("beta changed a site of alpha's")
	}
	if err := requests.UpdateSite(as(a), a, site); err != nil {
		t.Errorf("alpha changes its site: %v", err)
	}
	if _, err := requests.EnsureSite(as(b), a, store.Site{Name: "planted"}); err == nil {
		t.Error("beta made a site in alpha")
	}
	for _, sql := range []string{
		`update site set name = 'x'`, `delete from site`, `update site set org_id = '` + a.String() + `'`,
		`insert into site (org_id, site_id, name) values ('` + a.String() + `', gen_random_uuid(), 'planted')`,
	} {
		tx, err := requests.Begin(as(b))
		if err != nil {
			t.Fatal(err)
		}
		end := tx.Commit
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			end = tx.Rollback
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := s.SiteRows(t.Context(), a, "", 10); err != nil || len(rows) != 1 || rows[0].Name != "alpha-site" {
		t.Errorf("alpha's sites after beta's attempts: %+v, %v", rows, err)
	}
	for _, sql := range []string{
		`select value from hub_secret`, `select sha256 from api_token`, `select 1 from queue.river_job`, `alter table site disable row level security`,
		`drop policy tenant on site`, `truncate site`, `create table x (y int)`, `set role fluxora`,
	} {
		if !own && sql == `set role fluxora` {
			continue // what a login of its own is better for
		}
		if _, err := requests.Exec(as(a), sql); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v, want a refusal", sql, err)
		}
	}
}
