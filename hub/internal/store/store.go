package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// What callers branch on.
var (
	ErrNotFound   = errors.New("not found")
	ErrConflict   = errors.New("conflicts with what is stored")
	ErrOverlap    = errors.New("batch is held in part") // an *OverlapError says which part
	ErrUndeclared = errors.New("series is not declared")
	ErrCorrupt    = errors.New("can never be stored") // a batch or a report that does not decode, add up or fit
	ErrTokenUsed  = errors.New("enrolment token is used")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options tell Open how to connect. The zero value is good.
type Options struct {
	MaxConnections int          // of the pool; 0 leaves pgx's choice or what the URL says
	Log            *slog.Logger // nil discards
}

// Store is a pool of connections to the hub's database. Its methods may be called concurrently.
type Store struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	arrived chan struct{} // holds a token after a commit of this process
}

// Open connects to the database at url and brings its schema up to date.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if o.MaxConnections > 0 {
		cfg.MaxConns = int32(o.MaxConnections)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{pool: pool, log: o.Log, arrived: make(chan struct{}, 1)}
	if err := s.migrate(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// Close ends all connections. It waits for those in use.
func (s *Store) Close() { s.pool.Close() }

// Ping returns an error unless the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

// Pool returns the pool, for the job queue, which brings its own SQL.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// migrate brings the schema up to date. Of hubs that start together one migrates and the others wait.
func (s *Store) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSessionLocker(locker), goose.WithSlog(s.log))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	return nil
}

// inTx runs fn in a transaction, which is committed when fn returns nil and rolled back otherwise.
func (s *Store) inTx(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, fn)
}

// Retry reports whether err may go away by itself: the database cannot be asked, or a transaction lost a race.
func Retry(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code[:2] {
		case "40", "53", "55", "57", "58": // rollback, resources, lock, operator, system
			return true
		}
	}
	return Unavailable(err)
}

// notFound turns pgx's word for no row into the store's.
func notFound(err error, what string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
