package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/forecast"
)

// PutForecasts stores forecasts of an agent's site by point, register and origin. One for the same origin replaces an
// earlier one. A forecast of a point that nothing was declared for makes the point.
func (s *Store) PutForecasts(ctx context.Context, org, agent uuid.UUID, fs []forecast.Forecast) error {
	return s.report(ctx, "put forecasts", func(tx pgx.Tx) error { return putForecasts(ctx, tx, org, agent, fs) })
}

// PutQuarantined stores quarantined messages of an agent's epoch by their ids.
func (s *Store) PutQuarantined(ctx context.Context, org, agent uuid.UUID, epoch uint64, qs []wire.Quarantined) error {
	return s.report(ctx, "put quarantined messages", func(tx pgx.Tx) error { return putQuarantined(ctx, tx, org, agent, epoch, qs) })
}

// PutModelStates stores what became of models at an agent.
func (s *Store) PutModelStates(ctx context.Context, org, agent uuid.UUID, ms []wire.ModelState) error {
	return s.report(ctx, "put model states", func(tx pgx.Tx) error { return putModelStates(ctx, tx, org, agent, ms) })
}

// PutReport stores everything in r, in one transaction.
func (s *Store) PutReport(ctx context.Context, org, agent uuid.UUID, epoch uint64, r wire.Report) error {
	return s.report(ctx, "put report", func(tx pgx.Tx) error {
		if err := putForecasts(ctx, tx, org, agent, r.Forecasts); err != nil {
			return err
		}
		if err := putQuarantined(ctx, tx, org, agent, epoch, r.Quarantined); err != nil {
			return err
		}
		if err := putModelStates(ctx, tx, org, agent, r.Models); err != nil {
			return err
		}
		return putLiveDays(ctx, tx, org, agent, r.Live)
	})
}

func (s *Store) report(ctx context.Context, what string, fn func(pgx.Tx) error) error {
	err := s.inTx(ctx, fn)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23")) { // bad data, broken constraint
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func putForecasts(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, fs []forecast.Forecast) error {
	var marks []forecastSpan
	for _, f := range fs {
		if err := f.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if f.Origin < 0 || f.Origin > maxInstant || f.Issued < 0 || f.Issued > maxInstant {
			return fmt.Errorf("%w: forecast of point %s: origin %d ms, issued %d ms: want instants from 1970 to 2200", ErrCorrupt, f.Point, int64(f.Origin), int64(f.Issued))
		}
		var model *uuid.UUID
		if f.Model != "" {
			id, err := uuid.Parse(f.Model)
			if err != nil {
				return fmt.Errorf("%w: forecast of point %s: model %q: want a UUID", ErrCorrupt, f.Point, f.Model)
			}
			model = &id
		}
		point, err := sitePoint(ctx, tx, org, agent, f.Point)
		if err != nil {
			return err
		}
		span := forecastSpan{stream: Stream{point, f.Register}, from: f.Origin.Time(), to: f.Start(f.Steps()).Time()}
		err = tx.QueryRow(ctx, `
			with old as (
				select origin + make_interval(secs => (cardinality(wh) / cardinality(levels) - 1) * (resolution_ms / 1000.0)) as "to"
				from forecast where org_id = $1 and point_id = $2 and register = $3 and origin = $4
			), new as (
			insert into forecast (org_id, point_id, register, origin, resolution_ms, levels, wh, rung, model_id, completeness, issued_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			on conflict (org_id, point_id, register, origin) do update
			set resolution_ms = excluded.resolution_ms, levels = excluded.levels, wh = excluded.wh, rung = excluded.rung,
			    model_id = excluded.model_id, completeness = excluded.completeness, issued_at = excluded.issued_at, received_at = now()
			where forecast.issued_at <= excluded.issued_at)
			select coalesce(max("to"), $12) from old`,
			org, point, string(f.Register), f.Origin.Time(), f.Resolution.Milliseconds(), f.Levels, f.Values, string(f.Rung), model,
			f.Completeness, f.Issued.Time(), span.to).Scan(&span.replaced)
		if err != nil {
			return fmt.Errorf("forecast of point %s: %w", f.Point, err)
		}
		marks = append(marks, span)
	}
	return markForecasts(ctx, tx, org, marks)
}

// sitePoint returns the id of a point of the agent's site, and makes the point when nothing was declared for it yet.
func sitePoint(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, name string) (point uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `
		with new as (
			insert into point (org_id, site_id, name, point_id)
			select org_id, site_id, $3, $4 from agent where org_id = $1 and agent_id = $2
			on conflict do nothing returning point_id)
		select point_id from new union all
		select p.point_id from point p join agent a on a.org_id = p.org_id and a.site_id = p.site_id
		where a.org_id = $1 and a.agent_id = $2 and p.name = $3`, org, agent, name, newID()).Scan(&point)
	return point, notFound(err, "site of the agent")
}

func putQuarantined(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, epoch uint64, qs []wire.Quarantined) error {
	for _, q := range qs {
		if q.Received < 0 || q.Received > maxInstant {
			return fmt.Errorf("%w: quarantined message %d: received %d ms: want instants from 1970 to 2200", ErrCorrupt, q.ID, int64(q.Received))
		}
		_, err := tx.Exec(ctx, `
			insert into quarantine (org_id, agent_id, epoch, id, reason, detail, topic, payload, point, received_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing`,
			org, agent, int64(epoch), int64(q.ID), text(q.Reason), text(q.Detail), text(q.Topic), nonNil(q.Payload), text(q.Point), q.Received.Time())
		if err != nil {
			return fmt.Errorf("quarantined message %d: %w", q.ID, err)
		}
	}
	return nil
}

func putModelStates(ctx context.Context, tx pgx.Tx, org, agent uuid.UUID, ms []wire.ModelState) error {
	for _, m := range ms {
		id, err := uuid.Parse(m.ID)
		if err != nil {
			return fmt.Errorf("%w: model state: id %q: want a UUID", ErrCorrupt, m.ID)
		}
		if m.State != wire.ModelRefused { // an agent holds one active and one previous model at a time
			if _, err := tx.Exec(ctx, `delete from agent_model where org_id = $1 and agent_id = $2 and state = $3 and model_id <> $4`,
				org, agent, m.State, id); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `
			insert into agent_model (org_id, agent_id, model_id, state, detail) values ($1, $2, $3, $4, $5)
			on conflict (org_id, agent_id, model_id) do update
			set state = excluded.state, detail = excluded.detail, changed_at = now()
			where (agent_model.state, agent_model.detail) is distinct from (excluded.state, excluded.detail)`,
			org, agent, id, text(m.State), text(m.Detail))
		if err != nil {
			return fmt.Errorf("state of model %s: %w", id, err)
		}
	}
	return nil
}

// AnnouncedModels returns the models that agents of the site should hold: the active one of the site's resolution and the
// one before it.
func (s *Store) AnnouncedModels(ctx context.Context, org, site uuid.UUID) ([]wire.ModelVersion, error) {
	rows, err := s.db.Query(ctx, `
		select m.model_id, m.family, length(m.artifact), m.sha256, m.signature, m.spec
		from site s join model m on m.org_id = s.org_id and m.resolution_ms = s.resolution_ms
		where s.org_id = $1 and s.site_id = $2 and m.state in ('active', 'previous')
		order by m.state, m.promoted_at desc nulls last limit 2`, org, site)
	if err != nil {
		return nil, fmt.Errorf("announced models: %w", err)
	}
	models, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (wire.ModelVersion, error) {
		var v wire.ModelVersion
		var id uuid.UUID
		var digest []byte
		err := row.Scan(&id, &v.Family, &v.Size, &digest, &v.Signature, &v.Spec)
		v.ID = id.String()
		copy(v.SHA256[:], digest)
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("announced models: %w", err)
	}
	return models, nil
}

// ArtifactChunk returns at most n bytes of a model's artifact from offset on, none at its end.
func (s *Store) ArtifactChunk(ctx context.Context, org, model uuid.UUID, offset uint64, n int) ([]byte, error) {
	if offset > 1<<30 {
		return nil, nil
	}
	var b []byte
	err := s.db.QueryRow(ctx, `select substring(artifact from $3::int for $4::int) from model where org_id = $1 and model_id = $2`,
		org, model, int(offset)+1, n).Scan(&b)
	return b, notFound(err, "model "+model.String())
}

// text makes s fit for a column of type text, which holds only UTF-8 and no zero bytes.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
