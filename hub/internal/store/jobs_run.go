package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// TrainingRun is one training that was asked for, and how far it is.
type TrainingRun struct {
	ID          uuid.UUID
	Resolution  time.Duration
	Cause       string // first, schedule, demand
	State       string // queued, running, done, failed
	Stage       string
	Percent     float64
	Attempt     int
	Outcome     string // promoted, rejected, skipped
	Reason      string
	Intervals   int64 // of history there were when it began
	Model       *uuid.UUID
	Scores      json.RawMessage // written and read by package registry
	RequestedAt time.Time
	StartedAt   *time.Time
	FinishedAt  *time.Time
}

const trainingRunColumns = `run_id, resolution_ms, cause, state, stage, percent, attempt, outcome, reason, intervals, model_id, scores,
	requested_at, started_at, finished_at`

func scanTrainingRun(row pgx.CollectableRow) (TrainingRun, error) {
	var r TrainingRun
	var ms int64
	err := row.Scan(&r.ID, &ms, &r.Cause, &r.State, &r.Stage, &r.Percent, &r.Attempt, &r.Outcome, &r.Reason, &r.Intervals, &r.Model, &r.Scores,
		&r.RequestedAt, &r.StartedAt, &r.FinishedAt)
	r.Resolution = time.Duration(ms) * time.Millisecond
	return r, err
}

// PutTrainingRun adds a queued run within tx, the transaction that also inserts its job.
func (s *Store) PutTrainingRun(ctx context.Context, tx pgx.Tx, org, run uuid.UUID, resolution time.Duration, cause string) error {
	_, err := tx.Exec(ctx, `insert into training_run (org_id, run_id, resolution_ms, cause, state) values ($1, $2, $3, $4, 'queued')`,
		org, run, resolution.Milliseconds(), cause)
	if err != nil {
		return fmt.Errorf("store training run: %w", err)
	}
	return nil
}

// TrainingRun returns a run, or ErrNotFound.
func (s *Store) TrainingRun(ctx context.Context, org, run uuid.UUID) (TrainingRun, error) {
	rows, err := s.pool.Query(ctx, `select `+trainingRunColumns+` from training_run where org_id = $1 and run_id = $2`, org, run)
	if err != nil {
		return TrainingRun{}, fmt.Errorf("read training run: %w", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanTrainingRun)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("read training run %s: %w", run, ErrNotFound)
	}
	if err != nil {
		return r, fmt.Errorf("read training run: %w", err)
	}
	return r, nil
}

// TrainingRuns returns the newest runs of an organisation, at most limit.
func (s *Store) TrainingRuns(ctx context.Context, org uuid.UUID, limit int) ([]TrainingRun, error) {
	rows, err := s.pool.Query(ctx, `select `+trainingRunColumns+` from training_run where org_id = $1 order by requested_at desc limit $2`, org, limit)
	if err != nil {
		return nil, fmt.Errorf("list training runs: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanTrainingRun)
	if err != nil {
		return nil, fmt.Errorf("list training runs: %w", err)
	}
	return out, nil
}

// StartTrainingRun marks a run as worked on for the attempt-th time. A run that is unknown, because its row was removed, is
// ErrNotFound.
func (s *Store) StartTrainingRun(ctx context.Context, org, run uuid.UUID, attempt int, now time.Time) error {
	return s.changeRun(ctx, "start", `update training_run set state = 'running', stage = 'starting', percent = 0, attempt = $3, started_at = $4, beat_at = now()
		where org_id = $1 and run_id = $2`, org, run, attempt, now)
}

// BeatTrainingRun stores how far a run is; percent is of the whole run.
func (s *Store) BeatTrainingRun(ctx context.Context, org, run uuid.UUID, stage string, percent float64) error {
	return s.changeRun(ctx, "note progress of", `update training_run set stage = $3, percent = $4, beat_at = now()
		where org_id = $1 and run_id = $2 and state = 'running'`, org, run, stage, percent)
}

// FinishTrainingRun stores how a run ended and does what within asks for in the same transaction, such as completing its job.
func (s *Store) FinishTrainingRun(ctx context.Context, org, run uuid.UUID, r TrainingRun, now time.Time, within func(pgx.Tx) error) error {
	if r.Scores == nil {
		r.Scores = json.RawMessage("[]")
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update training_run set state = $3, stage = $4, percent = $5, outcome = $6, reason = $7, model_id = $8, scores = $9, finished_at = $10, intervals = $11
			where org_id = $1 and run_id = $2`, org, run, r.State, r.Stage, r.Percent, r.Outcome, r.Reason, r.Model, r.Scores, now, r.Intervals)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		if err == nil && within != nil {
			err = within(tx)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("finish training run %s: %w", run, err)
	}
	return nil
}

func (s *Store) changeRun(ctx context.Context, verb, sql string, args ...any) error {
	tag, err := s.pool.Exec(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("%s training run: %w", verb, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("%s training run %v: %w", verb, args[1], ErrNotFound)
	}
	return nil
}

// RequeueTrainingRun marks a run as waiting for another attempt, with what went wrong in the last.
func (s *Store) RequeueTrainingRun(ctx context.Context, org, run uuid.UUID, reason string) error {
	return s.changeRun(ctx, "queue", `update training_run set state = 'queued', stage = '', percent = 0, reason = $3 where org_id = $1 and run_id = $2`, org, run, reason)
}

// ReleaseDeadTrainings hands jobs back to the queue whose trainer has not been heard of for the given time, because it was
// killed, and returns how many. Without it such a job would wait until its time limit has passed. A job that has killed its
// trainer as often as it may be tried is discarded.
func (s *Store) ReleaseDeadTrainings(ctx context.Context, silent time.Duration) (int, error) {
	tag, err := s.pool.Exec(ctx, `with dead as (
			select j.id, r.org_id, r.run_id, j.attempt >= j.max_attempts as spent
			from queue.river_job j
			join training_run r on r.org_id = (j.args->>'org')::uuid and r.run_id = (j.args->>'run')::uuid
			where j.kind = 'train' and j.state = 'running'
				and coalesce(greatest(r.beat_at, j.attempted_at), j.created_at) < now() - make_interval(secs => $1)
		), runs as (
			update training_run r set state = case when d.spent then 'failed' else 'queued' end, stage = '', percent = 0,
				reason = 'the trainer ended without a word', finished_at = case when d.spent then now() end
			from dead d where r.org_id = d.org_id and r.run_id = d.run_id
		)
		update queue.river_job j set state = case when d.spent then 'discarded' else 'available' end::queue.river_job_state, scheduled_at = now(),
			finalized_at = case when d.spent then now() end
		from dead d where j.id = d.id`, silent.Seconds())
	if err != nil {
		return 0, fmt.Errorf("release dead trainings: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
