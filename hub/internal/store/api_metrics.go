package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Fleet is the state of everything in the database, over all organisations, for the operator's metrics.
type Fleet struct {
	Readings, Duplicates, Corrections int64
	Underived                         int64         // batches whose intervals are not computed yet
	DeriveLag                         time.Duration // age of the oldest of them
	DeriveFailing                     int64         // sites
	Agents, Revoked, Silent           int64
	Doubled                           int64            // agents that another showed the identity of within a day
	Backlog                           int64            // readings that agents said they hold unacked
	Quarantined                       map[string]int64 // by reason
	Models                            map[string]int64 // by state
	Active                            []ActiveScores
	Unbalanced                        int64 // readings by which ledgers of agents and hub differ
	Surplus                           int64 // readings here that agents do not call delivered
	Unscored                          int64 // days of points whose errors of forecasts are to be made anew
	Weatherless                       int64 // sites with a place whose weather could not be fetched at the last attempt
	Resends                           int64 // requests that agents have not answered in full
}

// ActiveScores is the backtest of an active model.
type ActiveScores struct {
	Org        uuid.UUID
	Resolution time.Duration
	Scores     json.RawMessage
}

// Fleet reads the state of everything.
func (s *Store) Fleet(ctx context.Context) (Fleet, error) {
	f := Fleet{Quarantined: map[string]int64{}, Models: map[string]int64{}}
	var lag float64
	ask := &pgx.Batch{}
	ask.Queue(`select coalesce(sum(readings), 0)::bigint from site_arrival`).QueryRow(func(r pgx.Row) error { return r.Scan(&f.Readings) })
	ask.Queue(`select coalesce(sum(duplicates), 0)::bigint, coalesce(sum(corrections), 0)::bigint, count(*) filter (where failures > 0) from site_derived`).
		QueryRow(func(r pgx.Row) error { return r.Scan(&f.Duplicates, &f.Corrections, &f.DeriveFailing) })
	ask.Queue(`select count(*), coalesce(extract(epoch from clock_timestamp() - min(b.received_at)), 0)::float8
		from site_derived d join batch b on b.org_id = d.org_id and b.site_id = d.site_id and b.arrival > d.derived`).
		QueryRow(func(r pgx.Row) error { return r.Scan(&f.Underived, &lag) })
	ask.Queue(`select count(*), count(*) filter (where revoked_at is not null), coalesce(sum(pending) filter (where revoked_at is null), 0)::bigint,
			count(*) filter (where revoked_at is null and coalesce(seen_at, enrolled_at) < now() - interval '1 hour'),
			count(*) filter (where revoked_at is null and doubled_at > now() - interval '1 day') from agent where source = 'uplink'`).
		QueryRow(func(r pgx.Row) error { return r.Scan(&f.Agents, &f.Revoked, &f.Backlog, &f.Silent, &f.Doubled) })
	ask.Queue(`select coalesce(sum(abs(unbalanced)), 0)::bigint, (select count(*) from resend where finished_at is null),
			(select coalesce(sum(surplus), 0)::bigint from ledger where surplus <> 0) from ledger where unbalanced <> 0`).
		QueryRow(func(r pgx.Row) error { return r.Scan(&f.Unbalanced, &f.Resends, &f.Surplus) })
	ask.Queue(`select count(*) from forecast_error_due`).QueryRow(func(r pgx.Row) error { return r.Scan(&f.Unscored) })
	ask.Queue(`select count(*) from weather_site where failures > 0`).QueryRow(func(r pgx.Row) error { return r.Scan(&f.Weatherless) })
	ask.Queue(`select reason, count(*) from quarantine group by reason`).Query(countInto(f.Quarantined))
	ask.Queue(`select state, count(*) from model group by state`).Query(countInto(f.Models))
	ask.Queue(`select org_id, resolution_ms, scores from model where state = 'active'`).Query(func(rows pgx.Rows) error {
		var a ActiveScores
		var ms int64
		_, err := pgx.ForEachRow(rows, []any{&a.Org, &ms, &a.Scores}, func() error {
			a.Resolution = time.Duration(ms) * time.Millisecond
			f.Active = append(f.Active, ActiveScores{a.Org, a.Resolution, append(json.RawMessage(nil), a.Scores...)})
			return nil
		})
		return err
	})
	if err := s.db.SendBatch(ctx, ask).Close(); err != nil {
		return Fleet{}, fmt.Errorf("read the fleet's state: %w", err)
	}
	f.DeriveLag = max(0, time.Duration(lag*float64(time.Second)))
	return f, nil
}

// DeriveLag returns the age of the oldest batch whose intervals are not computed yet.
func (s *Store) DeriveLag(ctx context.Context) (time.Duration, error) {
	var lag float64
	err := s.db.QueryRow(ctx, `select coalesce(extract(epoch from clock_timestamp() - min(b.received_at)), 0)::float8
		from site_derived d join batch b on b.org_id = d.org_id and b.site_id = d.site_id and b.arrival > d.derived`).Scan(&lag)
	if err != nil {
		return 0, fmt.Errorf("read how far derivation is behind: %w", err)
	}
	return max(0, time.Duration(lag*float64(time.Second))), nil
}

func countInto(m map[string]int64) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var key string
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error { m[key] = n; return nil })
		return err
	}
}
