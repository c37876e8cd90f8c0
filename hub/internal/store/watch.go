package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// keptReports is how many examinations of a resolution are kept: a year of days.
const keptReports = 366

// WatchReport is what an examination of a model and of its points found.
type WatchReport struct {
	Resolution time.Duration
	At         time.Time
	Model      *uuid.UUID      // nil: there was none
	Report     json.RawMessage // written and read by package watch
	Reason     string          // why a training was asked for; empty when none was
	Run        *uuid.UUID      // that training
}

// Finding is something out of the ordinary at a point.
type Finding struct {
	Point    uuid.UUID
	Site     string // read only, as is the name of the point
	Name     string
	Register string
	Kind     string
	Start    time.Time
	End      time.Time
	Wh       float64
	UsualWh  float64
	Score    float64
	Reason   string
	FoundAt  time.Time // read only
}

// PutWatch stores an examination with its findings in one transaction, and forgets what is too old. A finding that is known
// already is replaced.
func (s *Store) PutWatch(ctx context.Context, org uuid.UUID, r WatchReport, found []Finding) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		ask := &pgx.Batch{}
		ask.Queue(`insert into watch_report (org_id, resolution_ms, at, model_id, report, reason, run_id) values ($1, $2, $3, $4, $5, $6, $7)
			on conflict (org_id, resolution_ms, at) do update set model_id = excluded.model_id, report = excluded.report, reason = excluded.reason, run_id = excluded.run_id`,
			org, r.Resolution.Milliseconds(), r.At, r.Model, r.Report, r.Reason, r.Run)
		ask.Queue(`delete from watch_report where org_id = $1 and resolution_ms = $2 and at < (
			select at from watch_report where org_id = $1 and resolution_ms = $2 order by at desc offset $3 limit 1)`,
			org, r.Resolution.Milliseconds(), keptReports-1)
		ask.Queue(`delete from live_day where org_id = $1 and day < $2::date`, org, r.At.Add(-keptLive).UTC())
		for _, f := range found {
			ask.Queue(`insert into finding (org_id, point_id, register, kind, start_at, end_at, wh, usual_wh, score, reason) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
				on conflict (org_id, point_id, register, kind, start_at) do update
				set end_at = excluded.end_at, wh = excluded.wh, usual_wh = excluded.usual_wh, score = excluded.score, reason = excluded.reason`,
				org, f.Point, f.Register, f.Kind, f.Start, f.End, f.Wh, f.UsualWh, f.Score, f.Reason)
		}
		return tx.SendBatch(ctx, ask).Close()
	})
	if err != nil {
		return fmt.Errorf("store examination: %w", err)
	}
	return nil
}

// WatchReports returns the latest examination of each resolution of an organisation, the shortest resolution first.
func (s *Store) WatchReports(ctx context.Context, org uuid.UUID) ([]WatchReport, error) {
	rows, err := s.db.Query(ctx, `select distinct on (resolution_ms) resolution_ms, at, model_id, report, reason, run_id
		from watch_report where org_id = $1 order by resolution_ms, at desc`, org)
	if err != nil {
		return nil, fmt.Errorf("list examinations: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (WatchReport, error) {
		var r WatchReport
		var ms int64
		err := row.Scan(&ms, &r.At, &r.Model, &r.Report, &r.Reason, &r.Run)
		r.Resolution = time.Duration(ms) * time.Millisecond
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list examinations: %w", err)
	}
	return out, nil
}

// Findings returns at most limit findings that begin before an instant, the newest first. A site that is not empty leaves only
// those of its points.
func (s *Store) Findings(ctx context.Context, org uuid.UUID, site string, before time.Time, limit int) ([]Finding, error) {
	rows, err := s.db.Query(ctx, `select f.point_id, s.name, p.name, f.register, f.kind, f.start_at, f.end_at, f.wh, f.usual_wh, f.score, f.reason, f.found_at
		from finding f join point p on p.org_id = f.org_id and p.point_id = f.point_id join site s on s.org_id = p.org_id and s.site_id = p.site_id
		where f.org_id = $1 and ($2 = '' or s.name = $2) and f.start_at < $3
		order by f.start_at desc, f.point_id, f.register, f.kind limit $4`, org, site, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list findings: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Finding, error) {
		var f Finding
		err := row.Scan(&f.Point, &f.Site, &f.Name, &f.Register, &f.Kind, &f.Start, &f.End, &f.Wh, &f.UsualWh, &f.Score, &f.Reason, &f.FoundAt)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("list findings: %w", err)
	}
	return out, nil
}

// PointNames returns the names of an organisation's points as site/point.
func (s *Store) PointNames(ctx context.Context, org uuid.UUID) (map[uuid.UUID]string, error) {
	rows, err := s.db.Query(ctx, `select p.point_id, s.name || '/' || p.name from point p join site s on s.org_id = p.org_id and s.site_id = p.site_id
		where p.org_id = $1`, org)
	if err != nil {
		return nil, fmt.Errorf("list names of points: %w", err)
	}
	out := map[uuid.UUID]string{}
	var id uuid.UUID
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error { out[id] = name; return nil }); err != nil {
		return nil, fmt.Errorf("list names of points: %w", err)
	}
	return out, nil
}

// WatchFigures are the figures of an examination over all points together.
type WatchFigures struct {
	Resolution time.Duration
	Live       json.RawMessage // as package watch wrote them
	Agents     json.RawMessage
	Drifted    int // points whose errors have drifted
}

// WatchFigures returns those of the latest examination of each resolution of an organisation.
func (s *Store) WatchFigures(ctx context.Context, org uuid.UUID) ([]WatchFigures, error) {
	rows, err := s.db.Query(ctx, `
		select r.resolution_ms, coalesce(r.report->'live', '{}'), coalesce(r.report->'agents', '{}'),
			jsonb_array_length(jsonb_path_query_array(r.report, '$.points[*].drift[*] ? (@.of == "errors" && @.drifted == true)'))
		from (select resolution_ms, max(at) as at from watch_report where org_id = $1 group by resolution_ms) l
		join watch_report r on r.org_id = $1 and r.resolution_ms = l.resolution_ms and r.at = l.at order by r.resolution_ms`, org)
	if err != nil {
		return nil, fmt.Errorf("read figures of examinations: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f WatchFigures, err error) {
		var ms int64
		err = row.Scan(&ms, &f.Live, &f.Agents, &f.Drifted)
		f.Resolution = time.Duration(ms) * time.Millisecond
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("read figures of examinations: %w", err)
	}
	return out, nil
}
