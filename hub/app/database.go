package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/store"
)

const (
	urlFile       = "database.url"   // in data_dir while a private server runs, for the other commands
	databaseWait  = 30 * time.Second // of `serve`, for a database that is starting; commands do not wait
	restartPause  = time.Second      // between attempts to restart the private server
	privateSlack  = 10               // connections of the private server beyond the hub's, for other commands and people
	commandWithin = 4                // connections of a command
)

// private keeps a private Postgres server running: when it ends by itself, it is started again.
type private struct {
	o       postgres.Options
	urlPath string
	log     *slog.Logger

	mu      sync.Mutex
	server  *postgres.Server
	down    bool // server ended by itself, and no other runs yet
	stopped bool
}

// startPrivate starts the server in dir and notes its URL beside it.
func startPrivate(ctx context.Context, c Config, log *slog.Logger) (*private, error) {
	p := &private{
		o: postgres.Options{
			Dir: filepath.Join(c.DataDir, "postgres"), Binaries: c.Database.BinDir, Log: log,
			MaxConnections: c.Database.Connections + privateSlack,
		},
		urlPath: filepath.Join(c.DataDir, urlFile), log: log,
	}
	if err := os.MkdirAll(c.DataDir, 0o711); err != nil { // others may pass: the server may run as another user
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	var err error
	if p.server, err = postgres.Start(ctx, p.o); err != nil {
		return nil, err
	}
	if err := p.noteURL(); err != nil {
		return nil, errors.Join(err, p.server.Stop())
	}
	return p, nil
}

func (p *private) noteURL() error {
	if err := os.WriteFile(p.urlPath, []byte(p.server.URL()+"\n"), 0o600); err != nil {
		return fmt.Errorf("note the database URL for other commands: %w", err)
	}
	return nil
}

// keep restarts the server whenever it ends, until ctx does. A server that comes back under another URL is an error, because
// the hub's connections would not find it.
func (p *private) keep(ctx context.Context) error {
	for {
		p.mu.Lock()
		server := p.server
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-server.Done():
		}
		p.mu.Lock()
		if p.stopped {
			p.mu.Unlock()
			return nil
		}
		p.log.Error("private Postgres ended by itself; starting it again", "error", server.Err())
		_ = server.Stop() // gives up the lock on the directory
		fresh, err := postgres.Start(ctx, p.o)
		if p.down = err != nil; !p.down {
			p.server = fresh
		}
		p.mu.Unlock()
		switch {
		case err == nil && fresh.URL() != server.URL():
			return fmt.Errorf("private Postgres came back under another URL: restart the hub")
		case err == nil:
		case ctx.Err() != nil:
			return nil
		default:
			p.log.Error("private Postgres does not start; trying on", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(restartPause):
			}
		}
	}
}

// stop ends the server.
func (p *private) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	_ = os.Remove(p.urlPath)
	if p.down { // how it ended was said already
		return nil
	}
	return p.server.Stop()
}

// runningURL returns the URL of the private server that another process of this machine runs in the data directory.
func runningURL(dataDir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dataDir, urlFile))
	if err != nil {
		return "", fmt.Errorf("another process uses the data directory %s but has not written its database's URL: wait until it is up, or stop it: %w", dataDir, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// openStore connects to a database, which may still be starting for as long as wait, and migrates it.
func openStore(ctx context.Context, url string, o store.Options, wait time.Duration) (*store.Store, error) {
	give := time.NewTimer(wait)
	defer give.Stop()
	for said := false; ; said = true {
		st, err := store.Open(ctx, url, o)
		if err == nil || !store.Unavailable(err) || ctx.Err() != nil {
			return st, err
		}
		if !said && wait > 0 {
			o.Log.Warn("the database does not answer; waiting for it", "wait", wait, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-give.C:
			return nil, fmt.Errorf("the database does not answer; check database.url and that the server runs: %w", err)
		case <-time.After(time.Second / 2):
		}
	}
}
