package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/guard"
	"fluxora.dev/proto/wire"
)

// Knock decides what becomes of an agent's Hello from the address given, and returns the agent's lineage with it. count is what the
// receipt in Hello proves. On return both are durable.
func (s *Store) Knock(ctx context.Context, org, agent uuid.UUID, h wire.Hello, count uint64, from string) (l guard.Lineage, v guard.Verdict, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		k := guard.Knock{Count: count, Sequence: h.Next}
		if h.Lineage != nil {
			k.Keeps, k.Last, k.Next = true, h.Lineage.Last, h.Lineage.Next
		}
		err := tx.QueryRow(ctx, `
			select a.session, a.session_before, a.session_count, a.readmit, e.epoch is not null,
				greatest(e.next, upper(e.received), 1)
			from agent a left join agent_epoch e on e.org_id = a.org_id and e.agent_id = a.agent_id and e.epoch = $3
			where a.org_id = $1 and a.agent_id = $2 for no key update of a`, org, agent, int64(h.Epoch)).
			Scan(&l.Current, &l.Previous, &l.Count, &l.Readmit, &k.KnownEpoch, &k.Highest)
		if err != nil {
			return notFound(err, "agent "+agent.String())
		}
		l, v = l.Answer(k)
		if v == guard.Doubled {
			_, err = tx.Exec(ctx, `update agent set doubled = doubled + 1, doubled_at = now(), doubled_from = $3 where org_id = $1 and agent_id = $2`,
				org, agent, from)
			return err
		}
		_, err = tx.Exec(ctx, `
			update agent set session = $3, session_before = coalesce($4::bytea, ''::bytea), session_count = $5, readmit = $6
			where org_id = $1 and agent_id = $2`, org, agent, l.Current, l.Previous, l.Count, l.Readmit)
		return err
	})
	if err != nil {
		return l, v, fmt.Errorf("look whether agent %s is a copy: %w", agent, err)
	}
	return l, v, nil
}

// Readmit lets in the next agent of that identity that would be refused as a copy, and forgets the refusals until now.
func (s *Store) Readmit(ctx context.Context, org, agent uuid.UUID) error {
	tag, err := s.db.Exec(ctx, `
		update agent set readmit = true, doubled = 0, doubled_at = null, doubled_from = ''
		where org_id = $1 and agent_id = $2 and revoked_at is null and source = 'uplink'`, org, agent)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("readmit agent: %w", err)
	}
	return nil
}
