package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Checkpoint returns what an unfinished run has stored under a key, nil when nothing.
func (s *Store) Checkpoint(ctx context.Context, org, run uuid.UUID, key string) ([]byte, error) {
	var b []byte
	err := s.db.QueryRow(ctx, `select body from training_checkpoint where org_id = $1 and run_id = $2 and key = $3`, org, run, key).Scan(&b)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint %s: %w", key, err)
	}
	return b, nil
}

// PutCheckpoint stores what an unfinished run has come to under a key.
func (s *Store) PutCheckpoint(ctx context.Context, org, run uuid.UUID, key string, body []byte) error {
	_, err := s.db.Exec(ctx, `insert into training_checkpoint (org_id, run_id, key, body) values ($1, $2, $3, $4)
		on conflict (org_id, run_id, key) do update set body = excluded.body, saved_at = now()`, org, run, key, body)
	if err != nil {
		return fmt.Errorf("store checkpoint %s: %w", key, err)
	}
	return nil
}
