package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/authority"
	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/lifecycle"
)

// base is what every command works with.
type base struct {
	o         Options
	private   *private // nil with a configured database, and beside a running `serve`
	store     *store.Store
	authority *authority.Authority
	registry  *registry.Registry
	asker     *jobs.Asker
	org       uuid.UUID
}

// open builds the base and registers its teardown with g. Beside a running `serve`, a command uses its private server.
func open(ctx context.Context, g *lifecycle.Group, o Options, serve bool, announce registry.Announcer) (*base, error) {
	b := &base{o: o}
	c, url, wait := o.Config, o.Config.Database.URL, databaseWait
	so := store.Options{MaxConnections: c.Database.Connections / 2, Requests: c.Database.Connections / 2, Log: o.Log.With("component", "store")}
	if !serve {
		so.MaxConnections, wait = commandWithin, 0
	}
	if url == "" {
		p, err := startPrivate(ctx, c, o.Log.With("component", "postgres"))
		switch {
		case err == nil:
			b.private, url, so.RequestURL = p, p.server.URL(), p.server.RequestURL()
			g.OnStop("private Postgres", func(context.Context) error { return p.stop() })
		case errors.Is(err, postgres.ErrInUse) && !serve:
			if url, err = runningURL(c.DataDir); err != nil {
				return nil, err
			}
		case errors.Is(err, postgres.ErrInUse):
			return nil, fmt.Errorf("another hub runs on %s: stop it, or choose another data_dir: %w", c.DataDir, err)
		default:
			return nil, err
		}
	}
	var err error
	if b.store, err = openStore(ctx, url, so, wait); err != nil {
		return nil, err
	}
	g.OnStop("store", func(context.Context) error { b.store.Close(); return nil })
	if err := jobs.Migrate(ctx, b.store.Pool(), o.Log); err != nil {
		return nil, err
	}
	if b.org, err = b.store.EnsureOrganisation(ctx, c.Organisation); err != nil {
		return nil, err
	}
	if b.authority, err = authority.Open(ctx, b.store, authority.Options{Hosts: c.Uplink.Names, RenewWithin: c.Uplink.RenewWithin, Now: o.Now}); err != nil {
		return nil, err
	}
	b.registry = registry.New(b.store, b.authority, announce, o.Log.With("component", "registry"), o.Now)
	b.asker, err = jobs.NewAsker(b.store, b.store.Pool(), o.Log.With("component", "jobs"))
	return b, err
}
