package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const oneDay = 24 * time.Hour

// LedgerCounts is what became of readings, as the hub counts and as agents claim.
type LedgerCounts struct {
	Received    int64 // readings that came under sequences
	Duplicates  int64 // of them, those that were held already
	Corrections int64 // of them, those that replaced another value
	Resent      int64 // readings that came again because the hub asked
	Restored    int64 // of them, those that were missing or different
	Settled     int64 // of a difference, what a resend proved to be held
	Lost        int64 // of a difference, what the agent holds no more either
	Surplus     int64 // of what is here, what the agent does not call delivered: it wrote it off, or its books were lost
	Claimed     Claim // what agents said last
	Unbalanced  int64 // Claimed.Delivered + Surplus - Received - Settled - Lost when last compared; of many accounts, the sum of the amounts
}

// Claim is what an agent says became of its readings: Received = Delivered + Quarantined + Evicted + Thinned + Pending.
type Claim struct {
	Received, Delivered, Quarantined, Evicted, Thinned, Pending int64
}

// LedgerRow is the account of an agent, a register of a point and a day.
type LedgerRow struct {
	Agent           uuid.UUID
	Epoch           uint64
	Site            string
	Point, Register string // empty for quarantined messages
	Day             time.Time
	ClaimedAt       *time.Time // nil when the agent has not sent its account
	LedgerCounts
}

// LedgerQuery says which accounts are wanted. Empty fields leave it open.
type LedgerQuery struct {
	Site, Point string
	From, To    time.Time // days within [From, To)
}

const ledgerWhere = ` from ledger l join agent a on a.org_id = l.org_id and a.agent_id = l.agent_id
	join site s on s.org_id = a.org_id and s.site_id = a.site_id
	where l.org_id = $1 and ($2 = '' or s.name = $2) and ($3 = '' or l.point = $3) and l.day >= $4::date and l.day < $5::date`

func (q LedgerQuery) args(org uuid.UUID) []any {
	from, to := q.From, q.To
	if from.IsZero() {
		from = time.Unix(0, 0).UTC()
	}
	if to.IsZero() {
		to = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return []any{org, q.Site, q.Point, from, to}
}

// LedgerAfter is the place of an account in the order of LedgerRows.
type LedgerAfter struct {
	Day                   string // 2026-01-31
	Site, Point, Register string
	Agent                 uuid.UUID
	Epoch                 int64
}

// After returns the place of r.
func (r LedgerRow) After() LedgerAfter {
	return LedgerAfter{r.Day.Format(time.DateOnly), r.Site, r.Point, r.Register, r.Agent, int64(r.Epoch)}
}

// LedgerRows returns at most limit accounts behind the given place, by day, site, point, register and agent.
func (s *Store) LedgerRows(ctx context.Context, org uuid.UUID, q LedgerQuery, after LedgerAfter, limit int) ([]LedgerRow, error) {
	if after.Day == "" {
		after.Day = "0001-01-01"
	}
	rows, err := s.db.Query(ctx, `
		select l.agent_id, l.epoch, s.name, l.point, l.register, l.day, l.claimed_at, l.received, l.duplicates, l.corrections, l.resent, l.restored,
			l.settled, l.lost, l.surplus, l.claimed_received, l.claimed_delivered, l.claimed_quarantined, l.claimed_evicted, l.claimed_thinned,
			l.claimed_pending, l.unbalanced`+ledgerWhere+`
			and (l.day, s.name, l.point, l.register, l.agent_id, l.epoch) > ($6::date, $7, $8, $9, $10, $11)
		order by l.day, s.name, l.point, l.register, l.agent_id, l.epoch limit $12`,
		append(q.args(org), after.Day, after.Site, after.Point, after.Register, after.Agent, after.Epoch, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (LedgerRow, error) {
		var r LedgerRow
		var epoch int64
		err := row.Scan(&r.Agent, &epoch, &r.Site, &r.Point, &r.Register, &r.Day, &r.ClaimedAt, &r.Received, &r.Duplicates, &r.Corrections, &r.Resent,
			&r.Restored, &r.Settled, &r.Lost, &r.Surplus, &r.Claimed.Received, &r.Claimed.Delivered, &r.Claimed.Quarantined, &r.Claimed.Evicted,
			&r.Claimed.Thinned, &r.Claimed.Pending, &r.Unbalanced)
		r.Epoch = uint64(epoch)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	return out, nil
}

// LedgerTotals is the sum of accounts.
type LedgerTotals struct {
	LedgerCounts
	Accounts  int64 // summed
	Differing int64 // of them, those that do not balance
	Underived int64 // readings committed that are in no account yet, of all the site
	Resends   int64 // requests that agents have not answered in full
}

// LedgerTotals sums accounts.
func (s *Store) LedgerTotals(ctx context.Context, org uuid.UUID, q LedgerQuery) (t LedgerTotals, err error) {
	ask := &pgx.Batch{}
	ask.Queue(`
		select count(*), count(*) filter (where l.unbalanced <> 0), coalesce(sum(l.received), 0)::bigint, coalesce(sum(l.duplicates), 0)::bigint,
			coalesce(sum(l.corrections), 0)::bigint, coalesce(sum(l.resent), 0)::bigint, coalesce(sum(l.restored), 0)::bigint,
			coalesce(sum(l.settled), 0)::bigint, coalesce(sum(l.lost), 0)::bigint, coalesce(sum(l.surplus), 0)::bigint, coalesce(sum(l.claimed_received), 0)::bigint,
			coalesce(sum(l.claimed_delivered), 0)::bigint, coalesce(sum(l.claimed_quarantined), 0)::bigint,
			coalesce(sum(l.claimed_evicted), 0)::bigint, coalesce(sum(l.claimed_thinned), 0)::bigint,
			coalesce(sum(l.claimed_pending), 0)::bigint, coalesce(sum(abs(l.unbalanced)), 0)::bigint`+ledgerWhere, q.args(org)...).
		QueryRow(func(r pgx.Row) error {
			return r.Scan(&t.Accounts, &t.Differing, &t.Received, &t.Duplicates, &t.Corrections, &t.Resent, &t.Restored, &t.Settled, &t.Lost, &t.Surplus,
				&t.Claimed.Received, &t.Claimed.Delivered, &t.Claimed.Quarantined, &t.Claimed.Evicted, &t.Claimed.Thinned, &t.Claimed.Pending,
				&t.Unbalanced)
		})
	ask.Queue(`
		select coalesce(sum(h.readings - d.readings), 0)::bigint from site s
		join site_arrival h on h.org_id = s.org_id and h.site_id = s.site_id
		join site_derived d on d.org_id = s.org_id and d.site_id = s.site_id
		where s.org_id = $1 and ($2 = '' or s.name = $2)`, org, q.Site).QueryRow(func(r pgx.Row) error { return r.Scan(&t.Underived) })
	ask.Queue(`
		select count(*) from resend r join site s on s.org_id = r.org_id and s.site_id = r.site_id
		where r.org_id = $1 and ($2 = '' or s.name = $2) and r.finished_at is null`, org, q.Site).
		QueryRow(func(r pgx.Row) error { return r.Scan(&t.Resends) })
	if err := s.db.SendBatch(ctx, ask).Close(); err != nil {
		return t, fmt.Errorf("sum ledger: %w", err)
	}
	return t, nil
}
