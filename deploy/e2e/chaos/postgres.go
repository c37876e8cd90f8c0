package chaos

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fluxora.dev/deploy/e2e/stage"
)

// killPostmaster kills the Postgres server; the hub starts another by itself.
func (w *world) killPostmaster(ctx context.Context) error {
	pid, err := w.postmaster()
	if err != nil {
		return nil // it is on its way up again
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return nil
	}
	return stage.WaitFor(ctx, "the hub to start another Postgres", time.Minute, func(context.Context) (bool, error) {
		now, err := w.postmaster()
		return now != pid, err
	})
}

// coldPostgres kills the Postgres server; the next one finds nothing of the database in memory, neither in buffers of its own nor in
// the machine's page cache, as on a machine that a database has just moved to.
func (w *world) coldPostgres(ctx context.Context) error {
	if err := w.killPostmaster(ctx); err != nil {
		return err
	}
	err := filepath.WalkDir(w.path("hub/postgres/data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it may be gone by now
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		_ = unix.Fdatasync(int(f.Fd())) // only clean pages can be given up
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
	if err != nil {
		return fmt.Errorf("empty the page cache of Postgres: %w", err)
	}
	return nil
}

// dropCaches empties the page cache of the whole machine, which other programs on it feel too.
func dropCaches() error {
	syscall.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("1\n"), 0); err != nil {
		return fmt.Errorf("empty the page cache of the machine: %w", err)
	}
	return nil
}

// postmaster returns the process id of the hub's private Postgres.
func (w *world) postmaster() (int, error) {
	b, err := os.ReadFile(w.path("hub/postgres/data/postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(strings.TrimSpace(line))
}

// children returns the processes that a process has started.
func children(pid int) (pids []int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for f := range strings.FieldsSeq(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
