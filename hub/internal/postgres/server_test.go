package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/postgres"
	"fluxora.dev/hub/internal/postgres/pgtest"
)

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, dir string) *postgres.Server {
	t.Helper()
	s, err := postgres.Start(t.Context(), postgres.Options{Dir: dir})
	if errors.Is(err, postgres.ErrNoBinaries) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var v string
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func exec(t *testing.T, url, sql string) {
	t.Helper()
	query(t, url, "with x as ("+sql+") select ''")
}

func TestLifeOfACluster(t *testing.T) {
	dir := tempDir(t)
	var log bytes.Buffer
	s, err := postgres.Start(t.Context(), postgres.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if errors.Is(err, postgres.ErrNoBinaries) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	if got := query(t, s.URL(), `select current_user || ' ' || current_setting('listen_addresses') || current_setting('is_superuser')`); got != "fluxora off" {
		t.Errorf("user, addresses, superuser = %q, want \"fluxora off\"", got)
	}
	for name, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"} {
		if got := query(t, s.URL(), "show "+name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	for _, d := range []string{"data", "run"} {
		if fi, err := os.Stat(filepath.Join(dir, d)); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v (%v), want 0700", d, fi.Mode().Perm(), err)
		}
	}
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `create table kept (n int); insert into kept values (1)`); err != nil {
		t.Fatal(err)
	}

	if _, err := postgres.Start(t.Context(), postgres.Options{Dir: dir}); !errors.Is(err, postgres.ErrInUse) {
		t.Errorf("second server on the directory: error %v, want ErrInUse", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatalf("Stop: %v", err)
	}
	s.Stop()
	conn.Close(t.Context()) // it was open while the server stopped, which is no cause for alarm
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("an orderly life is logged as %s", log.String())
	}

	// A server that is killed leaves postmaster.pid behind; its number may belong to anybody by now.
	s = start(t, dir)
	killed := s.PID()
	syscall.Kill(killed, syscall.SIGKILL)
	<-s.Done()
	if s.Err() == nil {
		t.Error("killed server: no error")
	}
	s.Stop()
	s = start(t, dir)
	exec(t, s.URL(), `insert into kept values (2) returning 1`)
	s.Stop()
	pid := filepath.Join(dir, "data", "postmaster.pid")
	if err := os.WriteFile(pid, fmt.Appendf(nil, "%d\n/elsewhere\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chown(pid, 0, 0)
	s = start(t, dir)
	if got := query(t, s.URL(), `select count(*)::text from kept`); got != "2" {
		t.Errorf("%s rows kept over restarts and a crash, want 2", got)
	}
	s.Stop()

	// A data directory of a version that is not installed is refused, and named.
	version := filepath.Join(dir, "data", "PG_VERSION")
	if err := os.WriteFile(version, []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = postgres.Start(t.Context(), postgres.Options{Dir: dir})
	if !errors.Is(err, postgres.ErrVersion) || !strings.Contains(err.Error(), "postgresql-9") {
		t.Errorf("foreign version: error %v, want ErrVersion naming the package", err)
	}
}

func TestOrphanIsEnded(t *testing.T) {
	if os.Getenv("FLUXORA_ORPHAN") != "" {
		s, err := postgres.Start(context.Background(), postgres.Options{Dir: os.Getenv("FLUXORA_ORPHAN")})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("pid", s.PID())
		syscall.Kill(os.Getpid(), syscall.SIGKILL) // as a hub that is killed
	}
	dir := tempDir(t)
	cmd := reexec("TestOrphanIsEnded", "FLUXORA_ORPHAN="+dir)
	out, _ := cmd.Output()
	var pid int
	if _, err := fmt.Sscanf(string(out), "pid %d", &pid); err != nil {
		if strings.Contains(string(out), postgres.ErrNoBinaries.Error()) {
			t.Skipf("skipped: %s", out)
		}
		t.Fatalf("killed hub printed %q", out)
	}
	s := start(t, dir)
	if s.PID() == pid {
		t.Error("the new server has the old one's process id")
	}
	if got := query(t, s.URL(), `select 'up'`); got != "up" {
		t.Errorf("got %q", got)
	}
}

func TestStartErrors(t *testing.T) {
	dir := tempDir(t)
	if _, err := postgres.Start(t.Context(), postgres.Options{Dir: dir, Binaries: dir}); !errors.Is(err, postgres.ErrNoBinaries) {
		t.Errorf("no binaries: error %v, want ErrNoBinaries", err)
	}
	start(t, filepath.Join(dir, "probe")).Stop() // skips without Postgres
	foreign := filepath.Join(dir, "foreign", "data")
	if err := os.MkdirAll(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Dir(foreign)}); err == nil {
		t.Error("a directory with something else in it was taken")
	}
	if os.Geteuid() == 0 {
		closed := filepath.Join(dir, "closed")
		if err := os.Mkdir(closed, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(closed, "hub")})
		if err == nil || !strings.Contains(err.Error(), closed) {
			t.Errorf("parent closed to the server's user: error %v, want one that names %s", err, closed)
		}
	}
	if _, err := os.Stat(filepath.Join(foreign, "precious")); errors.Is(err, fs.ErrNotExist) {
		t.Error("a foreign file is gone")
	}
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(tempDir(t), strings.Repeat("long", 25))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	if got := query(t, s.URL(), `select 'up'`); got != "up" {
		t.Errorf("got %q", got)
	}
}
