// Package ingeststore fits the hub's store to what package ingest asks for: it names agents by organisation and id, and
// translates errors. It must not decide anything.
package ingeststore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/guard"
	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// Store is a store.Store as ingest.Store and ingest.Enrolment.
type Store struct {
	store *store.Store
	now   func() time.Time
}

var (
	_ ingest.Store     = Store{}
	_ ingest.Enrolment = Store{}
)

// New returns s as package ingest wants it. The clock now judges whether an enrolment token has expired.
func New(s *store.Store, now func() time.Time) Store { return Store{s, now} }

// AgentByCertificate implements ingest.Store.
func (s Store) AgentByCertificate(ctx context.Context, agent uuid.UUID, serial string) (ingest.Agent, error) {
	a, err := s.store.AgentByCertificate(ctx, agent, serial)
	return ingest.Agent{Org: a.Org, ID: a.ID, Site: a.Site, SiteName: a.SiteName, Revoked: a.Revoked}, translate(err)
}

// Fallen implements ingest.Store.
func (s Store) Fallen(ctx context.Context, holders []ingest.Holder) ([]uuid.UUID, error) {
	agents, serials := make([]uuid.UUID, len(holders)), make([]string, len(holders))
	for i, h := range holders {
		agents[i], serials[i] = h.Agent, h.Serial
	}
	fallen, err := s.store.Fallen(ctx, agents, serials)
	return fallen, translate(err)
}

// Knock implements ingest.Store.
func (s Store) Knock(ctx context.Context, a ingest.Agent, h wire.Hello, count uint64, from string) (guard.Lineage, guard.Verdict, error) {
	l, v, err := s.store.Knock(ctx, a.Org, a.ID, h, count, from)
	return l, v, translate(err)
}

// OpenSession implements ingest.Store.
func (s Store) OpenSession(ctx context.Context, a ingest.Agent, h wire.Hello) (wire.Received, error) {
	r, err := s.store.OpenSession(ctx, a.Org, a.ID, h)
	return r, translate(err)
}

// Declare implements ingest.Store.
func (s Store) Declare(ctx context.Context, a ingest.Agent, epoch uint64, ss []wire.Series) error {
	return translate(s.store.Declare(ctx, a.Org, a.ID, epoch, ss))
}

// CommitBatch implements ingest.Store.
func (s Store) CommitBatch(ctx context.Context, a ingest.Agent, epoch uint64, b wire.Batch) (wire.Received, error) {
	r, err := s.store.CommitBatch(ctx, a.Org, a.ID, epoch, b)
	if o, ok := errors.AsType[*store.OverlapError](err); ok {
		r = o.Received
	}
	return r, translate(err)
}

// PutReport implements ingest.Store.
func (s Store) PutReport(ctx context.Context, a ingest.Agent, epoch uint64, r wire.Report) error {
	return translate(s.store.PutReport(ctx, a.Org, a.ID, epoch, r))
}

// SiteConfig implements ingest.Store.
func (s Store) SiteConfig(ctx context.Context, a ingest.Agent) (wire.SiteConfig, error) {
	site, err := s.store.Site(ctx, a.Org, a.Site)
	return siteConfig(site), translate(err)
}

// NewWeather implements ingest.Store.
func (s Store) NewWeather(ctx context.Context, a ingest.Agent, held wire.Held) (wire.Weather, error) {
	from := meter.MillisOf(s.now()).Add(-wire.WeatherSpan)
	observed, forecast, err := s.store.NewWeather(ctx, a.Org, a.Site, from, held.To, held.Issued)
	return wire.Weather{Observed: observed, Forecast: forecast}, translate(err)
}

// AnnouncedModels implements ingest.Store.
func (s Store) AnnouncedModels(ctx context.Context, a ingest.Agent) ([]wire.ModelVersion, error) {
	vs, err := s.store.AnnouncedModels(ctx, a.Org, a.Site)
	return vs, translate(err)
}

// ArtifactChunk implements ingest.Store.
func (s Store) ArtifactChunk(ctx context.Context, a ingest.Agent, model string, offset uint64, n int) ([]byte, error) {
	id, err := uuid.Parse(model)
	if err != nil {
		return nil, fmt.Errorf("model %q: want a UUID: %w", model, ingest.ErrNotFound)
	}
	b, err := s.store.ArtifactChunk(ctx, a.Org, id, offset, n)
	return b, translate(err)
}

// Admit implements ingest.Enrolment.
func (s Store) Admit(ctx context.Context, a ingest.Admission) (string, wire.SiteConfig, error) {
	site, err := s.store.Admit(ctx, store.Admission{
		Org: a.Org, Site: a.Site, Token: a.Token, Agent: a.Agent, Version: a.Version, Certificate: a.Certificate, NotAfter: a.NotAfter,
	}, s.now())
	return site.Name, siteConfig(site), translate(err)
}

// PutCertificate implements ingest.Enrolment.
func (s Store) PutCertificate(ctx context.Context, a ingest.Agent, serial string, notAfter time.Time) error {
	return translate(s.store.PutCertificate(ctx, a.Org, a.ID, serial, notAfter))
}

func siteConfig(s store.Site) wire.SiteConfig {
	return wire.SiteConfig{
		Revision: s.Revision, Zone: s.Zone, Resolution: s.Resolution, Horizon: s.Horizon, Levels: s.Levels,
		Country: s.Country, Vacations: s.Vacations, Facts: s.Facts,
	}
}

// translate says err in the words of package ingest, keeping its text and what it wraps.
func translate(err error) error {
	for from, to := range map[error]error{
		store.ErrNotFound: ingest.ErrNotFound, store.ErrOverlap: ingest.ErrOverlap,
		store.ErrUndeclared: ingest.ErrUndeclared, store.ErrTokenUsed: ingest.ErrTokenUsed, store.ErrCorrupt: ingest.ErrCorrupt,
		store.ErrConflict: ingest.ErrConflict,
	} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w (%w)", to, err)
		}
	}
	return err
}
