package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// QuarantineKey names a quarantined message: the agent that refused it, its epoch, and its number there.
type QuarantineKey struct {
	Agent uuid.UUID
	Epoch uint64
	ID    uint64
}

// QuarantineRow is a quarantined message with what a person decided about it.
type QuarantineRow struct {
	QuarantineKey
	Site                         string
	Reason, Detail, Topic, Point string
	Payload                      []byte
	ReceivedAt, StoredAt         time.Time
	Decision                     *Decision // nil while nobody decided
}

// Decision is what a person decided about a quarantined message.
type Decision struct {
	At              time.Time
	How             string // released or dropped
	By, Why         string
	Point, Register string // that it was released as
	Readings        int
}

const quarantineRows = `
	select q.agent_id, q.epoch, q.id, s.name, q.reason, q.detail, q.topic, q.point, q.payload, q.received_at, q.stored_at,
	       d.decided_at, coalesce(d.how, ''), coalesce(d.decided_by, ''), coalesce(d.why, ''), coalesce(d.point, ''), coalesce(d.register, ''), coalesce(d.readings, 0)
	from quarantine q
	join agent a on a.org_id = q.org_id and a.agent_id = q.agent_id
	join site s on s.org_id = a.org_id and s.site_id = a.site_id
	left join quarantine_decision d on d.org_id = q.org_id and d.agent_id = q.agent_id and d.epoch = q.epoch and d.id = q.id
	where q.org_id = $1 `

func quarantineRow(row pgx.CollectableRow) (r QuarantineRow, err error) {
	var epoch, id int64
	var at *time.Time
	var d Decision
	err = row.Scan(&r.Agent, &epoch, &id, &r.Site, &r.Reason, &r.Detail, &r.Topic, &r.Point, &r.Payload, &r.ReceivedAt, &r.StoredAt,
		&at, &d.How, &d.By, &d.Why, &d.Point, &d.Register, &d.Readings)
	r.Epoch, r.ID = uint64(epoch), uint64(id)
	if at != nil {
		d.At = *at
		r.Decision = &d
	}
	return r, err
}

// QuarantineRows returns at most limit quarantined messages of a site, of all when it is empty, after the given one by agent,
// epoch and number.
func (s *Store) QuarantineRows(ctx context.Context, org uuid.UUID, site string, after QuarantineKey, limit int) ([]QuarantineRow, error) {
	rows, err := s.db.Query(ctx, quarantineRows+`
		and ($2 = '' or s.name = $2) and (q.agent_id, q.epoch, q.id) > ($3, $4, $5) order by q.agent_id, q.epoch, q.id limit $6`,
		org, site, after.Agent, int64(after.Epoch), int64(after.ID), limit)
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	out, err := pgx.CollectRows(rows, quarantineRow)
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	return out, nil
}

// QuarantineRow returns one quarantined message, or ErrNotFound.
func (s *Store) QuarantineRow(ctx context.Context, org uuid.UUID, k QuarantineKey) (QuarantineRow, error) {
	rows, err := s.db.Query(ctx, quarantineRows+`and q.agent_id = $2 and q.epoch = $3 and q.id = $4`, org, k.Agent, int64(k.Epoch), int64(k.ID))
	if err != nil {
		return QuarantineRow{}, fmt.Errorf("read quarantine: %w", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, quarantineRow)
	return r, notFound(err, fmt.Sprintf("quarantined message %d", k.ID))
}

// PutDecision keeps what was decided about a quarantined message. A release stands: ErrConflict says that there was one.
func (s *Store) PutDecision(ctx context.Context, org uuid.UUID, k QuarantineKey, d Decision) error {
	tag, err := s.db.Exec(ctx, `
		insert into quarantine_decision as d (org_id, agent_id, epoch, id, how, decided_by, why, point, register, readings)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (org_id, agent_id, epoch, id) do update
		set decided_at = now(), how = excluded.how, decided_by = excluded.decided_by, why = excluded.why, point = excluded.point,
		    register = excluded.register, readings = excluded.readings
		where d.how <> 'released'`,
		org, k.Agent, int64(k.Epoch), int64(k.ID), d.How, text(d.By), text(d.Why), text(d.Point), text(d.Register), d.Readings)
	if err != nil {
		return fmt.Errorf("keep decision: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("quarantined message %d was released: %w", k.ID, ErrConflict)
	}
	return nil
}
