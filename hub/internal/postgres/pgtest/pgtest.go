// Package pgtest gives tests real Postgres databases: one private cluster a test binary, one database a test, copied from
// a template. The cluster is gone when the test binary ends, even if it is killed: the kernel ends the server and a
// small shell that waits for the binary's end removes the files.
package pgtest

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/postgres"
)

// cluster is the test binary's own server, started by the first test that wants a database. It is a package variable
// because it belongs to the process, as the process's exit is what ends it.
var cluster struct {
	once   sync.Once
	server *postgres.Server
	err    error

	mu        sync.Mutex // held while a template is made or copied
	templates map[string]bool
	number    atomic.Int64
}

// ends are the pipes whose end tells the shells to clean up. They are kept here, since a pipe that is collected is closed.
var ends struct {
	sync.Mutex
	pipes []io.Closer
}

// Server returns the test binary's cluster, or skips t when no Postgres is installed.
func Server(t testing.TB) *postgres.Server {
	t.Helper()
	cluster.once.Do(func() { cluster.server, cluster.err = launch() })
	if err := cluster.err; err != nil {
		if strings.Contains(err.Error(), postgres.ErrNoBinaries.Error()) {
			t.Skipf("skipped: %v", err)
		}
		t.Fatal(err)
	}
	return cluster.server
}

// Database makes a database for t alone, dropped when t ends, and returns its URL (as its owner, no superuser). It is a
// copy of the template named so, which prepare fills the first time it is asked for; a nil prepare leaves it empty.
func Database(t testing.TB, template string, prepare func(ctx context.Context, url string) error) string {
	t.Helper()
	s := Server(t)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}

	cluster.mu.Lock()
	defer cluster.mu.Unlock()
	if !cluster.templates[template] {
		exec("create database " + quote("template_"+template) + " owner " + postgres.Role)
		if prepare != nil {
			if err := prepare(ctx, URL(t, "template_"+template)); err != nil {
				t.Fatalf("prepare template %s: %v", template, err)
			}
		}
		cluster.templates[template] = true
	}
	name := fmt.Sprintf("test_%d", cluster.number.Add(1))
	exec("create database " + quote(name) + " template " + quote("template_"+template) + " owner " + postgres.Role)
	t.Cleanup(func() {
		conn, err := pgx.Connect(ctx, s.AdminURL("postgres"))
		if err != nil {
			return // the test has stopped the server
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "drop database if exists "+quote(name)+" with (force)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return URL(t, name)
}

// URL returns the URL of the named database as the hub's role.
func URL(t testing.TB, database string) string {
	t.Helper()
	u, err := url.Parse(Server(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func launch() (*postgres.Server, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	cluster.templates = map[string]bool{}
	return postgres.Start(context.Background(), postgres.Options{Dir: dir, Ephemeral: true, SharedBuffersMB: 64})
}

// Dir makes a temporary directory that the server's user can enter, as those of testing.T cannot be by another user. It is
// removed when the test binary ends, at the latest.
func Dir() (string, error) {
	dir, err := os.MkdirTemp("/tmp", "fluxora-pgtest-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", err
	}
	end, err := removeAtExit(dir)
	if err != nil {
		return "", err
	}
	ends.Lock()
	ends.pipes = append(ends.pipes, end)
	ends.Unlock()
	return dir, nil
}

// removeAtExit starts a shell that waits for the end of this process, however it comes, and then for the end of the
// server, and removes dir.
func removeAtExit(dir string) (io.Closer, error) {
	const script = `cat >/dev/null
i=0; while [ -e "$0/data/postmaster.pid" ] && kill -0 "$(head -n1 "$0/data/postmaster.pid")" 2>/dev/null && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done
i=0; while rm -rf "$0"; [ $i -lt 5 ]; do sleep 0.5; i=$((i+1)); done` // again: what a killed initdb left may still write
	cmd := exec.Command("sh", "-c", script, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	w, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go cmd.Wait() //nolint:errcheck // nothing to do about it
	return w, nil
}
