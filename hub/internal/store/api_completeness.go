package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"fluxora.dev/proto/wire"
)

// AgentGaps is which sequences of an agent's epoch the hub lacks.
type AgentGaps struct {
	Agent   uuid.UUID
	Epoch   uint64
	Next    uint64 // the agent gave out everything below it, as far as the hub knows
	Refused uint64 // of what the hub has, how many the agent could not read back or had evicted
	Missing []wire.Range
}

// PointGaps is which intervals of a point's register are missing within a stretch of time.
type PointGaps struct {
	Point, Register string
	Intervals       int64 // known
	Missing         []TimeRange
}

// TimeRange is a half-open stretch of time.
type TimeRange struct{ From, To time.Time }

// Gaps returns which sequences the hub lacks of the agents of a site, newest epoch first.
func (s *Store) Gaps(ctx context.Context, org uuid.UUID, site string) ([]AgentGaps, error) {
	rows, err := s.db.Query(ctx, `
		select e.agent_id, e.epoch, e.next, e.refused, coalesce(upper(e.received), 1),
			int8multirange(int8range(1, greatest(e.next, coalesce(upper(e.received), 1), 1))) - e.received
		from agent_epoch e join agent a on a.org_id = e.org_id and a.agent_id = e.agent_id
		join site s on s.org_id = a.org_id and s.site_id = a.site_id
		where e.org_id = $1 and s.name = $2 and a.source = 'uplink' order by e.created_at desc, e.agent_id limit 1000`, org, site)
	if err != nil {
		return nil, fmt.Errorf("sequences of site %s: %w", site, err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (AgentGaps, error) {
		var g AgentGaps
		var epoch, next, refused, end int64
		var missing pgtype.Multirange[pgtype.Range[int64]]
		err := row.Scan(&g.Agent, &epoch, &next, &refused, &end, &missing)
		g.Epoch, g.Next, g.Refused = uint64(epoch), uint64(max(next, end)), uint64(refused)
		for _, m := range missing {
			g.Missing = append(g.Missing, wire.Range{First: uint64(m.Lower), End: uint64(m.Upper)})
		}
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("sequences of site %s: %w", site, err)
	}
	return out, nil
}

// MissingIntervals returns, for every register of a site's points that has intervals at all, the stretches within [from, to) of which
// nothing is known; at most limit stretches.
func (s *Store) MissingIntervals(ctx context.Context, org uuid.UUID, site string, from, to time.Time, limit int) ([]PointGaps, error) {
	// A stretch ends where an interval begins that is known; the row of infinity ends the last one.
	rows, err := s.db.Query(ctx, `
		with f as (
			select p.point_id, p.name, f.register, s.resolution_ms * interval '1 millisecond' as step
			from site s join point p on p.org_id = s.org_id and p.site_id = s.site_id
			join fold f on f.org_id = p.org_id and f.point_id = p.point_id
			where s.org_id = $1 and s.name = $2
		), known as (
			select f.name, f.register, i.start, i.start + f.step as behind from f
			join interval i on i.org_id = $1 and i.point_id = f.point_id and i.register = f.register
			where i.start >= $3 and i.start < $4 and i.quality <> 4
			union all select f.name, f.register, $4, $4 from f
		), stretch as (
			select name, register, coalesce(lag(behind) over (partition by name, register order by start), $3) as low, start as high,
				count(*) over (partition by name, register) - 1 as n
			from known
		)
		select name, register, n, array_agg(low order by low) filter (where low < high), array_agg(high order by low) filter (where low < high)
		from (select *, row_number() over (order by name, register, low) as k from stretch where low < high or high = $4) x
		where k <= $5 group by name, register, n order by name, register`, org, site, from, to, limit)
	if err != nil {
		return nil, fmt.Errorf("missing intervals of site %s: %w", site, err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (PointGaps, error) {
		var g PointGaps
		var lows, highs []time.Time
		err := row.Scan(&g.Point, &g.Register, &g.Intervals, &lows, &highs)
		for i := range lows {
			g.Missing = append(g.Missing, TimeRange{lows[i].UTC(), highs[i].UTC()})
		}
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("missing intervals of site %s: %w", site, err)
	}
	return out, nil
}
