package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// SiteRow is a site with how much hangs on it.
type SiteRow struct {
	ID         uuid.UUID
	Name       string
	Zone       string
	Country    string // ISO 3166-1 alpha-2, empty when unknown
	Resolution time.Duration
	Horizon    int
	Levels     []float64
	Points     int
	Agents     int
}

// SiteRows returns at most limit sites of an organisation whose names come after the given one, by name.
func (s *Store) SiteRows(ctx context.Context, org uuid.UUID, after string, limit int) ([]SiteRow, error) {
	rows, err := s.db.Query(ctx, `select s.site_id, s.name, s.zone, coalesce(s.country, ''), s.resolution_ms, s.horizon, s.levels,
			(select count(*) from point p where p.org_id = s.org_id and p.site_id = s.site_id)::int,
			(select count(*) from agent a where a.org_id = s.org_id and a.site_id = s.site_id and a.revoked_at is null and a.source = 'uplink')::int
		from site s where s.org_id = $1 and s.name > $2 order by s.name limit $3`, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list sites: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SiteRow, error) {
		var r SiteRow
		var ms int64
		err := row.Scan(&r.ID, &r.Name, &r.Zone, &r.Country, &ms, &r.Horizon, &r.Levels, &r.Points, &r.Agents)
		r.Resolution = time.Duration(ms) * time.Millisecond
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list sites: %w", err)
	}
	return out, nil
}

// AgentRow is an agent as the fleet view shows it.
type AgentRow struct {
	ID         uuid.UUID
	Site       string
	Version    string
	EnrolledAt time.Time
	SeenAt     *time.Time
	RevokedAt  *time.Time
	Pending    int64  // readings it said it still holds unacked
	ClockMs    *int64 // agent clock minus hub clock at the last hello
	Received   int64  // readings committed, over all its epochs
	Model      *uuid.UUID
	ModelState string
	LastMs     *int64 // newest reading of its site, ms since 1970

	Doubled     int64      // how often another with its identity was refused as a copy, since it was readmitted last
	DoubledAt   *time.Time // when last
	DoubledFrom string     // and its address
	Readmit     bool       // the next copy is let in
}

// AgentRows returns at most limit agents of an organisation whose ids come after the given one. The senders that stand for
// imports are none.
func (s *Store) AgentRows(ctx context.Context, org, after uuid.UUID, limit int) ([]AgentRow, error) {
	rows, err := s.db.Query(ctx, `select a.agent_id, coalesce(s.name, ''), a.version, a.enrolled_at, a.seen_at, a.revoked_at, a.pending, a.clock_ms,
			coalesce((select sum(upper(r) - lower(r)) from agent_epoch e, unnest(e.received) r
				where e.org_id = a.org_id and e.agent_id = a.agent_id), 0)::bigint,
			m.model_id, coalesce(m.state, ''),
			(select max(f.last_at) from fold f join point p on p.org_id = f.org_id and p.point_id = f.point_id
				where p.org_id = a.org_id and p.site_id = a.site_id),
			a.doubled, a.doubled_at, a.doubled_from, a.readmit
		from agent a
		left join site s on s.org_id = a.org_id and s.site_id = a.site_id
		left join lateral (select model_id, state from agent_model am
			where am.org_id = a.org_id and am.agent_id = a.agent_id
			order by (state = 'active') desc, changed_at desc limit 1) m on true
		where a.org_id = $1 and a.agent_id > $2 and a.source = 'uplink' order by a.agent_id limit $3`, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AgentRow])
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	return out, nil
}
