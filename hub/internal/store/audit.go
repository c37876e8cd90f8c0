package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Audit is one change, as the audit log keeps it.
type Audit struct {
	Org     uuid.UUID // uuid.Nil when it is about no organisation
	ID      uuid.UUID // grows with time
	At      time.Time
	Actor   string // kind and id
	Action  string // as account.create
	Subject string // id of what was changed
	Detail  map[string]any
	Address string
}

// PutAudit adds to the audit log.
func (s *Store) PutAudit(ctx context.Context, a Audit) error {
	return s.inTx(ctx, func(tx pgx.Tx) error { return putAudit(ctx, tx, a) })
}

// putAudit adds to the audit log together with the change.
func putAudit(ctx context.Context, tx pgx.Tx, a Audit) error {
	if a.Detail == nil {
		a.Detail = map[string]any{}
	}
	detail, err := json.Marshal(a.Detail)
	if err == nil {
		_, err = tx.Exec(ctx, `insert into audit (org_id, audit_id, actor, action, subject, detail, address) values ($1, $2, $3, $4, $5, $6, $7)`,
			a.Org, newID(), text(a.Actor), a.Action, text(a.Subject), detail, text(a.Address))
	}
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// Audits returns at most limit entries of an organisation, newest first, that come before the given one; uuid.Max begins.
func (s *Store) Audits(ctx context.Context, org, before uuid.UUID, action string, limit int) ([]Audit, error) {
	rows, err := s.db.Query(ctx, `select org_id, audit_id, at, actor, action, subject, detail, address from audit
		where org_id = $1 and audit_id < $2 and ($3 = '' or action = $3) order by audit_id desc limit $4`, org, before, action, limit)
	if err == nil {
		var out []Audit
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Audit]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("read audit log: %w", err)
}
