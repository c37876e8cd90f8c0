package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// APIToken is what the hub keeps of a token for the REST interface: whose rows it opens and the SHA-256 of its text.
type APIToken struct {
	Org    uuid.UUID
	SHA256 []byte
}

// APITokens returns every token of every organisation.
func (s *Store) APITokens(ctx context.Context) ([]APIToken, error) {
	rows, err := s.db.Query(ctx, `select org_id, sha256 from api_token`)
	if err != nil {
		return nil, fmt.Errorf("read API tokens: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[APIToken])
	if err != nil {
		return nil, fmt.Errorf("read API tokens: %w", err)
	}
	return out, nil
}

// PutFirstAPIToken stores a token for an organisation that has none and reports whether it did.
func (s *Store) PutFirstAPIToken(ctx context.Context, org, id uuid.UUID, sha256 []byte) (bool, error) {
	var stored bool
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('api-token/' || $1::text, 0))`, org.String()); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `insert into api_token (org_id, token_id, sha256)
			select $1, $2, $3 where not exists (select from api_token where org_id = $1)`, org, id, sha256)
		stored = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store API token: %w", err)
	}
	return stored, nil
}

// ReplaceAPITokens makes the given token the only one of an organisation.
func (s *Store) ReplaceAPITokens(ctx context.Context, org, id uuid.UUID, sha256 []byte) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `delete from api_token where org_id = $1`, org); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `insert into api_token (org_id, token_id, sha256) values ($1, $2, $3)`, org, id, sha256)
		return err
	})
	if err != nil {
		return fmt.Errorf("replace API tokens: %w", err)
	}
	return nil
}
