package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// Site is a place with one agent, a time zone and one or more meters.
type Site struct {
	ID         uuid.UUID
	Name       string
	Zone       string // IANA name; UTC when empty
	Country    string // ISO 3166-1 alpha-2, or with a part of it as DE-BY; may be empty
	Resolution time.Duration
	Horizon    int // intervals
	Levels     []float64
	Revision   uint64
	Vacations  []holiday.Range    // nil: not known
	Facts      map[string]float64 // as area_m2
	Place      *Place             // nil: not known, and then no weather is fetched
}

// Around returns what surrounds the points of the site.
func (s Site) Around() *feature.Site {
	return &feature.Site{Country: s.Country, Vacations: s.Vacations, Facts: s.Facts}
}

// Check returns an error that names what is wrong with s.
func (s Site) Check() error {
	if err := meter.CheckName("site", s.Name); err != nil {
		return err
	}
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "Local" {
		return fmt.Errorf("site %s: zone %q: want an IANA name as Europe/Oslo", s.Name, s.Zone)
	}
	if err := (interval.Options{Resolution: s.Resolution}).Check(); err != nil {
		return fmt.Errorf("site %s: %w", s.Name, err)
	}
	if s.Horizon < 1 || s.Horizon > 10_000 {
		return fmt.Errorf("site %s: horizon %d: want 1 to 10,000 intervals", s.Name, s.Horizon)
	}
	if err := forecast.CheckLevels(s.Levels); err != nil {
		return fmt.Errorf("site %s: %w", s.Name, err)
	}
	if err := s.Around().Check(); err != nil {
		return fmt.Errorf("site %s: %w", s.Name, err)
	}
	if s.Place != nil {
		if err := s.Place.Check(); err != nil {
			return fmt.Errorf("site %s: %w", s.Name, err)
		}
	}
	return nil
}

// EnsureOrganisation returns the id of the organisation of that name, making it first when there is none.
func (s *Store) EnsureOrganisation(ctx context.Context, name string) (uuid.UUID, error) {
	if err := meter.CheckName("organisation", name); err != nil {
		return uuid.Nil, err
	}
	var id uuid.UUID
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into organisation (org_id, name) values ($1, $2) on conflict do nothing`, newID(), name); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `select org_id from organisation where name = $1`, name).Scan(&id)
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("ensure organisation %s: %w", name, err)
	}
	return id, nil
}

// EnsureSite returns the site of org named site.Name, making it first when there is none. Zero fields get the defaults
// UTC, 1 h, 48 intervals and forecast.DefaultLevels; a site that exists stays as it is.
func (s *Store) EnsureSite(ctx context.Context, org uuid.UUID, site Site) (Site, error) {
	if site.Zone == "" {
		site.Zone = "UTC"
	}
	if site.Resolution == 0 {
		site.Resolution = time.Hour
	}
	if site.Horizon == 0 {
		site.Horizon = 48
	}
	if site.Levels == nil {
		site.Levels = forecast.DefaultLevels()
	}
	if err := site.Check(); err != nil {
		return Site{}, err
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			insert into site (org_id, site_id, name, zone, country, resolution_ms, horizon, levels, vacations, facts)
			values ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8, $9, $10) on conflict do nothing`,
			org, newID(), site.Name, site.Zone, site.Country, site.Resolution.Milliseconds(), site.Horizon, site.Levels, texts(site.Vacations), site.Facts)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `select site_id from site where org_id = $1 and name = $2`, org, site.Name).Scan(&site.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into site_arrival (org_id, site_id) values ($1, $2) on conflict do nothing`, org, site.ID); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into site_derived (org_id, site_id, zone, resolution_ms)
			select org_id, site_id, zone, resolution_ms from site where org_id = $1 and site_id = $2 on conflict do nothing`, org, site.ID)
		return err
	})
	if err != nil {
		return Site{}, fmt.Errorf("ensure site %s: %w", site.Name, err)
	}
	return s.Site(ctx, org, site.ID)
}

// Site returns the site with the given id.
func (s *Store) Site(ctx context.Context, org, site uuid.UUID) (Site, error) {
	return s.site(ctx, `site_id = $2`, org, site)
}

// SiteByName returns the site of org with the given name.
func (s *Store) SiteByName(ctx context.Context, org uuid.UUID, name string) (Site, error) {
	return s.site(ctx, `name = $2`, org, name)
}

// SiteConfig returns what agents of the site are told. It is Site under the name that the uplink uses.
func (s *Store) SiteConfig(ctx context.Context, org, site uuid.UUID) (Site, error) {
	return s.Site(ctx, org, site)
}

// site selects one site; where is a constant of this file.
func (s *Store) site(ctx context.Context, where string, args ...any) (Site, error) {
	var v Site
	var ms int64
	var vacations []string
	var latitude, longitude *float64
	err := s.db.QueryRow(ctx, `
		select site_id, name, zone, coalesce(country, ''), resolution_ms, horizon, levels, revision, vacations, facts, latitude, longitude
		from site where org_id = $1 and `+where, args...).
		Scan(&v.ID, &v.Name, &v.Zone, &v.Country, &ms, &v.Horizon, &v.Levels, &v.Revision, &vacations, &v.Facts, &latitude, &longitude)
	if latitude != nil && longitude != nil {
		v.Place = &Place{*latitude, *longitude}
	}
	if err == nil {
		v.Vacations, err = ranges(vacations)
	}
	v.Resolution = time.Duration(ms) * time.Millisecond
	return v, notFound(err, "site")
}

// texts returns dates as the database holds them, nil for nil.
func texts(rs []holiday.Range) []string {
	if rs == nil {
		return nil
	}
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = r.String()
	}
	return out
}

// ranges reads what texts returned.
func ranges(texts []string) ([]holiday.Range, error) {
	if texts == nil {
		return nil, nil
	}
	out := make([]holiday.Range, len(texts))
	for i, text := range texts {
		if err := out[i].UnmarshalText([]byte(text)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// UpdateSite changes everything of the site but its name and raises its revision. Intervals and rollups follow when the site is
// derived next, which this asks for.
func (s *Store) UpdateSite(ctx context.Context, org uuid.UUID, site Site) error {
	if err := site.Check(); err != nil {
		return err
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var before Place
		err := tx.QueryRow(ctx, `select coalesce(latitude, 'NaN'), coalesce(longitude, 'NaN') from site where org_id = $1 and site_id = $2 for update`, org, site.ID).
			Scan(&before.Latitude, &before.Longitude)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		} else if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			update site set zone = $3, country = nullif($4, ''), resolution_ms = $5, horizon = $6, levels = $7, vacations = $8, facts = $9, revision = revision + 1,
				latitude = $10, longitude = $11
			where org_id = $1 and site_id = $2`,
			org, site.ID, site.Zone, site.Country, site.Resolution.Milliseconds(), site.Horizon, site.Levels, texts(site.Vacations), site.Facts,
			site.Place.latitude(), site.Place.longitude()); err != nil {
			return err
		}
		if moved := site.Place == nil && before.Latitude == before.Latitude || site.Place != nil && *site.Place != before; moved {
			return placed(ctx, tx, org, site.ID)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("update site %s: %w", site.Name, err)
	}
	s.wake()
	return nil
}

// newID returns a UUID of version 7: ids that grow with time keep indexes compact.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
