package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Database and Role are what the hub connects to and as whom.
const (
	Database = "fluxora"
	Role     = "fluxora"

	RequestRole = "fluxora_request" // as whom requests of tenants are served; owns nothing
	admin       = "postgres"
)

// maxSocketPath is the longest path of a Unix socket, in bytes, that Linux accepts; BSDs accept 103.
const maxSocketPath = 103

// ErrInUse says that another process of this machine runs the cluster.
var ErrInUse = errors.New("data directory is in use")

// Options tell Start what to run.
type Options struct {
	Dir             string        // holds the cluster in data, the socket in run, and the lock
	Binaries        string        // directory of initdb and postgres; looked for when empty
	Log             *slog.Logger  // nil discards
	SharedBuffersMB int           // 96 when 0
	MaxConnections  int           // 100 when 0
	Settings        []string      // further "name=value" settings of postgresql.conf
	Ephemeral       bool          // give up durability for speed; for tests only
	StopTimeout     time.Duration // of a fast shutdown, before an immediate one; 30 s when 0
}

// Server is a running private Postgres server.
type Server struct {
	o      Options
	socket string // directory of the socket
	lock   *os.File
	proc   *os.Process
	output *output

	stop sync.Once
	done chan struct{} // closed when the server has ended
	err  error         // why; valid once done is closed
}

// Start runs the server of o.Dir, making the cluster first when there is none, and returns when it answers. Only one
// Server may run on a directory at a time; another gets ErrInUse.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start private Postgres: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SharedBuffersMB == 0 {
		o.SharedBuffersMB = 96
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 100
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 30 * time.Second
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o711); err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.EvalSymlinks(o.Dir); err != nil {
		return nil, err
	}
	s := &Server{o: o, done: make(chan struct{}), output: &output{log: o.Log}}
	if s.lock, err = takeLock(filepath.Join(o.Dir, "lock")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.lock.Close()
		}
	}()

	data := filepath.Join(o.Dir, "data")
	major, err := dataVersion(data)
	if err != nil {
		return nil, err
	}
	bin, err := findInstallation(ctx, o.Binaries, major)
	if err != nil {
		return nil, err
	}
	acc, err := serverAccount(data)
	if err != nil {
		return nil, err
	}
	if err := acc.reaches(data); err != nil {
		return nil, err
	}
	if major == 0 {
		if err := initialize(ctx, bin, acc, o, data); err != nil {
			return nil, err
		}
	}
	if err := writeAccess(acc, data); err != nil {
		return nil, err
	}
	if err := endOrphan(ctx, data, o.Log); err != nil {
		return nil, err
	}
	if s.socket, err = socketDir(acc, o.Dir); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		if err = s.run(ctx, bin, acc, data); err == nil {
			break
		}
		// Processes of a server that was killed hold its shared memory until they notice, a moment later.
		if !s.output.contains("shared memory block") || attempt == 20 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(250 * time.Millisecond):
		}
		s.done, s.output = make(chan struct{}), &output{log: o.Log}
	}
	if err := s.prepare(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	o.Log.Info("private Postgres is up", "version", bin.major, "dir", o.Dir, "user", acc.name)
	return s, nil
}

// run starts the server process and waits until it answers.
func (s *Server) run(ctx context.Context, bin installation, acc account, data string) error {
	settings := []string{
		"listen_addresses=",
		"unix_socket_directories=" + s.socket,
		"unix_socket_permissions=0700",
		"port=5432",
		fmt.Sprintf("shared_buffers=%dMB", s.o.SharedBuffersMB),
		fmt.Sprintf("max_connections=%d", s.o.MaxConnections),
		"jit=off",
		"timezone=UTC",
		"log_timezone=UTC",
		"log_line_prefix=",
		"lc_messages=C",
		"max_wal_size=2GB",
		"checkpoint_timeout=15min",
		"wal_compression=on",
	}
	if s.o.Ephemeral {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
	}
	args := []string{"-D", data}
	for _, set := range append(settings, s.o.Settings...) {
		args = append(args, "-c", set)
	}
	dead := syscall.SIGINT // fast shutdown
	if s.o.Ephemeral {
		dead = syscall.SIGQUIT // at once
	}
	cmd := command(bin, acc, "postgres", args...)
	cmd.SysProcAttr = acc.attributes(dead)
	cmd.Stdout, cmd.Stderr = s.output, s.output

	started := make(chan error, 1)
	go func() {
		// The parent-death signal is sent when the thread ends that started the process, so this one must stay.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		s.err = s.output.explain(err)
		close(s.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	s.proc = cmd.Process

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url(admin, "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			return s.err
		case <-ctx.Done():
			_ = s.proc.Signal(syscall.SIGQUIT)
			<-s.done
			return fmt.Errorf("%w while waiting for the server; its last answer: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// prepare makes the hub's roles and database when they are not there.
func (s *Server) prepare(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url(admin, "postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var role, requests, database bool
	err = conn.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1), exists (select from pg_roles where rolname = $2),
		exists (select from pg_database where datname = $3)`, Role, RequestRole, Database).Scan(&role, &requests, &database)
	if err != nil {
		return err
	}
	if !role {
		if _, err := conn.Exec(ctx, `create role `+Role+` login`); err != nil {
			return fmt.Errorf("create role: %w", err)
		}
	}
	if !requests {
		if _, err := conn.Exec(ctx, `create role `+RequestRole+` login`); err != nil {
			return fmt.Errorf("create role of requests: %w", err)
		}
		if _, err := conn.Exec(ctx, `grant `+RequestRole+` to `+Role); err != nil { // so that the hub can put it on, too
			return fmt.Errorf("grant role of requests: %w", err)
		}
	}
	if !database {
		if _, err := conn.Exec(ctx, `create database `+Database+` owner `+Role); err != nil {
			return fmt.Errorf("create database: %w", err)
		}
	}
	return nil
}

// URL returns the URL of the hub's database, as role fluxora. It holds no secret.
func (s *Server) URL() string { return s.url(Role, Database) }

// RequestURL returns the URL of the same database as RequestRole.
func (s *Server) RequestURL() string { return s.url(RequestRole, Database) }

// AdminURL returns the URL of the named database as the cluster's superuser, for tests and for maintenance by hand.
func (s *Server) AdminURL(database string) string { return s.url(admin, database) }

func (s *Server) url(role, database string) string {
	q := url.Values{"host": {s.socket}, "port": {"5432"}, "user": {role}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// PID returns the process id of the server.
func (s *Server) PID() int { return s.proc.Pid }

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server ended, nil for an orderly shutdown. It must be called only after Done is closed.
func (s *Server) Err() error { return s.err }

// Stop ends the server: fast (open transactions are rolled back, everything committed is kept), and immediately when
// that takes longer than the timeout, which costs only the replay of the log at the next start. It returns when the
// server has ended and may be called more than once.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		_ = s.proc.Signal(syscall.SIGINT)
		select {
		case <-s.done:
		case <-time.After(s.o.StopTimeout):
			s.o.Log.Warn("private Postgres does not end, stopping it at once", "timeout", s.o.StopTimeout)
			_ = s.proc.Signal(syscall.SIGQUIT)
			<-s.done
		}
		if !strings.HasPrefix(s.socket, s.o.Dir) {
			_ = os.RemoveAll(s.socket)
		}
		_ = s.lock.Close()
	})
	return s.err
}

// command prepares a program of the installation, run as the account and without the hub's environment.
func command(bin installation, acc account, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin.dir, program), args...)
	cmd.Dir = "/"
	cmd.Env = []string{"HOME=" + acc.home(), "LC_ALL=C", "LANG=C", "TZ=UTC", "PATH=" + bin.dir + ":/usr/bin:/bin"}
	return cmd
}

// socketDir makes the directory of the socket: run in dir or, when that path is too long for a socket, a temporary one.
func socketDir(acc account, dir string) (string, error) {
	run := filepath.Join(dir, "run")
	if len(run)+len("/.s.PGSQL.5432") > maxSocketPath || strings.ContainsAny(run, `,"`) {
		var err error
		if run, err = os.MkdirTemp("", "fluxora-pg-"); err != nil {
			return "", err
		}
		if err := acc.reaches(run); err != nil {
			return "", err
		}
	}
	return run, acc.own(run)
}

// takeLock locks the file at path for this process, so that a second hub does not end the server of the first.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: another hub holds %s", ErrInUse, path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// output passes what the server prints to the log and keeps the last lines to explain its end.
type output struct {
	log  *slog.Logger
	mu   sync.Mutex
	part []byte
	last []string
}

// Write takes what the server printed.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.part = append(o.part, b...)
	for {
		line, rest, ok := strings.Cut(string(o.part), "\n")
		if !ok {
			break
		}
		o.part = append(o.part[:0], rest...)
		o.log.Log(context.Background(), levelOf(line), "postgres: "+line)
		o.last = append(o.last, line)
		o.last = o.last[max(0, len(o.last)-20):]
	}
	return len(b), nil
}

// levelOf returns how much a line of the server matters. What it says to connections while it comes up or goes down in
// order is FATAL to it and nothing to people.
func levelOf(line string) slog.Level {
	contains := func(s string) bool { return strings.Contains(line, s) }
	switch {
	case slices.ContainsFunc([]string{"due to administrator command", "the database system is starting up", "the database system is shutting down"}, contains):
		return slog.LevelDebug
	case slices.ContainsFunc([]string{"FATAL:", "PANIC:", "could not", "initdb: error:"}, contains):
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (o *output) contains(s string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.last, func(l string) bool { return strings.Contains(l, s) })
}

// explain joins the end of a process with what it last complained of.
func (o *output) explain(err error) error {
	if err == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var said []string
	for _, l := range o.last {
		for _, p := range []string{"FATAL:", "PANIC:", "ERROR:", "HINT:", "DETAIL:", "error:", "could not"} {
			if strings.Contains(l, p) {
				said = append(said, strings.TrimSpace(l))
				break
			}
		}
	}
	text := strings.Join(said, "; ")
	switch {
	case strings.Contains(text, "No space left on device"):
		text += " — the disk is full: free some space and start again"
	case strings.Contains(text, "ermission denied"):
		text += " — the user that runs Postgres needs to own its directory"
	case text == "":
		text = strings.Join(o.last, "; ")
	}
	return fmt.Errorf("%w: %s", err, text)
}
