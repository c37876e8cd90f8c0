package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// Agent is the agent of a site.
type Agent struct {
	*Process
	Site   string
	Dir    string // of its settings and data
	Port   int    // of its HTTP interface
	API    *rest.Client
	config string
}

// AgentOptions are the settings of an agent; every other one is the agent's default.
type AgentOptions struct {
	Site         string
	Zone         string // IANA name
	Broker       string // tcp://host:port
	User         string // at the broker; none when empty
	PasswordFile string
	Port         int    // of its HTTP interface
	More         string // further settings, YAML
}

// NewAgent writes an agent's settings to dir and returns it, not started.
func NewAgent(bin, dir, log string, o AgentOptions) (*Agent, error) {
	a := &Agent{
		Site: o.Site, Dir: dir, Port: o.Port, config: filepath.Join(dir, "agent.yaml"),
		API: rest.New(fmt.Sprintf("http://127.0.0.1:%d", o.Port), ""),
	}
	if err := os.MkdirAll(a.data(), 0o700); err != nil {
		return nil, fmt.Errorf("make the agent's directory: %w", err)
	}
	login := ""
	if o.User != "" {
		login = fmt.Sprintf("  username: %s\n  password_file: %s\n", o.User, o.PasswordFile)
	}
	text := fmt.Sprintf(`site: %s
data_dir: %s
zone: %s
resolution: 1h
mqtt:
  url: %s
%s  max_inflight: 200
http:
  listen: 127.0.0.1:%d
%s`, o.Site, a.data(), o.Zone, o.Broker, login, o.Port, o.More)
	if err := os.WriteFile(a.config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the agent's settings: %w", err)
	}
	a.Process = &Process{
		Name: "agent of " + o.Site, Path: filepath.Join(bin, "fluxora-agent"), Args: []string{"run", "--config", a.config}, Log: log,
	}
	return a, nil
}

// Config returns the path of the agent's settings, for its commands.
func (a *Agent) Config() string { return a.config }

func (a *Agent) data() string { return filepath.Join(a.Dir, "agent") }

// Enrolled reports whether the agent has an identity.
func (a *Agent) Enrolled() bool {
	_, err := os.Stat(filepath.Join(a.data(), "identity", "identity.json"))
	return !errors.Is(err, fs.ErrNotExist)
}

// Enrol gives the agent an identity at the hub, with a token made for it.
func (a *Agent) Enrol(ctx context.Context, h *Hub, zone string) error {
	token, err := h.Command(ctx, "token", "create", "--site", a.Site, "--zone", zone)
	if err != nil {
		return err
	}
	file := filepath.Join(a.Dir, "enrolment-token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return fmt.Errorf("keep the enrolment token: %w", err)
	}
	defer os.Remove(file)
	_, err = Run(ctx, nil, a.Path, "enroll", "--config", a.config, "--hub", h.Uplink(), "--token-file", file)
	return err
}

// Start starts the agent and waits until its HTTP interface answers.
func (a *Agent) Start(ctx context.Context) error {
	if err := a.Process.Start(); err != nil {
		return err
	}
	return WaitFor(ctx, a.Name+" to answer", 30*time.Second, func(ctx context.Context) (bool, error) {
		if !a.Running() {
			return false, a.EndedError()
		}
		return true, a.API.Get(ctx, "/healthz", nil)
	})
}

// Books returns the account of the agent.
func (a *Agent) Books(ctx context.Context) (rest.Books, error) {
	var o rest.Overview
	err := a.API.Get(ctx, "/v1/status", &o)
	return o.Readings, err
}
