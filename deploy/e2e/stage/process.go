// Package stage runs Fluxora's real programs as child processes, for the demo and the end-to-end tests: it starts, stops,
// kills and restarts them and keeps what they print.
//
// Invariant: no child outlives this process, however it ends (the kernel's parent-death signal), and none is left behind
// by Close.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one program that can be started again and again. Its output is appended to one log file.
type Process struct {
	Name string   // for messages and the log file's name
	Path string   // of the program
	Args []string // without the program's name
	Env  []string // on top of this process's environment
	Log  string   // file that takes standard output and error

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
}

// Start starts the program; it must not be running.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("start %s: is running already, as process %d", p.Name, p.cmd.Process.Pid)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own keeps a terminal's Ctrl-C from reaching the children before their turn.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started, ended := make(chan error), make(chan struct{})
	go func() {
		// The parent-death signal is bound to the thread that forks, so that thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(ended)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd, p.ended, p.err = cmd, ended, nil
	return nil
}

func (p *Process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Running reports whether the program runs.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// Pid returns the process id of the running program, or 0.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.cmd.Process.Pid
}

// Ended is closed when the program that was started last has ended.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Signal sends sig to the running program.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return fmt.Errorf("signal %s: is not running", p.Name)
	}
	return p.cmd.Process.Signal(sig)
}

// Stop ends the program in order (SIGTERM), or by force after the grace time. It is no error when it was not running.
func (p *Process) Stop(grace time.Duration) error {
	if !p.Running() {
		return nil
	}
	ended := p.Ended()
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) && p.Running() {
		return err
	}
	select {
	case <-ended:
	case <-time.After(grace):
		_ = p.Kill()
		return fmt.Errorf("stop %s: did not end within %s and was killed", p.Name, grace)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("stop %s: %w\n%s", p.Name, p.err, p.tail(10))
	}
	return nil
}

// Kill ends the program at once (SIGKILL) and returns when it is gone.
func (p *Process) Kill() error {
	ended := p.Ended()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-ended
	return nil
}

// Tail returns the last n lines of the log.
func (p *Process) Tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tail(n)
}

func (p *Process) tail(n int) string {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Run runs a program to its end, with env on top of this process's environment, and returns what it printed on standard
// output; an error holds what it printed on standard error.
func Run(ctx context.Context, env []string, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
