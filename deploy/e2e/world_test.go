package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
)

// world is one site with everything it needs: a broker, a hub with its Postgres, and an agent, as real programs on ports of
// their own. A test starts, kills and stops them as it likes; what still runs at its end is stopped in order, which must
// succeed.
type world struct {
	*testing.T
	ctx    context.Context
	dir    string
	broker *stage.Mosquitto
	hub    *stage.Hub
	agent  *stage.Agent
	meters *publisher // publishes readings as a bridge would, and knows what the broker has acked
}

const (
	site = "home"
	zone = "Europe/Oslo"
)

// newWorld returns a world in which nothing runs yet. more is YAML for the agent.
func newWorld(t *testing.T, more string) *world {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	w := &world{T: t, ctx: ctx}

	// Short, since the path of Postgres' socket must be; and open, since Postgres runs as another user when the test runs as root.
	var err error
	w.dir, err = os.MkdirTemp("", "fx-")
	w.must("make a directory", err)
	w.must("open it for Postgres", os.Chmod(w.dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(w.dir) })

	w.broker, err = stage.NewMosquitto(w.path("broker"), w.path("broker.log"), w.port())
	w.must("prepare the broker", err)
	w.hub = w.newHub("hub")
	w.agent = w.newAgent(site, more)
	w.meters = newPublisher(w)
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			w.tell()
		}
	})
	return w
}

// newHub returns a hub that trains only when it is told to.
func (w *world) newHub(name string, settings ...string) *stage.Hub {
	return stage.NewHub(programs, w.path(name), w.path(name+".log"), w.port(), w.port(),
		append(settings, "FLUXORA_HUB_TRAINING_FIRST_AFTER=9600h", "FLUXORA_HUB_TRAINING_ROUNDS=60")...)
}

// newAgent returns an agent of the named site, which is not enrolled. Tests need not wait as long for commits as flash would like.
func (w *world) newAgent(site, more string) *stage.Agent {
	w.Helper()
	a, err := stage.NewAgent(programs, w.path("site-"+site), w.path("agent-"+site+".log"), stage.AgentOptions{
		Site: site, Zone: zone, Broker: w.broker.URL(), Port: w.port(),
		More: cmp.Or(more, "store:\n  commit_window: 100ms\n"),
	})
	w.must("prepare the agent of "+site, err)
	return a
}

// begin starts the broker, the hub and the agent, enrolled.
func (w *world) begin() {
	w.Helper()
	w.startBroker()
	w.startHub()
	w.enrol(w.agent)
	w.startAgent()
}

func (w *world) startBroker() { w.Helper(); w.must("start the broker", w.broker.Start(w.ctx)) }
func (w *world) startHub()    { w.Helper(); w.must("start the hub", w.hub.Start(w.ctx)) }
func (w *world) startAgent()  { w.Helper(); w.must("start the agent", w.agent.Start(w.ctx)) }

func (w *world) stopHub() { w.Helper(); w.must("stop the hub", w.hub.Stop(30*time.Second)) }

// enrol gives an agent its identity, and the test a token for the hub's REST interface.
func (w *world) enrol(a *stage.Agent) {
	w.Helper()
	w.must("enrol the agent of "+a.Site, a.Enrol(w.ctx, w.hub, zone))
	_, err := w.hub.Token(w.ctx)
	w.must("get a token of the hub", err)
}

// stop ends what still runs, from the meters to the broker.
func (w *world) stop() {
	w.meters.close()
	if err := w.agent.Stop(20 * time.Second); err != nil {
		w.Error(err)
	}
	if err := w.hub.Stop(30 * time.Second); err != nil {
		w.Error(err)
	}
	if err := w.broker.Stop(10 * time.Second); err != nil {
		w.Error(err)
	}
}

// tell shows the end of what the programs of a failed test printed.
func (w *world) tell() {
	logs, _ := filepath.Glob(w.path("*.log"))
	for _, log := range logs {
		w.Logf("the end of %s:\n%s", filepath.Base(log), (&stage.Process{Log: log}).Tail(25))
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) must(what string, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// wait asks until ready says yes.
func (w *world) wait(what string, ready func(context.Context) (bool, error)) {
	w.Helper()
	w.must("", stage.WaitFor(w.ctx, what, time.Minute, ready))
}

// status returns what the agent says of itself.
func (w *world) status(a *stage.Agent) (o rest.Overview) {
	w.Helper()
	w.must("ask the agent", a.API.Get(w.ctx, "/v1/status", &o))
	return o
}

// waitStatus waits until the agent's word on itself is as wanted.
func (w *world) waitStatus(a *stage.Agent, what string, want func(rest.Overview) bool) {
	w.Helper()
	w.wait(what, func(ctx context.Context) (bool, error) {
		var o rest.Overview
		if err := a.API.Get(ctx, "/v1/status", &o); err != nil {
			return false, err
		}
		if !want(o) {
			return false, fmt.Errorf("the agent says %+v", o)
		}
		return true, nil
	})
}

// ports gives every world ports of its own, below those that the kernel gives to outgoing connections, so that a port stays
// free while its program is down.
var ports struct {
	sync.Mutex
	next int
}

func (w *world) port() int {
	w.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = 12_000 + os.Getpid()*37%16_000
	}
	for range 1000 {
		ports.next++
		if stage.CheckPort(ports.next, "", "") == nil {
			return ports.next
		}
	}
	w.Fatal(errors.New("found no free port"))
	return 0
}
