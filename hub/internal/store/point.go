package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// Point is a measured place of a site.
type Point struct {
	ID         uuid.UUID
	Name       string
	Site       uuid.UUID
	SiteName   string
	Zone       string           // of the site
	Resolution time.Duration    // of the site
	Registers  []meter.Register // that it has readings of, over all its meters
}

// Points returns every point of the organisation, by site and name.
func (s *Store) Points(ctx context.Context, org uuid.UUID) ([]Point, error) {
	rows, err := s.db.Query(ctx, `
		select p.point_id, p.name, s.site_id, s.name, s.zone, s.resolution_ms,
			array(select distinct g.name from register g where g.org_id = p.org_id and g.point_id = p.point_id order by 1)
		from point p join site s on s.org_id = p.org_id and s.site_id = p.site_id
		where p.org_id = $1 order by s.name, p.name`, org)
	if err != nil {
		return nil, fmt.Errorf("points: %w", err)
	}
	points, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Point, error) {
		var p Point
		var ms int64
		err := row.Scan(&p.ID, &p.Name, &p.Site, &p.SiteName, &p.Zone, &ms, &p.Registers)
		p.Resolution = time.Duration(ms) * time.Millisecond
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("points: %w", err)
	}
	return points, nil
}

// Intervals returns the intervals of a register of a point that start within [from, to), in time order.
func (s *Store) Intervals(ctx context.Context, org, point uuid.UUID, register meter.Register, from, to meter.Millis) ([]interval.Interval, error) {
	rows, err := s.db.Query(ctx, `
		select start, wh, quality, recovered from interval
		where org_id = $1 and point_id = $2 and register = $3 and start >= $4 and start < $5 order by start`,
		org, point, string(register), from.Time(), to.Time())
	if err != nil {
		return nil, fmt.Errorf("intervals: %w", err)
	}
	var out []interval.Interval
	var start time.Time
	var v interval.Interval
	_, err = pgx.ForEachRow(rows, []any{&start, &v.Energy, &v.Quality, &v.Recovered}, func() error {
		v.Start = meter.MillisOf(start)
		out = append(out, v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("intervals: %w", err)
	}
	return out, nil
}
