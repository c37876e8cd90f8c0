package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/tune"
)

// Study is a search for settings of a model family.
type Study struct {
	ID         uuid.UUID
	Resolution time.Duration
	Family     string
	Seed       uint64
	Space      tune.Space
	Trials     int         // wanted
	Folds      int         //
	TrainedTo  time.Time   // no history after it is looked at
	Best       tune.Values // once it is finished
	StartedAt  time.Time
	FinishedAt *time.Time
}

const studyColumns = `study_id, resolution_ms, family, seed, space, trials, folds, trained_to, best, started_at, finished_at`

func scanStudy(row pgx.CollectableRow) (Study, error) {
	var s Study
	var ms, seed int64
	err := row.Scan(&s.ID, &ms, &s.Family, &seed, &s.Space, &s.Trials, &s.Folds, &s.TrainedTo, &s.Best, &s.StartedAt, &s.FinishedAt)
	s.Resolution, s.Seed = time.Duration(ms)*time.Millisecond, uint64(seed)
	return s, err
}

// OpenStudy returns the unfinished study of a family and resolution, with more trials when more are wanted, or begins the one given.
func (s *Store) OpenStudy(ctx context.Context, org uuid.UUID, want Study) (Study, error) {
	var out Study
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockStudies(ctx, tx, org); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `update study set trials = greatest(trials, $4) where org_id = $1 and study_id = (
				select study_id from study where org_id = $1 and resolution_ms = $2 and family = $3 and finished_at is null
				order by started_at desc limit 1) returning `+studyColumns, org, want.Resolution.Milliseconds(), want.Family, want.Trials)
		if err != nil {
			return err
		}
		if out, err = pgx.CollectExactlyOneRow(rows, scanStudy); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		rows, err = tx.Query(ctx, `insert into study (org_id, study_id, resolution_ms, family, seed, space, trials, folds, trained_to)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning `+studyColumns,
			org, id, want.Resolution.Milliseconds(), want.Family, int64(want.Seed), want.Space, want.Trials, want.Folds, want.TrainedTo)
		if err != nil {
			return err
		}
		out, err = pgx.CollectExactlyOneRow(rows, scanStudy)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("open study: %w", err)
	}
	return out, nil
}

// FinishStudy stores the best values of a study.
func (s *Store) FinishStudy(ctx context.Context, org, study uuid.UUID, best tune.Values) error {
	return s.changeRun(ctx, "finish study of", `update study set best = $3, finished_at = now() where org_id = $1 and study_id = $2`, org, study, best)
}

// Studies returns the newest studies of an organisation, at most limit.
func (s *Store) Studies(ctx context.Context, org uuid.UUID, limit int) ([]Study, error) {
	rows, err := s.db.Query(ctx, `select `+studyColumns+` from study where org_id = $1 order by started_at desc limit $2`, org, limit)
	if err != nil {
		return nil, fmt.Errorf("list studies: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanStudy)
	if err != nil {
		return nil, fmt.Errorf("list studies: %w", err)
	}
	return out, nil
}

// TunedValues returns the best values of the newest finished study of a family and resolution, nil when there is none.
func (s *Store) TunedValues(ctx context.Context, org uuid.UUID, resolution time.Duration, family string) (tune.Values, error) {
	var v tune.Values
	err := s.db.QueryRow(ctx, `select best from study where org_id = $1 and resolution_ms = $2 and family = $3 and finished_at is not null
		order by finished_at desc limit 1`, org, resolution.Milliseconds(), family).Scan(&v)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tuned settings: %w", err)
	}
	return v, nil
}

// StudyTrials keeps the trials of one study. It implements tune.Keeper, also for several processes at once.
type StudyTrials struct {
	store      *Store
	org, study uuid.UUID
	silent     time.Duration // after which a trial's process counts as dead
}

// StudyTrials returns the trials of a study. A running trial that has not been stored for the silent time is handed out again.
func (s *Store) StudyTrials(org, study uuid.UUID, silent time.Duration) *StudyTrials {
	return &StudyTrials{s, org, study, silent}
}

// Trials implements tune.Keeper.
func (k *StudyTrials) Trials(ctx context.Context) ([]tune.Trial, error) {
	return k.read(ctx, k.store.db)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (k *StudyTrials) read(ctx context.Context, q querier) ([]tune.Trial, error) {
	rows, err := q.Query(ctx, `select number, assigned, state, folds, coalesce(score, 0), reason from trial where org_id = $1 and study_id = $2 order by number`, k.org, k.study)
	if err != nil {
		return nil, fmt.Errorf("read trials: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tune.Trial])
	if err != nil {
		return nil, fmt.Errorf("read trials: %w", err)
	}
	return out, nil
}

// Begin implements tune.Keeper.
func (k *StudyTrials) Begin(ctx context.Context, next func([]tune.Trial, int) tune.Values) (tune.Trial, error) {
	var t tune.Trial
	err := k.store.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockStudies(ctx, tx, k.org); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `update trial set folds = '{}', beat_at = now() where org_id = $1 and study_id = $2 and number = (
				select min(number) from trial where org_id = $1 and study_id = $2 and state = 'running' and beat_at < now() - make_interval(secs => $3))
			returning number, assigned, state, folds, coalesce(score, 0), reason`, k.org, k.study, k.silent.Seconds())
		if err != nil {
			return err
		}
		if t, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[tune.Trial]); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		trials, err := k.read(ctx, tx)
		if err != nil {
			return err
		}
		t = tune.Trial{Number: len(trials), State: tune.Running, Values: next(trials, len(trials))}
		_, err = tx.Exec(ctx, `insert into trial (org_id, study_id, number, state, assigned) values ($1, $2, $3, $4, $5)`, k.org, k.study, t.Number, t.State, t.Values)
		return err
	})
	if err != nil {
		return t, fmt.Errorf("begin trial: %w", err)
	}
	return t, nil
}

// Put implements tune.Keeper.
func (k *StudyTrials) Put(ctx context.Context, t tune.Trial) error {
	var score *float64
	if t.State == tune.Done {
		score = &t.Score
	}
	folds := t.Folds
	if folds == nil {
		folds = []float64{}
	}
	return k.store.changeRun(ctx, "store trial of", `update trial set state = $4, folds = $5, score = $6, reason = $7, beat_at = now(),
			ended_at = case when $4 <> 'running' then now() end
		where org_id = $1 and study_id = $2 and number = $3`, k.org, k.study, t.Number, t.State, folds, score, text(t.Reason))
}

// lockStudies lets one process at a time begin a study or trial of an organisation, until the end of the transaction.
func lockStudies(ctx context.Context, tx pgx.Tx, org uuid.UUID) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('study/' || $1::text, 0))`, org.String())
	return err
}
