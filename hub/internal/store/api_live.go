package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// LiveEvent is something that happened in an organisation. Seq counts from 1, without gaps, in the order of commits.
type LiveEvent struct {
	Seq  int64
	At   time.Time
	Kind string // reading, forecast, alert or job
	Site string // name; empty for what is of no site
	Data json.RawMessage
}

// AppendLiveEvents adds events to an organisation's, in their order. Seq and At are not read.
func (s *Store) AppendLiveEvents(ctx context.Context, org uuid.UUID, events []LiveEvent) error {
	kinds, sites, data := make([]string, len(events)), make([]string, len(events)), make([]string, len(events))
	for i, e := range events {
		kinds[i], sites[i], data[i] = e.Kind, e.Site, string(e.Data)
	}
	if _, err := s.db.Exec(ctx, `with head as (
			insert into live_event_counter as c (org_id, seq) values ($1, cardinality($2::text[]))
			on conflict (org_id) do update set seq = c.seq + excluded.seq returning seq)
		insert into live_event (org_id, seq, kind, site, data)
		select $1, head.seq - cardinality($2::text[]) + e.n, e.kind, e.site, e.data::jsonb
		from head, unnest($2::text[], $3::text[], $4::text[]) with ordinality e (kind, site, data, n)`, org, kinds, sites, data); err != nil {
		return fmt.Errorf("append live events: %w", err)
	}
	return nil
}

// LiveHeads returns the newest seq of each organisation; those in which nothing ever happened are left out.
func (s *Store) LiveHeads(ctx context.Context, orgs []uuid.UUID) (map[uuid.UUID]int64, error) {
	rows, err := s.db.Query(ctx, `select org_id, seq from live_event_counter where org_id = any($1)`, orgs)
	if err != nil {
		return nil, fmt.Errorf("read live heads: %w", err)
	}
	out := map[uuid.UUID]int64{}
	var org uuid.UUID
	var seq int64
	if _, err := pgx.ForEachRow(rows, []any{&org, &seq}, func() error { out[org] = seq; return nil }); err != nil {
		return nil, fmt.Errorf("read live heads: %w", err)
	}
	return out, nil
}

// LiveEvents returns the events after a seq, by seq, at most limit.
func (s *Store) LiveEvents(ctx context.Context, org uuid.UUID, after int64, limit int) ([]LiveEvent, error) {
	rows, err := s.db.Query(ctx, `select seq, at, kind, site, data from live_event where org_id = $1 and seq > $2 order by seq limit $3`, org, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read live events: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LiveEvent])
	if err != nil {
		return nil, fmt.Errorf("read live events: %w", err)
	}
	return out, nil
}

// PruneLiveEvents forgets events from before an instant, and all but the newest of each organisation. It returns how many.
func (s *Store) PruneLiveEvents(ctx context.Context, before time.Time, most int64) (int64, error) {
	tag, err := s.db.Exec(ctx, `delete from live_event e using live_event_counter c where e.org_id = c.org_id and (e.at < $1 or e.seq <= c.seq - $2)`, before, most)
	if err != nil {
		return 0, fmt.Errorf("prune live events: %w", err)
	}
	return tag.RowsAffected(), nil
}
