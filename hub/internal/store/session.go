package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/meter"
)

// OpenSession notes what the agent said and returns what the hub holds of its epoch.
func (s *Store) OpenSession(ctx context.Context, org, agent uuid.UUID, h wire.Hello) (wire.Received, error) {
	var got pgtype.Multirange[pgtype.Range[int64]]
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update agent set version = $3, seen_at = now(), pending = $4,
				clock_ms = $5 - (extract(epoch from clock_timestamp()) * 1000)::bigint
			where org_id = $1 and agent_id = $2`, org, agent, h.Version, int64(h.Pending), int64(h.Now))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("agent %s: %w", agent, ErrNotFound)
		}
		_, err = tx.Exec(ctx, `
			insert into agent_epoch (org_id, agent_id, epoch, next) values ($1, $2, $3, $4)
			on conflict (org_id, agent_id, epoch) do update set next = greatest(agent_epoch.next, excluded.next)`,
			org, agent, int64(h.Epoch), int64(h.Next))
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `select received from agent_epoch where org_id = $1 and agent_id = $2 and epoch = $3`,
			org, agent, int64(h.Epoch)).Scan(&got)
	})
	if err != nil {
		return wire.Received{}, fmt.Errorf("open session: %w", err)
	}
	return received(got), nil
}

// received splits the committed ranges into the cursor and those beyond it.
func received(m pgtype.Multirange[pgtype.Range[int64]]) wire.Received {
	r := wire.Received{Cursor: 1}
	for _, x := range m {
		g := wire.Range{First: uint64(x.Lower), End: uint64(x.Upper)}
		if g.First <= 1 {
			r.Cursor = g.End
			continue
		}
		r.Beyond = append(r.Beyond, g)
	}
	return r
}

// Declare keeps what the series numbers of an agent's epoch mean, making the points, meters and registers that are new. It is
// idempotent. A number that means something else already gives ErrConflict.
func (s *Store) Declare(ctx context.Context, org, agent uuid.UUID, epoch uint64, series []wire.Series) error {
	for _, d := range series {
		if d.ID == 0 {
			return fmt.Errorf("declare series: number 0: want 1 or more: %w", ErrConflict)
		}
		if err := d.Check(); err != nil {
			return fmt.Errorf("declare series %d: %w", d.ID, err)
		}
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		// The lock on the site keeps two agents, or two sessions, from making the same point twice.
		var site uuid.UUID
		err := tx.QueryRow(ctx, `
			select s.site_id from agent a join site s on s.org_id = a.org_id and s.site_id = a.site_id
			where a.org_id = $1 and a.agent_id = $2 for no key update of s`, org, agent).Scan(&site)
		if err != nil {
			return notFound(err, "agent "+agent.String())
		}
		for _, d := range series {
			register, err := ensureRegister(ctx, tx, org, site, d.Series)
			if err != nil {
				return fmt.Errorf("series %d: %w", d.ID, err)
			}
			var kept uuid.UUID
			err = tx.QueryRow(ctx, `
				with new as (
					insert into agent_series (org_id, agent_id, epoch, series, register_id) values ($1, $2, $3, $4, $5)
					on conflict do nothing returning register_id)
				select register_id from new union all
				select register_id from agent_series where org_id = $1 and agent_id = $2 and epoch = $3 and series = $4`,
				org, agent, int64(epoch), int64(d.ID), register).Scan(&kept)
			if err != nil {
				return fmt.Errorf("series %d: %w", d.ID, err)
			}
			if kept != register {
				return fmt.Errorf("series %d means another register already: %w", d.ID, ErrConflict)
			}
			// Agent and hub fold by the same limit, so the agent's settings count; an import has none.
			// What was made by another limit is made anew, as for another zone: no zone is named ''.
			_, err = tx.Exec(ctx, `
				with changed as (
					update point p set max_watts = $4 from agent a
					where p.org_id = $1 and p.site_id = $2 and p.name = $3 and p.max_watts <> $4
					  and a.org_id = $1 and a.agent_id = $5 and a.source <> 'import' returning p.point_id)
				update site_derived d set zone = '' where d.org_id = $1 and d.site_id = $2
				and exists (select from changed c join fold f on f.org_id = $1 and f.point_id = c.point_id)`, org, site, d.Point, d.MaxWatts, agent)
			if err != nil {
				return fmt.Errorf("series %d: %w", d.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("declare series: %w", err)
	}
	return nil
}

// ensureRegister returns the id of the register that v describes. The caller holds the lock on the site.
func ensureRegister(ctx context.Context, tx pgx.Tx, org, site uuid.UUID, v meter.Series) (register uuid.UUID, err error) {
	var point, device uuid.UUID
	ensure := func(id *uuid.UUID, find, make string, args ...any) error {
		err := tx.QueryRow(ctx, find, append([]any{org}, args...)...).Scan(id)
		if err != pgx.ErrNoRows {
			return err
		}
		*id = newID()
		_, err = tx.Exec(ctx, make, append(append([]any{org}, args...), *id)...)
		return err
	}
	if err := ensure(&point, `select point_id from point where org_id = $1 and site_id = $2 and name = $3`,
		`insert into point (org_id, site_id, name, point_id) values ($1, $2, $3, $4)`, site, v.Point); err != nil {
		return uuid.Nil, fmt.Errorf("point %s: %w", v.Point, err)
	}
	if err := ensure(&device, `select meter_id from meter where org_id = $1 and point_id = $2 and serial = $3`,
		`insert into meter (org_id, point_id, serial, meter_id) values ($1, $2, $3, $4)`, point, v.Meter); err != nil {
		return uuid.Nil, fmt.Errorf("meter %s: %w", v.Meter, err)
	}
	if err := ensure(&register, `
			select register_id from register
			where org_id = $1 and point_id = $2 and meter_id = $3 and name = $4 and kind = $5 and modulus = $6`, `
			insert into register (org_id, point_id, meter_id, name, kind, modulus, register_id, number)
			select $1, $2, $3, $4, $5, $6, $7, coalesce(max(number), 0) + 1 from register where org_id = $1 and point_id = $2`,
		point, device, string(v.Register), v.Kind.String(), v.Modulus); err != nil {
		return uuid.Nil, fmt.Errorf("register %s: %w", v.Register, err)
	}
	return register, nil
}
