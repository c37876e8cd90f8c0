package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// Bounds of a comparison.
const (
	maxUnderived     = 200_000 // readings of a site not derived yet, beyond which an account is not compared
	maxLedgerResends = 50      // open requests that differences make for one agent
)

// Difference is an account that does not balance: of the readings that the agent calls delivered, Readings are not here. It is
// negative when there are more here.
type Difference struct {
	Point    string
	Register meter.Register
	Day      int32 // since 1970-01-01, UTC
	Readings int64
	// Surplus says that the readings that are here beyond what the agent calls delivered are explained, and named by now: it wrote
	// them off while they were on their way, or its books were lost. The account balances from now on.
	Surplus bool
}

// Reconcile keeps what the agent says became of its readings, compares it with what is committed, and asks for those days again
// of which something is missing. It must be called when every batch that the account calls delivered is committed and none is
// under way. It returns what differs, and false when too much is not derived to tell.
func (s *Store) Reconcile(ctx context.Context, org, agent uuid.UUID, epoch uint64, l wire.Ledger) (ds []Difference, compared bool, err error) {
	for try := 0; ; try++ {
		err = pgx.BeginTxFunc(ctx, s.db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) (err error) {
			ds, compared, err = reconcile(ctx, tx, org, agent, epoch, l)
			return err
		})
		// A step that derived meanwhile changed the same rows.
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "40001" || try >= 4 {
			break
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("reconcile: %w", err)
	}
	return ds, compared, nil
}

type placeDay struct {
	point    string
	register meter.Register
	day      int32
}

func reconcile(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, epoch uint64, l wire.Ledger) (ds []Difference, compared bool, err error) {
	var site uuid.UUID
	var derived, waiting int64
	err = tx.QueryRow(ctx, `
		select a.site_id, d.derived, h.readings - d.readings from agent a
		join site_derived d on d.org_id = a.org_id and d.site_id = a.site_id
		join site_arrival h on h.org_id = a.org_id and h.site_id = a.site_id
		where a.org_id = $1 and a.agent_id = $2`, org, agent).Scan(&site, &derived, &waiting)
	if err != nil {
		return nil, false, notFound(err, "agent "+agent.String())
	}
	if waiting > maxUnderived {
		return nil, false, nil
	}
	extra, err := underived(ctx, tx, org, site, agent, epoch, derived)
	if err != nil {
		return nil, false, err
	}
	n := len(l.Entries)
	points, registers, days := make([]string, n), make([]string, n), make([]int32, n)
	counts := make([][]int64, 6)
	for i := range counts {
		counts[i] = make([]int64, n)
	}
	more := make([]int64, n)
	for i, e := range l.Entries {
		points[i], registers[i], days[i] = e.Point, string(e.Register), e.Day
		for j, v := range []uint64{e.Received, e.Delivered, e.Quarantined, e.Evicted, e.Thinned, e.Pending} {
			counts[j][i] = int64(v)
		}
		more[i] = extra[placeDay{e.Point, e.Register, e.Day}]
	}
	_, err = tx.Exec(ctx, `
		insert into ledger (org_id, agent_id, epoch, point, register, day, claimed_at,
			claimed_received, claimed_delivered, claimed_quarantined, claimed_evicted, claimed_thinned, claimed_pending, unbalanced)
		select $1, $2, $3, x.point, x.register, date '1970-01-01' + x.day, now(),
			received, delivered, quarantined, evicted, thinned, pending, delivered - more
		from unnest($4::text[], $5::text[], $6::int[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
			as x(point, register, day, received, delivered, quarantined, evicted, thinned, pending, more)
		order by x.point, x.register, x.day
		on conflict (org_id, agent_id, epoch, point, register, day) do update
		set claimed_at = excluded.claimed_at, claimed_received = excluded.claimed_received, claimed_delivered = excluded.claimed_delivered,
			claimed_quarantined = excluded.claimed_quarantined, claimed_evicted = excluded.claimed_evicted,
			claimed_thinned = excluded.claimed_thinned, claimed_pending = excluded.claimed_pending,
			unbalanced = excluded.unbalanced + ledger.surplus - ledger.received - ledger.settled - ledger.lost`,
		org, agent, int64(epoch), points, registers, days, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5], more)
	if err != nil {
		return nil, false, err
	}
	surplus, err := nameSurplus(ctx, tx, org, agent, epoch, l.Since > 1)
	if err != nil {
		return nil, false, err
	}
	_, err = tx.Exec(ctx, `
		insert into resend (org_id, resend_id, site_id, agent_id, point, register, from_ms, to_ms, next_ms, cause)
		select $1, gen_random_uuid(), $4, $2, l.point, l.register, t.ms, t.ms + 86400000, t.ms, 'ledger'
		from ledger l, lateral (select (l.day - date '1970-01-01')::bigint * 86400000 as ms) t
		where l.org_id = $1 and l.agent_id = $2 and l.epoch = $3 and l.unbalanced > 0 and l.point <> '' and t.ms >= 0 and not exists (
			select from resend r where r.org_id = $1 and r.agent_id = $2 and r.point = l.point and r.register = l.register
				and r.cause = 'ledger' and r.from_ms = t.ms and r.finished_at is null)
		order by l.day desc
		limit greatest(0, $5 - (select count(*) from resend r where r.org_id = $1 and r.agent_id = $2 and r.finished_at is null and r.cause = 'ledger'))`,
		org, agent, int64(epoch), site, maxLedgerResends)
	if err != nil {
		return nil, false, err
	}
	rows, err := tx.Query(ctx, `
		select point, register, day - date '1970-01-01', unbalanced, false from ledger
		where org_id = $1 and agent_id = $2 and epoch = $3 and unbalanced <> 0 order by day, point, register limit 1000`, org, agent, int64(epoch))
	if err != nil {
		return nil, false, err
	}
	ds, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Difference])
	return append(ds, surplus...), err == nil, err
}

// nameSurplus brings into balance, and returns, what can be explained of accounts of which more is here than the agent calls
// delivered. An agent whose books were lost counts less than it sent. One that wrote readings off while they were on their way
// counts them as lost though they arrived. What came before there were books here is in none: of that nothing is told.
func nameSurplus(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, epoch uint64, booksLost bool) ([]Difference, error) {
	_, err := tx.Exec(ctx, `
		update ledger l set settled = settled + unbalanced, unbalanced = 0 from agent_epoch e
		where l.org_id = $1 and l.agent_id = $2 and l.epoch = $3 and l.unbalanced <> 0
			and e.org_id = $1 and e.agent_id = $2 and e.epoch = $3 and l.day < e.books_from`, org, agent, int64(epoch))
	if err != nil {
		return nil, err
	}
	// What the agent calls delivered after all is surplus no more.
	_, err = tx.Exec(ctx, `
		update ledger set surplus = surplus - least(surplus, unbalanced), unbalanced = unbalanced - least(surplus, unbalanced)
		where org_id = $1 and agent_id = $2 and epoch = $3 and unbalanced > 0 and surplus > 0`, org, agent, int64(epoch))
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `
		with more as (
			select point, register, day, unbalanced from ledger
			where org_id = $1 and agent_id = $2 and epoch = $3 and unbalanced < 0
				and ($4 or surplus - unbalanced <= claimed_evicted + claimed_thinned + claimed_quarantined)
			for update
		), named as (
			update ledger l set surplus = l.surplus - l.unbalanced, unbalanced = 0 from more m
			where l.org_id = $1 and l.agent_id = $2 and l.epoch = $3 and l.point = m.point and l.register = m.register and l.day = m.day
		)
		select point, register, day - date '1970-01-01', unbalanced, true from more order by day, point, register limit 1000`,
		org, agent, int64(epoch), booksLost)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Difference])
}

// underived counts what an agent has committed and no step has derived yet.
func underived(ctx context.Context, tx pgx.Tx, org, site, agent uuid.UUID, epoch uint64, derived int64) (map[placeDay]int64, error) {
	rows, err := tx.Query(ctx, `
		select p.name, g.name, x.body from batch b, unnest(b.registers, b.bodies) as x(register_id, body)
		join register g on g.org_id = $1 and g.register_id = x.register_id
		join point p on p.org_id = $1 and p.point_id = g.point_id
		where b.org_id = $1 and b.site_id = $2 and b.arrival > $5 and b.agent_id = $3 and b.epoch = $4 and b.resend_id is null`,
		org, site, agent, int64(epoch), derived)
	if err != nil {
		return nil, err
	}
	out := map[placeDay]int64{}
	var k placeDay
	var body []byte
	var rs []meter.Reading
	_, err = pgx.ForEachRow(rows, []any{&k.point, &k.register, &body}, func() (err error) {
		if rs, err = chunk.Decode(rs[:0], body, 0); err != nil {
			return err
		}
		for _, r := range rs {
			k.day = int32(r.At.Floor(oneDay) / meter.Millis(oneDay.Milliseconds()))
			out[k]++
		}
		return nil
	})
	return out, err
}

// settle closes a difference once the agent has sent the day again, as request id says. If the agent still holds as much as it
// calls delivered, all of that is here now. If not, what is held here beyond what is accounted for is proved as well, and the rest
// is lost: named, so that the books balance.
func settle(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, epoch uint64, id uuid.UUID, point string, register meter.Register, from meter.Millis) error {
	_, err := tx.Exec(ctx, `
		with l as (
			select point, register, day, unbalanced, claimed_delivered from ledger
			where org_id = $1 and agent_id = $2 and epoch = $3 and point = $5 and register = $6
				and day = date '1970-01-01' + ($7::bigint / 86400000)::int and unbalanced > 0 for update
		), here as (
			select count(*) as n from resend r
			join point p on p.org_id = r.org_id and p.site_id = r.site_id and p.name = r.point
			join register g on g.org_id = p.org_id and g.point_id = p.point_id and g.name = r.register,
			fluxora_readings(r.org_id, g.register_id, to_timestamp(r.from_ms / 1000), to_timestamp(r.to_ms / 1000))
			where r.org_id = $1 and r.resend_id = $4
		), proved as (
			select l.*, case when r.held >= l.claimed_delivered then l.unbalanced
				else least(l.unbalanced, greatest(0, here.n - (l.claimed_delivered - l.unbalanced))) end as n
			from l, here, resend r where r.org_id = $1 and r.resend_id = $4
		)
		update ledger set settled = ledger.settled + proved.n, lost = ledger.lost + proved.unbalanced - proved.n, unbalanced = 0
		from proved
		where ledger.org_id = $1 and ledger.agent_id = $2 and ledger.epoch = $3 and ledger.point = proved.point
			and ledger.register = proved.register and ledger.day = proved.day`,
		org, agent, int64(epoch), id, point, string(register), int64(from))
	if err != nil {
		return fmt.Errorf("settle %s/%s: %w", point, register, err)
	}
	return nil
}
