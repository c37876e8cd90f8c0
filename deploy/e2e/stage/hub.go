package stage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// ErrEnded says that a program which is needed has ended by itself.
var ErrEnded = errors.New("ended by itself")

// Hub is a hub with a private Postgres.
type Hub struct {
	*Process
	Dir        string // of its data
	HTTPPort   int
	UplinkPort int
	API        *rest.Client // with a token once Token was called
	env        []string
}

// NewHub returns a hub that is not started. Every setting that is not given is the hub's default.
func NewHub(bin, dir, log string, httpPort, uplinkPort int, settings ...string) *Hub {
	h := &Hub{Dir: dir, HTTPPort: httpPort, UplinkPort: uplinkPort}
	h.env = append([]string{
		"FLUXORA_HUB_DATA_DIR=" + dir,
		fmt.Sprintf("FLUXORA_HUB_HTTP_LISTEN=127.0.0.1:%d", httpPort),
		fmt.Sprintf("FLUXORA_HUB_UPLINK_LISTEN=127.0.0.1:%d", uplinkPort),
	}, settings...)
	h.Process = &Process{Name: "hub", Path: filepath.Join(bin, "fluxora-hub"), Args: []string{"serve"}, Env: h.env, Log: log}
	h.API = rest.New(h.URL(), "")
	return h
}

// URL returns where the REST interface is.
func (h *Hub) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", h.HTTPPort) }

// Uplink returns where agents connect, host:port.
func (h *Hub) Uplink() string { return fmt.Sprintf("127.0.0.1:%d", h.UplinkPort) }

// Command runs a command of fluxora-hub with this hub's settings and returns what it printed.
func (h *Hub) Command(ctx context.Context, args ...string) (string, error) {
	out, err := Run(ctx, h.env, h.Path, args...)
	return strings.TrimSpace(out), err
}

// Start starts the hub and waits until it is ready.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.Process.Start(); err != nil {
		return err
	}
	return WaitFor(ctx, "the hub to be ready", time.Minute, func(ctx context.Context) (bool, error) {
		if !h.Running() {
			return false, h.EndedError()
		}
		return true, h.API.Get(ctx, "/readyz", nil)
	})
}

// Token asks the hub for a new token of its REST interface and uses it from then on.
func (h *Hub) Token(ctx context.Context) (string, error) {
	token, err := h.Command(ctx, "api-token", "rotate")
	if err != nil {
		return "", err
	}
	h.API = rest.New(h.URL(), token)
	return token, nil
}

// EndedError says that the program has ended by itself, with the end of its log.
func (p *Process) EndedError() error {
	return fmt.Errorf("%s %w; the end of %s:\n%s", p.Name, ErrEnded, p.Log, p.Tail(15))
}

// WaitFor asks until ready says yes, until its error is ErrEnded, or until the time is over.
func WaitFor(ctx context.Context, what string, within time.Duration, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("waiting for %s: not within %s", what, within))
	defer cancel()
	var last error
	for {
		ok, err := ready(ctx)
		switch {
		case ok && err == nil:
			return nil
		case errors.Is(err, ErrEnded):
			return err
		case ctx.Err() == nil:
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
