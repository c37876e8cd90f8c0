package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

// keptLive is how long the days that agents told of are kept.
const keptLive = 400 * oneDay

// LiveDay is how a model and the baseline did on a register of a point in one day, as the agent measured it.
type LiveDay struct {
	Point    uuid.UUID
	Register meter.Register
	watch.Day
}

// putLiveDays stores what an agent says of days. A day of the same model and register of a point replaces an earlier one.
func putLiveDays(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, ds []wire.LiveDay) error {
	points := map[string]uuid.UUID{}
	for _, d := range ds {
		model, err := uuid.Parse(d.Model)
		if err != nil {
			return fmt.Errorf("%w: live error of point %s: model %q: want a UUID", ErrCorrupt, d.Point, d.Model)
		}
		point, known := points[d.Point]
		if !known {
			if point, err = sitePoint(ctx, tx, org, agent, d.Point); err != nil {
				return err
			}
			points[d.Point] = point
		}
		m, b := d.Day.Model, d.Baseline
		_, err = tx.Exec(ctx, `
			insert into live_day (org_id, model_id, point_id, register, day, count, actual, abs_err, squ_err, err, pinball, covered, breadth,
				base_abs_err, base_squ_err, base_err, base_pinball, base_covered, base_breadth)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
			on conflict (org_id, model_id, point_id, register, day) do update
			set count = excluded.count, actual = excluded.actual, abs_err = excluded.abs_err, squ_err = excluded.squ_err, err = excluded.err,
			    pinball = excluded.pinball, covered = excluded.covered, breadth = excluded.breadth, base_abs_err = excluded.base_abs_err,
			    base_squ_err = excluded.base_squ_err, base_err = excluded.base_err, base_pinball = excluded.base_pinball,
			    base_covered = excluded.base_covered, base_breadth = excluded.base_breadth, told_at = now()`,
			org, model, point, string(d.Register), d.Start.Time(), m.Count, m.Actual, m.AbsErr, m.SquErr, m.Err, m.Pinball, m.Covered, m.Breadth,
			b.AbsErr, b.SquErr, b.Err, b.Pinball, b.Covered, b.Breadth)
		if err != nil {
			return fmt.Errorf("live error of point %s: %w", d.Point, err)
		}
	}
	return nil
}

// LiveDays returns what agents told of a model's days within [from, to), by point, register and day.
func (s *Store) LiveDays(ctx context.Context, org, model uuid.UUID, from, to time.Time) ([]LiveDay, error) {
	rows, err := s.db.Query(ctx, `
		select point_id, register, day, count, actual, abs_err, squ_err, err, pinball, covered, breadth,
			base_abs_err, base_squ_err, base_err, base_pinball, base_covered, base_breadth
		from live_day where org_id = $1 and model_id = $2 and day >= $3::date and day < $4::date order by point_id, register, day`,
		org, model, from.UTC(), to.UTC())
	if err != nil {
		return nil, fmt.Errorf("read live errors: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d LiveDay, err error) {
		var day time.Time
		m, b := &d.Model, &d.Baseline
		err = row.Scan(&d.Point, &d.Register, &day, &m.Count, &m.Actual, &m.AbsErr, &m.SquErr, &m.Err, &m.Pinball, &m.Covered, &m.Breadth,
			&b.AbsErr, &b.SquErr, &b.Err, &b.Pinball, &b.Covered, &b.Breadth)
		d.Start, b.Count, b.Actual = meter.MillisOf(day), m.Count, m.Actual
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("read live errors: %w", err)
	}
	return out, nil
}
