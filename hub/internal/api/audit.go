package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
)

// AuditEntry is one change.
type AuditEntry struct {
	ID      string         `json:"id" format:"uuid"`
	At      time.Time      `json:"at"`
	Actor   string         `json:"actor" doc:"kind and id of who did it: user, key, command, oidc, system"`
	Action  string         `json:"action" example:"key.create"`
	Subject string         `json:"subject" doc:"id of what was changed"`
	Detail  map[string]any `json:"detail"`
	Address string         `json:"address,omitempty"`
}

// AuditLog is a page of changes, newest first.
type AuditLog struct {
	Entries []AuditEntry `json:"entries"`
	Next    string       `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

func (s *server) registerAudit(r *routes) {
	register(r, access.With(access.Admin, access.ReadAudit), get("audit", "/v1/audit", "What was changed in your organisation, and by whom, newest first"), func(ctx context.Context, in *struct {
		Page
		Action string `query:"action" maxLength:"100" pattern:"^[a-z.-]*$" doc:"only this action"`
	},
	) (*struct{ Body AuditLog }, error) {
		before := uuid.Max
		if err := decodeCursor(in.Cursor, &before); err != nil {
			return nil, err
		}
		rows, err := s.store.Audits(ctx, org(ctx), before, in.Action, in.Limit+1)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		rows, more := cut(rows, in.Limit)
		out := &struct{ Body AuditLog }{AuditLog{Entries: make([]AuditEntry, len(rows))}}
		for i, a := range rows {
			out.Body.Entries[i] = AuditEntry{ID: a.ID.String(), At: a.At.UTC(), Actor: a.Actor, Action: a.Action, Subject: a.Subject, Detail: a.Detail, Address: a.Address}
		}
		if more {
			out.Body.Next = encodeCursor(rows[len(rows)-1].ID)
		}
		return out, nil
	})
}
