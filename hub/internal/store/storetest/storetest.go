// Package storetest opens the hub's store on a fresh database for a test, and fills it with what most tests begin with.
package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/postgres/pgtest"
	"fluxora.dev/hub/internal/store"
)

// Open returns a store on a migrated database of t's own.
func Open(t testing.TB) *store.Store {
	t.Helper()
	u := URL(t)
	s, err := store.Open(context.Background(), u, store.Options{RequestURL: RequestURL(u)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// RequestURL returns the database that URL returned, with the login that requests of tenants use.
func RequestURL(u string) string {
	return strings.Replace(u, "user="+postgres.Role, "user="+postgres.RequestRole, 1)
}

// URL returns the URL of a migrated database of t's own.
func URL(t testing.TB) string {
	t.Helper()
	return pgtest.Database(t, "hub", func(ctx context.Context, url string) error {
		s, err := store.Open(ctx, url, store.Options{})
		if err != nil {
			return err
		}
		s.Close()
		return nil
	})
}

// Site makes a site, with its organisation, and an agent at it.
func Site(t testing.TB, s *store.Store, organisation string, site store.Site) (org uuid.UUID, made store.Site, agent uuid.UUID) {
	t.Helper()
	ctx := context.Background()
	org, err := s.EnsureOrganisation(ctx, organisation)
	if err != nil {
		t.Fatal(err)
	}
	if made, err = s.EnsureSite(ctx, org, site); err != nil {
		t.Fatal(err)
	}
	agent = uuid.Must(uuid.NewV7())
	if err := s.PutAgent(ctx, org, agent, made.ID, "test"); err != nil {
		t.Fatal(err)
	}
	return org, made, agent
}
