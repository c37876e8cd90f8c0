// Package demo runs Fluxora's whole path on one machine: a broker, a hub with its private Postgres, and three sites with a
// bridge and an agent each, as the real programs in processes of their own.
//
// It knows how the parts are put together and what to show of them; it must not know how any of them works. All it keeps
// is in one directory, from which a later run goes on.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fluxora.dev/deploy/e2e/broker"
	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/lifecycle"
)

// Options says what to run and where.
type Options struct {
	Dir        string // of all data; empty for a temporary one that is deleted at the end
	Bin        string // directory of the programs
	Data       string // readings.csv or readings.csv.gz; empty for built-in synthetic sites
	Backfill   int    // days
	BrokerPort int    // 0 takes a free port, here and below
	HubPort    int    // REST
	UplinkPort int    // gRPC
	AgentPort  int    // REST of the first agent; the others follow
	Check      bool   // prove the promises and end, instead of waiting for Ctrl-C
	Out        io.Writer
	In         io.Reader // commands of the person; nil for none
	Tty        bool      // Out shows carriage returns
}

// demo is a running demo.
type demo struct {
	o        Options
	out      *screen
	start    time.Time
	broker   *broker.Broker
	user     string
	password string
	hub      *stage.Hub
	sites    []*site
}

// Run runs the demo until ctx ends or, with Check, until everything is proved.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{o: o, out: newScreen(o.Out, o.Tty), start: time.Now(), user: "demo"}
	if o.Dir == "" {
		if d.o.Dir, err = os.MkdirTemp("", "fluxora-demo-"); err != nil {
			return fmt.Errorf("make a directory for the demo: %w", err)
		}
		defer os.RemoveAll(d.o.Dir)
		// Postgres, which does not run as root, must be able to pass through.
		if err := os.Chmod(d.o.Dir, 0o755); err != nil {
			return fmt.Errorf("open the demo's directory: %w", err)
		}
	}
	if d.o.Dir, err = filepath.Abs(d.o.Dir); err != nil {
		return fmt.Errorf("demo directory: %w", err)
	}
	if err := os.MkdirAll(d.path("logs"), 0o755); err != nil {
		return fmt.Errorf("make the demo's directory: %w", err)
	}
	if err := d.ports(); err != nil {
		return err
	}
	// What goes wrong while the parts are taken down is told like any other error.
	parts := lifecycle.New(ctx, slog.New(slog.DiscardHandler), time.Minute)
	defer func() {
		stopping := d.out.stage("stopping")
		stopErr := parts.Stop()
		stopping()
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		err = errors.Join(err, stopErr)
	}()
	if err := d.setUp(ctx, parts); err != nil {
		return err
	}
	if err := d.fillAndTrain(ctx); err != nil {
		return err
	}
	if o.Check {
		return d.check(ctx)
	}
	return d.watch(ctx)
}

func (d *demo) path(elements ...string) string {
	return filepath.Join(append([]string{d.o.Dir}, elements...)...)
}

func (d *demo) program(name string) string { return filepath.Join(d.o.Bin, name) }

// ports checks that the wanted ports are free, and takes free ones where none is wanted.
func (d *demo) ports() error {
	for _, p := range []struct {
		port *int
		what string
		flag string
	}{
		{&d.o.BrokerPort, "MQTT", "--broker-port"},
		{&d.o.HubPort, "the hub's REST interface", "--hub-port"},
		{&d.o.UplinkPort, "the hub's uplink", "--uplink-port"},
	} {
		if *p.port == 0 {
			free, err := stage.FreePort()
			if err != nil {
				return err
			}
			*p.port = free
			continue
		}
		if err := stage.CheckPort(*p.port, p.what, p.flag); err != nil {
			return err
		}
	}
	return nil
}

// secret returns the password kept in the named file, which it makes when there is none.
func (d *demo) secret(name string) (string, error) {
	path := d.path(name)
	if b, err := os.ReadFile(path); err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	s := rand.Text()
	if err := os.WriteFile(path, []byte(s+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep %s: %w", name, err)
	}
	return s, nil
}

// setUp starts broker, hub, agents and bridges, in this order, and registers how to stop each.
func (d *demo) setUp(ctx context.Context, parts *lifecycle.Group) error {
	var err error
	if d.password, err = d.secret("mqtt-password"); err != nil {
		return err
	}
	if d.sites, err = d.chooseSites(ctx); err != nil {
		return err
	}
	done := d.out.stage("broker")
	d.broker, err = broker.Start(broker.Options{Dir: d.path("broker"), Port: d.o.BrokerPort, User: d.user, Password: d.password})
	if err != nil {
		return err
	}
	parts.OnStop("broker", func(context.Context) error { d.broker.Stop(); return nil })
	done("MQTT on 127.0.0.1:%d", d.o.BrokerPort)

	done = d.out.stage("hub")
	if err := d.startHub(ctx, parts); err != nil {
		return err
	}
	done("REST on http://127.0.0.1:%d, with a private Postgres in %s", d.o.HubPort, d.path("hub"))

	done = d.out.stage("agents")
	names := make([]string, len(d.sites))
	for i, s := range d.sites {
		if err := d.startAgent(ctx, parts, s); err != nil {
			return err
		}
		names[i] = s.name
	}
	done("enrolled over mutual TLS: %s", strings.Join(names, ", "))

	done = d.out.stage("bridges")
	points := 0
	for _, s := range d.sites {
		if err := d.startBridge(parts, s); err != nil {
			return err
		}
		points += s.points
	}
	done("%d meters, %d days of history, then live", points, d.o.Backfill)
	return nil
}

// waitFor asks until ready says yes, an agent or a bridge has ended by itself, or the time is over.
func (d *demo) waitFor(ctx context.Context, what string, within time.Duration, ready func(context.Context) (bool, error)) error {
	return stage.WaitFor(ctx, what, within, func(ctx context.Context) (bool, error) {
		if err := d.ended(); err != nil {
			return false, err
		}
		return ready(ctx)
	})
}

// ended returns an error when an agent or a bridge has ended by itself. The hub is not among them: it may be away.
func (d *demo) ended() error {
	for _, s := range d.sites {
		if s.agent != nil && s.agent.Ended() != nil && !s.agent.Running() {
			return s.agent.EndedError()
		}
		if s.bridge != nil && !s.bridge.Running() {
			return s.bridge.EndedError()
		}
	}
	return nil
}
