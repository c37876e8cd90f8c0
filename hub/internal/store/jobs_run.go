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
	Cause       string // first, schedule, demand, drift
	State       string // queued, running, done, failed, cancelled
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
	Left        *time.Duration // estimate, while it works
	Record      RunRecord
}

// Ended reports whether nothing more will happen to the run.
func (r TrainingRun) Ended() bool {
	return r.State == "done" || r.State == "failed" || r.State == "cancelled"
}

// RunRecord is what a training was made of and what it found out, so that it can be compared and repeated.
type RunRecord struct {
	Code   string          // version of the program
	Spec   string          // hash of the feature spec, hex
	From   *time.Time      // range of the history that was there
	To     *time.Time      //
	Params json.RawMessage // settings and seed
	Report json.RawMessage // of the fit and of the backtest
}

const trainingRunColumns = `run_id, resolution_ms, cause, state, stage, percent, attempt, outcome, reason, intervals, model_id, scores,
	requested_at, started_at, finished_at, left_ms, code, spec, trained_from, trained_to, params, report`

func scanTrainingRun(row pgx.CollectableRow) (TrainingRun, error) {
	var r TrainingRun
	var ms int64
	var left *int64
	c := &r.Record
	err := row.Scan(&r.ID, &ms, &r.Cause, &r.State, &r.Stage, &r.Percent, &r.Attempt, &r.Outcome, &r.Reason, &r.Intervals, &r.Model, &r.Scores,
		&r.RequestedAt, &r.StartedAt, &r.FinishedAt, &left, &c.Code, &c.Spec, &c.From, &c.To, &c.Params, &c.Report)
	r.Resolution = time.Duration(ms) * time.Millisecond
	if left != nil && r.State == "running" {
		d := time.Duration(*left) * time.Millisecond
		r.Left = &d
	}
	return r, err
}

// PutTrainingRun adds a queued run within tx, the transaction that also inserts its job. asked are the settings that it was asked
// to have, until it has ended and there are those that it had.
func (s *Store) PutTrainingRun(ctx context.Context, tx pgx.Tx, org, run uuid.UUID, resolution time.Duration, cause string, asked json.RawMessage) error {
	_, err := tx.Exec(ctx, `insert into training_run (org_id, run_id, resolution_ms, cause, state, params) values ($1, $2, $3, $4, 'queued', $5)`,
		org, run, resolution.Milliseconds(), cause, asked)
	if err != nil {
		return fmt.Errorf("store training run: %w", err)
	}
	return nil
}

// TrainingRun returns a run, or ErrNotFound.
func (s *Store) TrainingRun(ctx context.Context, org, run uuid.UUID) (TrainingRun, error) {
	rows, err := s.db.Query(ctx, `select `+trainingRunColumns+` from training_run where org_id = $1 and run_id = $2`, org, run)
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
	rows, err := s.db.Query(ctx, `select `+trainingRunColumns+` from training_run where org_id = $1 order by requested_at desc limit $2`, org, limit)
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
		where org_id = $1 and run_id = $2 and state <> 'cancelled'`, org, run, attempt, now)
}

// BeatTrainingRun stores how far a run is; percent is of the whole run, left the estimate of the time it still takes, nil when there is none.
func (s *Store) BeatTrainingRun(ctx context.Context, org, run uuid.UUID, stage string, percent float64, left *time.Duration) error {
	var ms *int64
	if left != nil {
		v := left.Milliseconds()
		ms = &v
	}
	return s.changeRun(ctx, "note progress of", `update training_run set stage = $3, percent = $4, left_ms = $5, beat_at = now()
		where org_id = $1 and run_id = $2 and state = 'running'`, org, run, stage, percent, ms)
}

// FinishTrainingRun stores how a run ended and does what within asks for in the same transaction, such as completing its job.
func (s *Store) FinishTrainingRun(ctx context.Context, org, run uuid.UUID, r TrainingRun, now time.Time, within func(pgx.Tx) error) error {
	if r.Scores == nil {
		r.Scores = json.RawMessage("[]")
	}
	r.Reason = text(r.Reason)
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		c := r.Record
		tag, err := tx.Exec(ctx, `update training_run set state = $3, stage = $4, percent = $5, outcome = $6, reason = $7, model_id = $8, scores = $9,
				finished_at = $10, intervals = $11, left_ms = null, code = $12, spec = $13, trained_from = $14, trained_to = $15,
				params = coalesce($16::jsonb, '{}'), report = coalesce($17::jsonb, '{}')
			where org_id = $1 and run_id = $2 and state <> 'cancelled'`, org, run, r.State, r.Stage, r.Percent, r.Outcome, r.Reason, r.Model, r.Scores,
			now, r.Intervals, c.Code, c.Spec, c.From, c.To, c.Params, c.Report)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		if err == nil {
			_, err = tx.Exec(ctx, `delete from training_checkpoint where org_id = $1 and run_id = $2`, org, run)
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
	tag, err := s.db.Exec(ctx, sql, args...)
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
	return s.changeRun(ctx, "queue", `update training_run set state = 'queued', stage = '', percent = 0, reason = $3
		where org_id = $1 and run_id = $2 and state <> 'cancelled'`, org, run, text(reason))
}

// ReleaseDeadTrainings hands jobs back to the queue whose trainer has not been heard of for the given time, because it was
// killed, and returns how many. Without it such a job would wait until its time limit has passed. A job that has killed its
// trainer as often as it may be tried is discarded.
func (s *Store) ReleaseDeadTrainings(ctx context.Context, silent time.Duration) (int, error) {
	tag, err := s.db.Exec(ctx, `with dead as (
			select j.id, r.org_id, r.run_id, j.attempt >= j.max_attempts as spent
			from queue.river_job j
			join training_run r on r.org_id = (j.args->>'org')::uuid and r.run_id = (j.args->>'run')::uuid
			where j.kind = 'train' and j.state = 'running'
				and coalesce(greatest(r.beat_at, j.attempted_at), j.created_at) < now() - make_interval(secs => $1)
		), runs as (
			update training_run r set state = case when d.spent then 'failed' else 'queued' end, stage = '', percent = 0,
				reason = 'the trainer ended without a word', finished_at = case when d.spent then now() end
			from dead d where r.org_id = d.org_id and r.run_id = d.run_id and r.state <> 'cancelled'
		)
		update queue.river_job j set state = case when d.spent then 'discarded' else 'available' end::queue.river_job_state, scheduled_at = now(),
			finalized_at = case when d.spent then now() end
		from dead d where j.id = d.id`, silent.Seconds())
	if err != nil {
		return 0, fmt.Errorf("release dead trainings: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// CancelTrainingRun marks a run as cancelled unless it has ended, which is ErrConflict, and does what within asks for in the same
// transaction, such as cancelling its job.
func (s *Store) CancelTrainingRun(ctx context.Context, org, run uuid.UUID, reason string, now time.Time, within func(tx pgx.Tx, job int64) error) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var state string
		err := tx.QueryRow(ctx, `select state from training_run where org_id = $1 and run_id = $2 for update`, org, run).Scan(&state)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if state != "queued" && state != "running" {
			return fmt.Errorf("%w: it is %s", ErrConflict, state)
		}
		var job int64
		err = tx.QueryRow(ctx, `select id from queue.river_job where kind = 'train' and (args->>'run')::uuid = $1 and finalized_at is null`, run).Scan(&job)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err == nil {
			if err := within(tx, job); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `update training_run set state = 'cancelled', stage = '', left_ms = null, reason = $3, finished_at = $4
			where org_id = $1 and run_id = $2`, org, run, text(reason), now)
		if err == nil {
			_, err = tx.Exec(ctx, `delete from training_checkpoint where org_id = $1 and run_id = $2`, org, run)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cancel training run %s: %w", run, err)
	}
	return nil
}
