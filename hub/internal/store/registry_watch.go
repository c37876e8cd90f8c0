package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Fingerprints returns for each organisation a text that changes whenever its agents are to be told something else: which
// models are active or previous, and what the settings of its sites are.
func (s *Store) Fingerprints(ctx context.Context) (map[uuid.UUID]string, error) {
	rows, err := s.db.Query(ctx, `select o.org_id,
			coalesce((select string_agg(m.model_id::text || m.state, ',' order by m.model_id) from model m
				where m.org_id = o.org_id and m.state in ('active', 'previous')), '')
			|| '/' || coalesce((select sum(s.revision)::text from site s where s.org_id = o.org_id), '')
		from organisation o`)
	if err != nil {
		return nil, fmt.Errorf("read fingerprints: %w", err)
	}
	out := map[uuid.UUID]string{}
	var org uuid.UUID
	var print string
	if _, err := pgx.ForEachRow(rows, []any{&org, &print}, func() error { out[org] = print; return nil }); err != nil {
		return nil, fmt.Errorf("read fingerprints: %w", err)
	}
	return out, nil
}
