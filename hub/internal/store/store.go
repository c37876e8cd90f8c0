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

	// ErrTokenReused says that a refresh token came a second time.
	ErrTokenReused = errors.New("refresh token was used before")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options tell Open how to connect. The zero value is good.
type Options struct {
	MaxConnections int          // for the hub's own work; 0 leaves pgx's choice or what the URL says
	Requests       int          // connections for requests of tenants, beside them; 0: 4, not tried until they are needed
	RequestURL     string       // of a login as RequestRole; empty: the hub's own login, which puts on that role
	Log            *slog.Logger // nil discards
}

// Store is the hub's database. Its methods may be called concurrently.
type Store struct {
	db       database      // what statements go through
	main     *pgxpool.Pool // for the hub's own work
	requests *pgxpool.Pool // as RequestRole
	log      *slog.Logger

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
	requests, err := requestConfig(cfg, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{log: o.Log, arrived: make(chan struct{}, 1)}
	if s.main, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.db = s.main
	if s.requests, err = pgxpool.NewWithConfig(ctx, requests); err == nil {
		err = s.migrate(ctx)
	}
	if err == nil && o.Requests > 0 {
		err = s.checkRequests(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// requestConfig returns how requests of tenants connect.
func requestConfig(main *pgxpool.Config, o Options) (*pgxpool.Config, error) {
	cfg := main.Copy()
	if o.RequestURL != "" {
		var err error
		if cfg, err = pgxpool.ParseConfig(o.RequestURL); err != nil {
			return nil, err
		}
	} else {
		cfg.ConnConfig.RuntimeParams["role"] = RequestRole
	}
	cfg.MaxConns = 4
	if o.Requests > 0 {
		cfg.MaxConns = int32(o.Requests)
	}
	return cfg, nil
}

// Close ends all connections. It waits for those in use.
func (s *Store) Close() {
	if s.requests != nil {
		s.requests.Close()
	}
	s.main.Close()
}

// Ping returns an error unless the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.main.Ping(ctx) }

// Pool returns the connections for the hub's own work, for the job queue, which brings its own SQL.
func (s *Store) Pool() *pgxpool.Pool { return s.main }

// migrate brings the schema up to date. Of hubs that start together one migrates and the others wait.
func (s *Store) migrate(ctx context.Context) error {
	if err := s.ensureRequestRole(ctx); err != nil {
		return fmt.Errorf("role of requests: %w", err)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(s.main)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSessionLocker(locker), goose.WithSlog(s.log))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema: %w", err)
	}
	if _, err := s.main.Exec(ctx, `select isolate_tenants()`); err != nil {
		return fmt.Errorf("keep tenants apart: %w", err)
	}
	return nil
}

// inTx runs fn in a transaction, which is committed when fn returns nil and rolled back otherwise.
func (s *Store) inTx(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.db, fn)
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
