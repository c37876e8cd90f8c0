package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ModelChange is a step in the life of a model version.
type ModelChange struct {
	At     time.Time
	State  string
	Reason string
}

// ModelUse is a stretch of time in which an agent held a model version in one state.
type ModelUse struct {
	Agent  uuid.UUID
	Site   string
	State  string // active, previous, refused
	Detail string // why it was refused
	From   time.Time
	To     *time.Time // nil: until now
}

// Model returns a model version of an organisation by id or alias, with its artifact, or ErrNotFound.
func (s *Store) Model(ctx context.Context, org uuid.UUID, name string) (ModelRow, []byte, error) {
	id, err := uuid.Parse(name)
	if err != nil {
		err = s.db.QueryRow(ctx, `select model_id from model_alias where org_id = $1 and alias = $2`, org, text(name)).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return ModelRow{}, nil, fmt.Errorf("no model has the id or alias %q: %w", name, ErrNotFound)
		}
		if err != nil {
			return ModelRow{}, nil, fmt.Errorf("read model %q: %w", name, err)
		}
	}
	rows, err := s.db.Query(ctx, `select `+modelRowColumns+` from model where org_id = $1 and model_id = $2`, org, id)
	if err != nil {
		return ModelRow{}, nil, fmt.Errorf("read model %s: %w", id, err)
	}
	m, err := pgx.CollectExactlyOneRow(rows, scanModelRow)
	if err != nil {
		return m, nil, notFound(err, "model "+id.String())
	}
	var artifact []byte
	err = s.db.QueryRow(ctx, `select artifact from model where org_id = $1 and model_id = $2`, org, id).Scan(&artifact)
	return m, artifact, notFound(err, "model "+id.String())
}

// SetModelAlias makes alias name a model version, and no longer the one that it named before.
func (s *Store) SetModelAlias(ctx context.Context, org uuid.UUID, alias string, id uuid.UUID) error {
	tag, err := s.db.Exec(ctx, `insert into model_alias (org_id, alias, model_id) select org_id, $2, model_id from model where org_id = $1 and model_id = $3
		on conflict (org_id, alias) do update set model_id = excluded.model_id, set_at = now()`, org, alias, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("name model %s %q: %w", id, alias, err)
	}
	return nil
}

// DeleteModelAlias takes a name away, or returns ErrNotFound.
func (s *Store) DeleteModelAlias(ctx context.Context, org uuid.UUID, alias string) error {
	tag, err := s.db.Exec(ctx, `delete from model_alias where org_id = $1 and alias = $2`, org, alias)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("take away alias %q: %w", alias, err)
	}
	return nil
}

// ModelHistory returns the life of a model version and which agents held it when, oldest first, at most limit uses.
func (s *Store) ModelHistory(ctx context.Context, org, id uuid.UUID, limit int) ([]ModelChange, []ModelUse, error) {
	rows, err := s.db.Query(ctx, `select at, state, reason from model_change where org_id = $1 and model_id = $2 order by number`, org, id)
	if err != nil {
		return nil, nil, fmt.Errorf("read history of model %s: %w", id, err)
	}
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ModelChange])
	if err != nil {
		return nil, nil, fmt.Errorf("read history of model %s: %w", id, err)
	}
	rows, err = s.db.Query(ctx, `select c.agent_id, coalesce(s.name, ''), c.state, c.detail, c.at, c.until
		from (select *, lead(at) over (partition by agent_id order by number) as until from agent_model_change where org_id = $1 and model_id = $2) c
		left join agent a on a.org_id = c.org_id and a.agent_id = c.agent_id
		left join site s on s.org_id = a.org_id and s.site_id = a.site_id
		where c.state <> '' order by c.number limit $3`, org, id, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("read uses of model %s: %w", id, err)
	}
	uses, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ModelUse])
	if err != nil {
		return nil, nil, fmt.Errorf("read uses of model %s: %w", id, err)
	}
	return changes, uses, nil
}
