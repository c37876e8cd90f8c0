package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// RequestRole is the database role that requests of tenants are served with. It owns nothing, so row-level security binds it.
const RequestRole = "fluxora_request"

// database is what statements go through: *pgxpool.Pool for the hub's own work, which is about all organisations, and tenants
// for requests.
type database interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	Begin(ctx context.Context) (pgx.Tx, error)
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// ForRequests returns the store as requests of tenants see it. Every statement runs as RequestRole in a transaction that is bound
// to the organisation that of says the context belongs to: rows of another do not exist there, even for a statement that forgets
// to name the organisation, and for uuid.Nil none do. Closing s closes it.
func (s *Store) ForRequests(of func(context.Context) uuid.UUID) *Store {
	v := *s
	v.db = tenants{pool: s.requests, of: of}
	return &v
}

// tenants binds each transaction to an organisation. Statements outside of a transaction travel together with the one that binds
// them, in one round trip, which makes both one transaction.
type tenants struct {
	pool *pgxpool.Pool
	of   func(context.Context) uuid.UUID
}

const bind = `select set_config('fluxora.org', $1, true)`

// SendBatch puts the statement that binds before all others.
func (t tenants) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	bound := &pgx.Batch{}
	bound.Queue(bind, t.of(ctx).String())
	bound.QueuedQueries = append(bound.QueuedQueries, b.QueuedQueries...)
	results := t.pool.SendBatch(ctx, bound)
	_, _ = results.Exec() // an error stays with results
	return results
}

func (t tenants) one(ctx context.Context, sql string, args []any) pgx.BatchResults {
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	return t.SendBatch(ctx, b)
}

func (t tenants) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	results := t.one(ctx, sql, args)
	tag, err := results.Exec()
	return tag, errors.Join(err, results.Close())
}

func (t tenants) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	results := t.one(ctx, sql, args)
	rows, err := results.Query()
	if err != nil {
		return nil, errors.Join(err, results.Close())
	}
	return &boundRows{Rows: rows, results: results}, nil
}

func (t tenants) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	results := t.one(ctx, sql, args)
	return boundRow{row: results.QueryRow(), results: results}
}

func (t tenants) Begin(ctx context.Context) (pgx.Tx, error) { return t.BeginTx(ctx, pgx.TxOptions{}) }

func (t tenants) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	tx, err := t.pool.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, bind, t.of(ctx).String()); err != nil {
		return nil, errors.Join(err, tx.Rollback(ctx))
	}
	return tx, nil
}

// boundRows gives the connection back when the rows are read or closed.
type boundRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

func (r *boundRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *boundRows) Close() {
	r.Rows.Close()
	if err := r.results.Close(); err != nil && r.err == nil {
		r.err = err
	}
}

func (r *boundRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

type boundRow struct {
	row     pgx.Row
	results pgx.BatchResults
}

func (r boundRow) Scan(dest ...any) error {
	err := r.row.Scan(dest...)
	if e := r.results.Close(); err == nil {
		err = e
	}
	return err
}

// checkRequests returns an error unless row-level security binds requests.
func (s *Store) checkRequests(ctx context.Context) error {
	var role string
	var free bool
	err := s.requests.QueryRow(ctx, `select current_user, rolsuper or rolbypassrls or
			exists (select from pg_class where relname = 'site' and relnamespace = 'public'::regnamespace and relowner = r.oid)
		from pg_roles r where rolname = current_user`).Scan(&role, &free)
	if err != nil {
		return fmt.Errorf("connect for requests of tenants: %w", err)
	}
	if free {
		return fmt.Errorf("requests of tenants connect as %q, which row-level security does not bind: want %s", role, RequestRole)
	}
	return nil
}

// ensureRequestRole makes RequestRole unless the server has it.
func (s *Store) ensureRequestRole(ctx context.Context) error {
	var there bool
	if err := s.main.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1)`, RequestRole).Scan(&there); err != nil || there {
		return err
	}
	_, err := s.main.Exec(ctx, `create role `+RequestRole+` nologin`)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "42710", "23505": // another hub was faster
			return nil
		case "42501":
			return fmt.Errorf("requests are served with the database role %s, which the hub's user may not create: let an administrator run `create role %s; grant %s to %q`: %w",
				RequestRole, RequestRole, RequestRole, s.main.Config().ConnConfig.User, err)
		}
	}
	if err != nil {
		return err
	}
	_, err = s.main.Exec(ctx, `grant `+RequestRole+` to current_user`)
	return err
}
