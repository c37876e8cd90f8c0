package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// Resend is a stretch of time that an agent was asked to send again, and how far that is.
type Resend struct {
	ID          uuid.UUID
	Agent       uuid.UUID
	Site, Point string
	Register    meter.Register // empty for every register
	From, To    meter.Millis
	Cause       string       // "operator" or "ledger"
	Next        meter.Millis // everything before it is stored
	Held        int64        // readings that the agent says it holds there
	Readings    int64        // that came
	Restored    int64        // of them, those that were missing or different here; known when Done
	Stored      bool         // all of it is stored
	Done        bool         // and derived
	Requested   time.Time
}

// PutResend asks the agents of a site to send a point's readings within [from, to) again, once they are connected, and returns the
// requests. An empty register means all. It returns ErrNotFound when the site has no such point or no agent.
func (s *Store) PutResend(ctx context.Context, org uuid.UUID, site, point string, register meter.Register, from, to meter.Millis) ([]uuid.UUID, error) {
	what := fmt.Sprintf("agent of point %s/%s", site, point)
	if from < 0 || to <= from || to > maxInstant {
		return nil, fmt.Errorf("resend %s to %s: want instants from 1970 to 2200, ascending", from, to)
	}
	rows, err := s.db.Query(ctx, `
		insert into resend (org_id, resend_id, site_id, agent_id, point, register, from_ms, to_ms, next_ms, cause)
		select a.org_id, gen_random_uuid(), a.site_id, a.agent_id, p.name, $4, $5, $6, $5, 'operator'
		from site s join point p on p.org_id = s.org_id and p.site_id = s.site_id
		join agent a on a.org_id = s.org_id and a.site_id = s.site_id and a.source = 'uplink' and a.revoked_at is null
		where s.org_id = $1 and s.name = $2 and p.name = $3 returning resend_id`, org, site, point, string(register), int64(from), int64(to))
	if err != nil {
		return nil, fmt.Errorf("resend: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err == nil && len(ids) == 0 {
		err = pgx.ErrNoRows
	}
	return ids, notFound(err, what)
}

const resendColumns = `r.resend_id, r.agent_id, s.name, r.point, r.register, r.from_ms, r.to_ms, r.cause, r.next_ms, r.held, r.readings, r.restored,
	r.finished_at is not null, r.finished_at is not null and coalesce(d.derived >= r.arrival, true), r.requested_at
	from resend r join site s on s.org_id = r.org_id and s.site_id = r.site_id
	left join site_derived d on d.org_id = r.org_id and d.site_id = r.site_id`

// Resends returns requests by id, in no order. With none given it returns the newest ones, at most limit.
func (s *Store) Resends(ctx context.Context, org uuid.UUID, ids []uuid.UUID, limit int) ([]Resend, error) {
	rows, err := s.db.Query(ctx, `select `+resendColumns+` where r.org_id = $1 and ($2::uuid[] is null or r.resend_id = any($2))
		order by r.requested_at desc limit $3`, org, ids, limit)
	if err != nil {
		return nil, fmt.Errorf("read resends: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Resend])
	if err != nil {
		return nil, fmt.Errorf("read resends: %w", err)
	}
	return out, nil
}

// NextResend returns what the agent is to be asked for next, from where the hub has it. It returns false when there is nothing.
func (s *Store) NextResend(ctx context.Context, org, agent uuid.UUID) (r wire.Resend, ok bool, err error) {
	var id uuid.UUID
	err = s.db.QueryRow(ctx, `
		update resend set started_at = coalesce(started_at, now())
		where org_id = $1 and resend_id = (
			select resend_id from resend where org_id = $1 and agent_id = $2 and finished_at is null
			order by cause desc, requested_at, resend_id limit 1) -- what a person asked for first
		returning resend_id, point, register, next_ms, to_ms`, org, agent).Scan(&id, &r.Point, &r.Register, &r.From, &r.To)
	if err == pgx.ErrNoRows {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("next resend: %w", err)
	}
	r.ID = id.String()
	return r, true, nil
}

// AwaitedAgents returns the agents, of every organisation, that something is to be asked of.
func (s *Store) AwaitedAgents(ctx context.Context) ([]uuid.UUID, error) {
	rows, err := s.db.Query(ctx, `select distinct agent_id from resend where finished_at is null`)
	if err != nil {
		return nil, fmt.Errorf("awaited agents: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("awaited agents: %w", err)
	}
	return ids, nil
}

// CommitResent stores a part of what was asked for; on return it is durable. The part that is stored already changes nothing. One
// that does not follow the last gives ErrConflict, an unknown request ErrNotFound, an undeclared series ErrUndeclared, and blocks
// that do not decode or lie outside the part ErrCorrupt.
func (s *Store) CommitResent(ctx context.Context, org, agent uuid.UUID, epoch uint64, r wire.Resent) error {
	id, err := uuid.Parse(r.ID)
	if err != nil {
		return fmt.Errorf("resent: id %q: want a UUID: %w", r.ID, ErrNotFound)
	}
	sum := summary{min: math.MaxInt64, max: math.MinInt64}
	if err := sum.add(r.Blocks); err != nil {
		return fmt.Errorf("resent: %w", err)
	}
	if sum.readings > 0 && (sum.min < r.From || sum.max >= r.To) {
		return fmt.Errorf("%w: resent: readings from %s to %s: want them within [%s, %s)", ErrCorrupt, sum.min, sum.max, r.From, r.To)
	}
	news := false
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		var site uuid.UUID
		var point, cause string
		var register meter.Register
		var from, next, to meter.Millis
		var finished bool
		err := tx.QueryRow(ctx, `
			select site_id, point, register, cause, from_ms, next_ms, to_ms, finished_at is not null from resend
			where org_id = $1 and resend_id = $2 and agent_id = $3 for update`, org, id, agent).
			Scan(&site, &point, &register, &cause, &from, &next, &to, &finished)
		if err != nil {
			return notFound(err, "request "+r.ID)
		}
		if finished || r.To <= next {
			return nil
		}
		if r.From != next {
			return fmt.Errorf("part from %s: want one from %s: %w", r.From, next, ErrConflict)
		}
		arrival := int64(0)
		if sum.readings > 0 {
			if arrival, err = putResent(ctx, tx, org, site, agent, epoch, id, r, sum); err != nil {
				return err
			}
			news = true
		}
		end := r.Done || r.To >= to
		_, err = tx.Exec(ctx, `
			update resend set next_ms = $3, held = held + $4, readings = readings + $5, arrival = greatest(arrival, $6),
				finished_at = case when $7 then now() end
			where org_id = $1 and resend_id = $2`, org, id, int64(r.To), int64(r.Held), sum.readings, arrival, end)
		if err != nil || !end || cause != "ledger" {
			return err
		}
		return settle(ctx, tx, org, agent, epoch, id, point, register, from)
	})
	if err != nil {
		return fmt.Errorf("resent: %w", err)
	}
	if news {
		s.wake()
	}
	return nil
}

// putResent stores the readings of a part as a batch without sequences and returns its arrival number.
func putResent(ctx context.Context, tx pgx.Tx, org, site, agent uuid.UUID, epoch uint64, id uuid.UUID, r wire.Resent, sum summary) (arrival int64, err error) {
	ids, bodies := make([]uuid.UUID, len(r.Blocks)), make([][]byte, len(r.Blocks))
	for i, x := range r.Blocks {
		bodies[i] = x.Chunk
		err := tx.QueryRow(ctx, `select register_id from agent_series where org_id = $1 and agent_id = $2 and epoch = $3 and series = $4`,
			org, agent, int64(epoch), int64(x.Series)).Scan(&ids[i])
		if err == pgx.ErrNoRows {
			return 0, fmt.Errorf("series %d: %w", x.Series, ErrUndeclared)
		}
		if err != nil {
			return 0, err
		}
	}
	err = tx.QueryRow(ctx, `
		with next as (
			update site_arrival set arrived = arrived + 1 -- readings were counted when they came first
			where org_id = $1 and site_id = $2 returning arrived)
		insert into batch (org_id, agent_id, epoch, first, count, site_id, arrival, readings, t_min, t_max, registers, bodies, resend_id)
		select $1, $3, $4, -arrived, 0, $2, arrived, $6, $7, $8, $9, $10, $5 from next returning arrival`,
		org, site, agent, int64(epoch), id, sum.readings, int64(sum.min), int64(sum.max), ids, bodies).Scan(&arrival)
	return arrival, notFound(err, "site "+site.String())
}
