package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/meter"
)

// TrainingTarget is what one model would be trained on: every point of an organisation at one resolution.
type TrainingTarget struct {
	Org           uuid.UUID
	Resolution    time.Duration
	Points        int   // with any history
	Ready         int   // of them, with enough of it
	Intervals     int64 // of history, over all points
	HasActive     bool
	Unfinished    bool // a training is queued or running
	LastFinished  *time.Time
	LastIntervals int64 // the most there were at a training that ended
}

// TrainingTargets returns the targets of every organisation, with how many points have at least enough history. It looks at
// the ends of the histories only, so it may be called often.
func (s *Store) TrainingTargets(ctx context.Context, enough time.Duration) ([]TrainingTarget, error) {
	rows, err := s.db.Query(ctx, `select f.org_id, f.resolution_ms, f.points, f.ready, f.intervals,
			exists (select from model m where m.org_id = f.org_id and m.resolution_ms = f.resolution_ms and m.state = 'active'),
			exists (select from training_run r where r.org_id = f.org_id and r.resolution_ms = f.resolution_ms and r.state in ('queued', 'running')),
			(select max(r.finished_at) from training_run r where r.org_id = f.org_id and r.resolution_ms = f.resolution_ms),
			coalesce((select max(r.intervals) from training_run r where r.org_id = f.org_id and r.resolution_ms = f.resolution_ms and r.state = 'done'), 0)
		from (select org_id, resolution_ms, count(*)::int as points, (count(*) filter (where last_at - first_at >= $1))::int as ready,
				sum((last_at - first_at) / resolution_ms)::bigint as intervals
			from fold where register like 'energy-%' group by org_id, resolution_ms) f`, enough.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("list training targets: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (TrainingTarget, error) {
		var t TrainingTarget
		var ms int64
		err := row.Scan(&t.Org, &ms, &t.Points, &t.Ready, &t.Intervals, &t.HasActive, &t.Unfinished, &t.LastFinished, &t.LastIntervals)
		t.Resolution = time.Duration(ms) * time.Millisecond
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("list training targets: %w", err)
	}
	return out, nil
}

// TrainingPoint is one energy register of a point that may be learnt from.
type TrainingPoint struct {
	Point    uuid.UUID
	Register string
	Zone     string
	From, To meter.Millis // of the history held
	Site     uuid.UUID    // nil when the point is gone
}

// TrainingPoints returns what an organisation has to learn from at a resolution, by point and register.
func (s *Store) TrainingPoints(ctx context.Context, org uuid.UUID, resolution time.Duration) ([]TrainingPoint, error) {
	rows, err := s.db.Query(ctx, `select point_id, register, zone, first_at, last_at, 
			coalesce((select site_id from point p where p.org_id = fold.org_id and p.point_id = fold.point_id), '00000000-0000-0000-0000-000000000000')
		from fold where org_id = $1 and resolution_ms = $2 and register like 'energy-%' order by point_id, register`, org, resolution.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("list training points: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[TrainingPoint])
	if err != nil {
		return nil, fmt.Errorf("list training points: %w", err)
	}
	return out, nil
}
