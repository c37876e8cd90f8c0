package store

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Source says who sent a batch, and why.
type Source struct {
	Agent  uuid.UUID
	Epoch  uint64
	Resend uuid.UUID // what it answers; zero for a batch under sequences
}

// AccountKey says whose and which readings an Account counts.
type AccountKey struct {
	Source
	Stream
	Day int32 // days since 1970-01-01, UTC, of the readings' own instants
}

// Account counts what came of readings in one step. Of a resend, Received are those that came again.
type Account struct {
	Received    int64
	Duplicates  int64 // of them, those that were held already
	Corrections int64 // of them, those that replaced another value
}

// book adds the accounts of a step to the ledger, and to the resends that it derived from.
func (t *SiteTx) book(accounts map[AccountKey]*Account) error {
	n := len(accounts)
	if n == 0 {
		return nil
	}
	agents, points, resends := make([]uuid.UUID, 0, n), make([]uuid.UUID, 0, n), make([]*uuid.UUID, 0, n)
	epochs, received, duplicates, corrections := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	registers, days := make([]string, 0, n), make([]int32, 0, n)
	again := false
	for k, a := range accounts {
		var resend *uuid.UUID
		if k.Resend != (uuid.UUID{}) {
			resend, again = &k.Resend, true
		}
		agents, epochs, resends = append(agents, k.Agent), append(epochs, int64(k.Epoch)), append(resends, resend)
		points, registers, days = append(points, k.Point), append(registers, string(k.Register)), append(days, k.Day)
		received, duplicates, corrections = append(received, a.Received), append(duplicates, a.Duplicates), append(corrections, a.Corrections)
	}
	// Rows are taken in one order by everybody, so that nobody waits in a circle.
	ask := &pgx.Batch{}
	ask.Queue(`
		insert into ledger (org_id, agent_id, epoch, point, register, day, received, duplicates, corrections, resent, restored)
		select $1, x.agent, x.epoch, p.name, x.register, date '1970-01-01' + x.day,
			coalesce(sum(x.received) filter (where x.resend is null), 0), coalesce(sum(x.duplicates) filter (where x.resend is null), 0),
			coalesce(sum(x.corrections) filter (where x.resend is null), 0), coalesce(sum(x.received) filter (where x.resend is not null), 0),
			coalesce(sum(x.received - x.duplicates) filter (where x.resend is not null), 0)
		from unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[], $7::int[], $8::bigint[], $9::bigint[], $10::bigint[])
			as x(agent, epoch, resend, point, register, day, received, duplicates, corrections)
		join point p on p.org_id = $1 and p.point_id = x.point
		group by x.agent, x.epoch, p.name, x.register, x.day order by x.agent, x.epoch, p.name, x.register, x.day
		on conflict (org_id, agent_id, epoch, point, register, day) do update
		set received = ledger.received + excluded.received, duplicates = ledger.duplicates + excluded.duplicates,
			corrections = ledger.corrections + excluded.corrections, resent = ledger.resent + excluded.resent,
			restored = ledger.restored + excluded.restored`,
		t.Org, agents, epochs, resends, points, registers, days, received, duplicates, corrections)
	if again {
		ask.Queue(`
			update resend r set restored = r.restored + x.n
			from (select resend, sum(received - duplicates) as n
			      from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as x(resend, received, duplicates)
			      where resend is not null group by resend) x
			where r.org_id = $1 and r.resend_id = x.resend`, t.Org, resends, received, duplicates)
	}
	if err := t.tx.SendBatch(t.ctx, ask).Close(); err != nil {
		return fmt.Errorf("book %d accounts: %w", n, err)
	}
	return nil
}
