package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// initialize makes a cluster in data. A crash leaves data.new behind, never half a cluster under the real name.
func initialize(ctx context.Context, bin installation, acc account, o Options, data string) error {
	fresh := data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove what an interrupted initdb left: %w", err)
	}
	if err := acc.own(fresh); err != nil {
		return err
	}
	args := []string{"-D", fresh, "-U", admin, "--encoding=UTF8", "--locale=C", "--auth-local=peer", "--auth-host=reject", "--data-checksums"}
	if o.Ephemeral {
		args = append(args, "--no-sync")
	}
	out := &output{log: o.Log}
	cmd := command(bin, acc, "initdb", args...)
	cmd.SysProcAttr = acc.attributes(syscall.SIGKILL)
	cmd.Stdout, cmd.Stderr = out, out
	result := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		if p := cmd.Process; p != nil {
			_ = p.Kill()
		}
	})
	defer stop()
	go func() {
		runtime.LockOSThread() // see Server.run
		result <- cmd.Run()
	}()
	if err := <-result; err != nil {
		_ = os.RemoveAll(fresh)
		if ctx.Err() != nil {
			return fmt.Errorf("initdb: %w", context.Cause(ctx))
		}
		return fmt.Errorf("initdb: %w", out.explain(err))
	}
	if err := os.Remove(data); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Rename(fresh, data)
}

// writeAccess says who may connect: the hub's own user, by the kernel's word, over the socket.
func writeAccess(acc account, data string) error {
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("user %d has no entry in /etc/passwd, which Postgres needs to know him: %w", os.Geteuid(), err)
	}
	files := map[string]string{
		"pg_hba.conf": "# Written by fluxora-hub at every start.\nlocal all all peer map=hub\n",
		"pg_ident.conf": "# Written by fluxora-hub at every start.\n" +
			fmt.Sprintf("hub \"%[1]s\" %[2]s\nhub \"%[1]s\" %[3]s\nhub \"%[1]s\" %[4]s\n", me.Username, admin, Role, RequestRole),
	}
	for name, text := range files {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if acc.drop {
			if err := os.Chown(path, acc.uid, acc.gid); err != nil {
				return err
			}
		}
	}
	return nil
}

// endOrphan ends the server that a dead hub left running on data, and removes a lock file that would wrongly keep
// Postgres from starting. The caller must hold the lock on the directory.
func endOrphan(ctx context.Context, data string, log *slog.Logger) error {
	path := filepath.Join(data, "postmaster.pid")
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		log.Warn("removing a damaged postmaster.pid", "path", path)
		return os.Remove(path)
	}
	if syscall.Kill(pid, 0) != nil {
		return nil // stale; Postgres checks that no child of that server lives and takes over
	}
	if !serves(pid, data) {
		log.Warn("removing a stale postmaster.pid: the process is no server of this cluster", "pid", pid)
		return os.Remove(path)
	}
	log.Warn("ending the Postgres server that an earlier hub left", "pid", pid)
	_ = syscall.Kill(pid, syscall.SIGINT)
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for serves(pid, data) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for server %d of %s to end: %w", pid, data, context.Cause(ctx))
		case <-patience.C:
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		case <-tick.C:
		}
	}
	return nil
}
