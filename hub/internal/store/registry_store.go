package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
)

// ModelRow is one model version of the registry, without its artifact's bytes.
type ModelRow struct {
	Org         uuid.UUID
	ID          uuid.UUID
	Family      string
	State       string // candidate, active, previous, retired, rejected
	Spec        string // hash of the feature spec, hex
	Resolution  time.Duration
	TrainedFrom time.Time
	TrainedTo   time.Time
	Points      int
	Rows        int64
	Scores      json.RawMessage // written and read by package registry
	SHA256      []byte
	Signature   []byte
	Size        int64
	Reason      string
	CreatedAt   time.Time
	PromotedAt  *time.Time
	RetiredAt   *time.Time
	Run         uuid.UUID // training that made it; zero for none
	Parent      uuid.UUID // version that was active then; zero for none
	Aliases     []string  // names that people gave it
}

const modelRowColumns = `org_id, model_id, family, state, spec, resolution_ms, trained_from, trained_to, points, rows, scores,
	sha256, signature, octet_length(artifact), reason, created_at, promoted_at, retired_at, run_id, parent_id,
	array(select alias from model_alias a where a.org_id = model.org_id and a.model_id = model.model_id order by alias)`

func scanModelRow(row pgx.CollectableRow) (ModelRow, error) {
	var m ModelRow
	var ms int64
	err := row.Scan(&m.Org, &m.ID, &m.Family, &m.State, &m.Spec, &ms, &m.TrainedFrom, &m.TrainedTo, &m.Points, &m.Rows, &m.Scores,
		&m.SHA256, &m.Signature, &m.Size, &m.Reason, &m.CreatedAt, &m.PromotedAt, &m.RetiredAt, (*zeronull.UUID)(&m.Run), (*zeronull.UUID)(&m.Parent), &m.Aliases)
	m.Resolution = time.Duration(ms) * time.Millisecond
	return m, err
}

// PutModel stores a new model version with its artifact, in the state that m names.
func (s *Store) PutModel(ctx context.Context, m ModelRow, artifact []byte) error {
	_, err := s.db.Exec(ctx, `insert into model (org_id, model_id, family, state, spec, resolution_ms, trained_from, trained_to,
			points, rows, scores, sha256, signature, artifact, reason, created_at, run_id, parent_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		m.Org, m.ID, m.Family, m.State, m.Spec, m.Resolution.Milliseconds(), m.TrainedFrom, m.TrainedTo,
		m.Points, m.Rows, m.Scores, m.SHA256, m.Signature, artifact, m.Reason, m.CreatedAt, zeronull.UUID(m.Run), zeronull.UUID(m.Parent))
	if err != nil {
		return fmt.Errorf("store model %s: %w", m.ID, err)
	}
	return nil
}

// ModelRows returns every model version of an organisation, newest first, at most limit of them.
func (s *Store) ModelRows(ctx context.Context, org uuid.UUID, limit int) ([]ModelRow, error) {
	rows, err := s.db.Query(ctx, `select `+modelRowColumns+` from model where org_id = $1 order by created_at desc, model_id limit $2`, org, limit)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanModelRow)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	return out, nil
}

// ModelInState returns the newest model version of an organisation and resolution that is in the given state, with its
// artifact, or ErrNotFound.
func (s *Store) ModelInState(ctx context.Context, org uuid.UUID, resolution time.Duration, state string) (ModelRow, []byte, error) {
	rows, err := s.db.Query(ctx, `select `+modelRowColumns+` from model
		where org_id = $1 and resolution_ms = $2 and state = $3
		order by promoted_at desc nulls last, created_at desc limit 1`, org, resolution.Milliseconds(), state)
	if err != nil {
		return ModelRow{}, nil, fmt.Errorf("read %s model: %w", state, err)
	}
	m, err := pgx.CollectExactlyOneRow(rows, scanModelRow)
	if errors.Is(err, pgx.ErrNoRows) {
		return ModelRow{}, nil, fmt.Errorf("read %s model of resolution %s: %w", state, resolution, ErrNotFound)
	}
	if err != nil {
		return ModelRow{}, nil, fmt.Errorf("read %s model: %w", state, err)
	}
	var artifact []byte
	if err := s.db.QueryRow(ctx, `select artifact from model where org_id = $1 and model_id = $2`, org, m.ID).Scan(&artifact); err != nil {
		return ModelRow{}, nil, fmt.Errorf("read artifact of model %s: %w", m.ID, err)
	}
	return m, artifact, nil
}

// lockModels serialises changes of the registry for one organisation and resolution until the end of the transaction.
func lockModels(ctx context.Context, tx pgx.Tx, org uuid.UUID, resolutionMs int64) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('model/' || $1::text || '/' || $2::text, 0))`, org.String(), fmt.Sprint(resolutionMs))
	return err
}

// PromoteModel makes a candidate the active model of its resolution: in one transaction the active one becomes previous and
// the previous one retired. By hand, a version that was rejected or retired may be promoted too. Another state is ErrModelState.
func (s *Store) PromoteModel(ctx context.Context, org, id uuid.UUID, byHand bool, reason string, now time.Time) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var ms int64
		if err := tx.QueryRow(ctx, `select resolution_ms from model where org_id = $1 and model_id = $2`, org, id).Scan(&ms); errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		} else if err != nil {
			return err
		}
		if err := lockModels(ctx, tx, org, ms); err != nil {
			return err
		}
		var state string
		if err := tx.QueryRow(ctx, `select state from model where org_id = $1 and model_id = $2`, org, id).Scan(&state); err != nil {
			return err
		}
		if state != "candidate" && !(byHand && (state == "rejected" || state == "retired")) {
			return fmt.Errorf("%w: it is %s: want candidate", ErrModelState, state)
		}
		if _, err := tx.Exec(ctx, `update model set state = 'retired', retired_at = $3 where org_id = $1 and resolution_ms = $2 and state = 'previous'`, org, ms, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update model set state = 'previous' where org_id = $1 and resolution_ms = $2 and state = 'active'`, org, ms); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `update model set state = 'active', promoted_at = $3, reason = $4, retired_at = null where org_id = $1 and model_id = $2`, org, id, now, reason)
		return err
	})
	if err != nil {
		return fmt.Errorf("promote model %s: %w", id, err)
	}
	return nil
}

// ErrModelState marks a change that the life of a model version does not allow.
var ErrModelState = errors.New("model is in another state")

// RejectModel ends the life of a candidate, with the reason.
func (s *Store) RejectModel(ctx context.Context, org, id uuid.UUID, reason string, now time.Time) error {
	tag, err := s.db.Exec(ctx, `update model set state = 'rejected', reason = $3, retired_at = $4
		where org_id = $1 and model_id = $2 and state = 'candidate'`, org, id, reason, now)
	if err != nil {
		return fmt.Errorf("reject model %s: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("reject model %s: %w: want candidate", id, ErrModelState)
	}
	return nil
}

// RollBackModel retires the active model of a resolution and makes the previous one active again, in one transaction. It
// returns the id of the model that is active afterwards, or ErrNotFound when there is no previous model.
func (s *Store) RollBackModel(ctx context.Context, org uuid.UUID, resolution time.Duration, reason string, now time.Time) (uuid.UUID, error) {
	var id uuid.UUID
	ms := resolution.Milliseconds()
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := lockModels(ctx, tx, org, ms); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `select model_id from model where org_id = $1 and resolution_ms = $2 and state = 'previous'
			order by promoted_at desc nulls last limit 1`, org, ms).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%w: no previous model of resolution %s", ErrNotFound, resolution)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update model set state = 'retired', retired_at = $3, reason = $4
			where org_id = $1 and resolution_ms = $2 and state = 'active'`, org, ms, now, reason); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update model set state = 'active', promoted_at = $3, retired_at = null where org_id = $1 and model_id = $2`, org, id, now)
		return err
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("roll back model: %w", err)
	}
	return id, nil
}
