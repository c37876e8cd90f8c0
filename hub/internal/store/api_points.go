package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// PointRow is a point with the newest of what is known of it.
type PointRow struct {
	ID         uuid.UUID
	Name       string
	Site       string
	Zone       string
	Resolution time.Duration
	Registers  []RegisterRow
	Intervals  []LastInterval // the newest one of each energy register
}

// RegisterRow is a register of one of the point's meters, with its newest reading.
type RegisterRow struct {
	Name  string
	Kind  string
	Meter string         // serial number, empty when unknown
	Last  *meter.Reading // nil before the first
}

// LastInterval is the newest interval of an energy register.
type LastInterval struct {
	Register string
	interval.Interval
}

// PointRows returns at most limit points of an organisation, by site and name, that come after the given site and name. A
// site that is not empty leaves only its points.
func (s *Store) PointRows(ctx context.Context, org uuid.UUID, site, afterSite, afterName string, limit int) ([]PointRow, error) {
	out, err := s.pointRows(ctx, org, `($2 = '' or s.name = $2) and (s.name, p.name) > ($3, $4) order by s.name, p.name limit $5`, site, afterSite, afterName, limit)
	if err != nil {
		return nil, fmt.Errorf("list points: %w", err)
	}
	return out, nil
}

// PointRow returns one point, or ErrNotFound.
func (s *Store) PointRow(ctx context.Context, org, point uuid.UUID) (PointRow, error) {
	out, err := s.pointRows(ctx, org, `p.point_id = $2`, point)
	if err == nil && len(out) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return PointRow{}, fmt.Errorf("read point %s: %w", point, err)
	}
	return out[0], nil
}

// pointRows selects points; where is a constant of this file.
func (s *Store) pointRows(ctx context.Context, org uuid.UUID, where string, args ...any) ([]PointRow, error) {
	rows, err := s.db.Query(ctx, `select p.point_id, p.name, s.name, s.zone, s.resolution_ms
		from point p join site s on s.org_id = p.org_id and s.site_id = p.site_id
		where p.org_id = $1 and `+where, append([]any{org}, args...)...)
	if err != nil {
		return nil, err
	}
	points, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (PointRow, error) {
		var p PointRow
		var ms int64
		err := row.Scan(&p.ID, &p.Name, &p.Site, &p.Zone, &ms)
		p.Resolution = time.Duration(ms) * time.Millisecond
		return p, err
	})
	if err != nil || len(points) == 0 {
		return nil, err
	}
	ids := make([]uuid.UUID, len(points))
	at := make(map[uuid.UUID]*PointRow, len(points))
	for i := range points {
		ids[i] = points[i].ID
		at[ids[i]] = &points[i]
	}
	if err := s.addRegisters(ctx, org, ids, at); err != nil {
		return nil, err
	}
	return points, s.addLastIntervals(ctx, org, ids, at)
}

// addRegisters adds registers and their newest readings, which are in the last chunk of level 1 or in a batch of level 0.
func (s *Store) addRegisters(ctx context.Context, org uuid.UUID, ids []uuid.UUID, at map[uuid.UUID]*PointRow) error {
	rows, err := s.db.Query(ctx, `select g.point_id, g.name, g.kind, m.serial, c.body, b.body
		from register g
		join meter m on m.org_id = g.org_id and m.meter_id = g.meter_id
		join point p on p.org_id = g.org_id and p.point_id = g.point_id
		left join lateral (select body from chunk c where c.org_id = g.org_id and c.register_id = g.register_id
			order by c.t_min desc limit 1) c on true
		left join lateral (select b.bodies[array_position(b.registers, g.register_id)] as body from batch b
			where b.org_id = g.org_id and b.site_id = p.site_id and g.register_id = any(b.registers)
			order by b.t_max desc, b.arrival desc limit 1) b on true
		where g.org_id = $1 and g.point_id = any($2)
		order by g.point_id, g.name, g.kind, m.created_at`, org, ids)
	if err != nil {
		return err
	}
	var (
		point         uuid.UUID
		r             RegisterRow
		merged, fresh []byte
		readings      []meter.Reading
	)
	_, err = pgx.ForEachRow(rows, []any{&point, &r.Name, &r.Kind, &r.Meter, &merged, &fresh}, func() error {
		r.Last = nil
		for _, body := range [][]byte{merged, fresh} {
			if body == nil {
				continue
			}
			if readings, err = chunk.Decode(readings[:0], body, 0); err != nil {
				return fmt.Errorf("newest reading of %s: %w", r.Name, err)
			}
			for _, x := range readings {
				if r.Last == nil || x.At >= r.Last.At {
					r.Last = &x
				}
			}
		}
		at[point].Registers = append(at[point].Registers, r)
		return nil
	})
	return err
}

func (s *Store) addLastIntervals(ctx context.Context, org uuid.UUID, ids []uuid.UUID, at map[uuid.UUID]*PointRow) error {
	rows, err := s.db.Query(ctx, `select f.point_id, f.register, i.start, i.wh, i.quality, i.recovered
		from fold f
		cross join lateral (select start, wh, quality, recovered from interval i
			where i.org_id = f.org_id and i.point_id = f.point_id and i.register = f.register order by i.start desc limit 1) i
		where f.org_id = $1 and f.point_id = any($2)
		order by f.point_id, f.register`, org, ids)
	if err != nil {
		return err
	}
	var (
		point uuid.UUID
		l     LastInterval
		start time.Time
		q     int16
	)
	_, err = pgx.ForEachRow(rows, []any{&point, &l.Register, &start, &l.Energy, &q, &l.Recovered}, func() error {
		l.Start, l.Quality = meter.MillisOf(start), meter.Quality(q)
		at[point].Intervals = append(at[point].Intervals, l)
		return nil
	})
	return err
}
