package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/meter"
)

// EnergyRow is the energy of an interval, or of the intervals of an hour, a day or a month.
type EnergyRow struct {
	Start     time.Time
	Energy    meter.WattHours
	Quality   meter.Quality // the worst of what was summed, missing aside
	Intervals int           // summed, missing ones included; 1 for a single interval
	Missing   int           // of them
	Recovered int           // of them
}

// The units that energy is kept in, beside single intervals.
const (
	Hour  = "hour"
	Day   = "day"
	Month = "month"
)

// EnergyRows returns at most limit rows of a point and register that start within [from, to), by time. An empty unit means
// single intervals.
func (s *Store) EnergyRows(ctx context.Context, org, point uuid.UUID, register, unit string, from, to time.Time, limit int) ([]EnergyRow, error) {
	sql := `select start, wh, quality, intervals, missing, recovered from rollup
		where org_id = $1 and point_id = $2 and register = $3 and start >= $4 and start < $5 and unit = $7 order by start limit $6`
	args := []any{org, point, register, from, to, limit, unit}
	if unit == "" {
		sql = `select start, wh, quality, 1, (quality = 4)::int, recovered::int from interval
			where org_id = $1 and point_id = $2 and register = $3 and start >= $4 and start < $5 order by start limit $6`
		args = args[:6]
	}
	rows, err := s.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read energy of point %s: %w", point, err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (EnergyRow, error) {
		var e EnergyRow
		var q int16
		err := row.Scan(&e.Start, &e.Energy, &q, &e.Intervals, &e.Missing, &e.Recovered)
		e.Quality = meter.Quality(q)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read energy of point %s: %w", point, err)
	}
	return out, nil
}

// PointZone returns the zone of a point's site and the resolution of its intervals, or ErrNotFound.
func (s *Store) PointZone(ctx context.Context, org, point uuid.UUID) (zone string, resolution time.Duration, err error) {
	var ms int64
	err = s.db.QueryRow(ctx, `select s.zone, s.resolution_ms from point p join site s on s.org_id = p.org_id and s.site_id = p.site_id
		where p.org_id = $1 and p.point_id = $2`, org, point).Scan(&zone, &ms)
	return zone, time.Duration(ms) * time.Millisecond, notFound(err, "point "+point.String())
}
