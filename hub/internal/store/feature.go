package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// FeatureSpec is a spec of features under a name. A version never changes.
type FeatureSpec struct {
	Name    string
	Version int
	Hash    []byte // SHA-256 of Text
	Text    string
	Created time.Time
}

// PutFeatureSpec keeps text as the next version of name, unless a version holds it already. It returns that version.
func (s *Store) PutFeatureSpec(ctx context.Context, org uuid.UUID, name, text string) (FeatureSpec, error) {
	if err := meter.CheckName("feature spec", name); err != nil {
		return FeatureSpec{}, err
	}
	hash := sha256.Sum256([]byte(text))
	var f FeatureSpec
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1 || $2, 0))`, org.String(), name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			insert into feature_spec (org_id, name, version, hash, spec)
			values ($1, $2, 1 + (select coalesce(max(version), 0) from feature_spec where org_id = $1 and name = $2), $3, $4)
			on conflict (org_id, name, hash) do nothing`, org, name, hash[:], text); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `select name, version, hash, spec, created_at from feature_spec where org_id = $1 and name = $2 and hash = $3`, org, name, hash[:]).
			Scan(&f.Name, &f.Version, &f.Hash, &f.Text, &f.Created)
	})
	if err != nil {
		return FeatureSpec{}, fmt.Errorf("keep feature spec %s: %w", name, err)
	}
	return f, nil
}

// FeatureSpec returns a version of a spec; version 0 means the newest.
func (s *Store) FeatureSpec(ctx context.Context, org uuid.UUID, name string, version int) (FeatureSpec, error) {
	var f FeatureSpec
	err := s.db.QueryRow(ctx, `
		select name, version, hash, spec, created_at from feature_spec
		where org_id = $1 and name = $2 and ($3 = 0 or version = $3) order by version desc limit 1`, org, name, version).
		Scan(&f.Name, &f.Version, &f.Hash, &f.Text, &f.Created)
	return f, notFound(err, "feature spec "+name)
}

// FeatureSpecs returns every version of every spec, by name.
func (s *Store) FeatureSpecs(ctx context.Context, org uuid.UUID) ([]FeatureSpec, error) {
	rows, err := s.db.Query(ctx, `select name, version, hash, spec, created_at from feature_spec where org_id = $1 order by name, version`, org)
	if err != nil {
		return nil, fmt.Errorf("list feature specs: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FeatureSpec])
	if err != nil {
		return nil, fmt.Errorf("list feature specs: %w", err)
	}
	return out, nil
}

// Corrections returns the corrections of a register of a point, over all its meters, in the order in which they were recorded.
func (s *Store) Corrections(ctx context.Context, org, point uuid.UUID, register meter.Register) ([]Correction, error) {
	rows, err := s.db.Query(ctx, `
		select c.register_id, c.at, c.before_value, c.before_quality, c.recorded_at
		from register g join correction c on c.org_id = g.org_id and c.register_id = g.register_id
		where g.org_id = $1 and g.point_id = $2 and g.name = $3 order by c.recorded_at, c.correction_id`, org, point, string(register))
	if err != nil {
		return nil, fmt.Errorf("read corrections: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Correction, error) {
		var c Correction
		var at time.Time
		err := row.Scan(&c.Register, &at, &c.Before.Value, &c.Before.Quality, &c.RecordedAt)
		c.Before.At = meter.MillisOf(at)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read corrections: %w", err)
	}
	return out, nil
}

// HeldReading is an effective reading and the register it is of.
type HeldReading struct {
	Register RegisterInfo
	Reading  meter.Reading
}

// HeldReadings returns the effective readings of a register of a point within [from, to], register by register, each in
// time order.
func (s *Store) HeldReadings(ctx context.Context, org, point uuid.UUID, register meter.Register, from, to meter.Millis) ([]HeldReading, error) {
	rows, err := s.db.Query(ctx, `
		select g.register_id, g.kind, g.modulus, g.number, p.max_watts, p.site_id
		from point p join register g on g.org_id = p.org_id and g.point_id = p.point_id
		where p.org_id = $1 and p.point_id = $2 and g.name = $3 order by g.number`, org, point, string(register))
	if err != nil {
		return nil, fmt.Errorf("read registers: %w", err)
	}
	var site uuid.UUID
	infos, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (RegisterInfo, error) {
		r := RegisterInfo{Stream: Stream{Point: point, Register: register}}
		var kind string
		if err := row.Scan(&r.ID, &kind, &r.Modulus, &r.Number, &r.MaxWatts, &site); err != nil {
			return r, err
		}
		var err error
		r.Kind, err = meter.ParseKind(kind)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read registers: %w", err)
	}
	var out []HeldReading
	for _, r := range infos {
		held, err := s.heldOf(ctx, org, site, r.ID, from, to)
		if err != nil {
			return nil, err
		}
		for _, v := range held {
			out = append(out, HeldReading{r, v})
		}
	}
	return out, nil
}

// heldOf returns the effective readings of one register within [from, to].
func (s *Store) heldOf(ctx context.Context, org, site, register uuid.UUID, from, to meter.Millis) ([]meter.Reading, error) {
	rows, err := s.db.Query(ctx, `
		select 0::bigint as arrival, 0::bigint as block, t_min, body from chunk where org_id = $1 and register_id = $3 and t_min <= $5 and t_max >= $4
		union all
		select b.arrival, x.block, b.t_min, x.body from batch b, unnest(b.registers, b.bodies) with ordinality as x(register_id, body, block)
		where b.org_id = $1 and b.site_id = $2 and b.t_min <= $5 and b.t_max >= $4 and x.register_id = $3
		order by arrival, block, t_min`, org, site, register, int64(from), int64(to))
	if err != nil {
		return nil, fmt.Errorf("read readings: %w", err)
	}
	var all []meter.Reading
	var arrival, block, first int64
	var body []byte
	if _, err := pgx.ForEachRow(rows, []any{&arrival, &block, &first, &body}, func() (err error) {
		all, err = chunk.Decode(all, body, 0)
		return err
	}); err != nil {
		return nil, fmt.Errorf("read readings: %w", err)
	}
	within := all[:0]
	for _, r := range all {
		if r.At >= from && r.At <= to {
			within = append(within, r)
		}
	}
	return Effective(within), nil
}
