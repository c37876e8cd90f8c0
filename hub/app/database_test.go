package app

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fluxora.dev/hub/internal/postgres/pgtest"
)

// said tells when a log says something.
type said struct {
	what string
	told chan struct{}
}

func (s said) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(s.what)) {
		select {
		case s.told <- struct{}{}:
		default:
		}
	}
	return len(b), nil
}

// TestStopWhileItsPostgresIsDown stops a hub whose private Postgres was killed, before another could be started: that is no failure of
// the stop. (Campaign of seed 11, round 11.)
func TestStopWhileItsPostgresIsDown(t *testing.T) {
	pgtest.Server(t) // skips when there is no Postgres
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	c := DefaultConfig()
	c.DataDir = dir
	down := said{"private Postgres does not start", make(chan struct{}, 1)}
	p, err := startPrivate(t.Context(), c, slog.New(slog.NewTextHandler(down, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "postgres/data/postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	p.o.Binaries = filepath.Join(dir, "nowhere") // so that no other starts
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	kept := make(chan error, 1)
	go func() { kept <- p.keep(ctx) }()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-down.told
	cancel()
	if err := <-kept; err != nil {
		t.Error(err)
	}
	if err := p.stop(); err != nil {
		t.Errorf("stop: %v, want none: how Postgres ended was said before", err)
	}
}
