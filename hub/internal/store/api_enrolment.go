package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// EnrolmentToken is what is kept of a token for enrolling an agent.
type EnrolmentToken struct {
	ID      uuid.UUID
	Site    string
	Expires time.Time
	UsedAt  *time.Time
}

// EnrolmentTokens returns the newest tokens of an organisation, at most limit.
func (s *Store) EnrolmentTokens(ctx context.Context, org uuid.UUID, limit int) ([]EnrolmentToken, error) {
	rows, err := s.db.Query(ctx, `select t.token_id, coalesce(s.name, ''), t.expires_at, t.used_at
		from enrolment_token t left join site s on s.org_id = t.org_id and s.site_id = t.site_id
		where t.org_id = $1 order by t.created_at desc limit $2`, org, limit)
	if err != nil {
		return nil, fmt.Errorf("list enrolment tokens: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[EnrolmentToken])
	if err != nil {
		return nil, fmt.Errorf("list enrolment tokens: %w", err)
	}
	return out, nil
}

// DeleteEnrolmentToken removes a token that was not used yet, or returns ErrNotFound.
func (s *Store) DeleteEnrolmentToken(ctx context.Context, org, token uuid.UUID) error {
	tag, err := s.db.Exec(ctx, `delete from enrolment_token where org_id = $1 and token_id = $2 and used_at is null`, org, token)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete enrolment token: %w", err)
	}
	return nil
}
