package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// TestAgentKilledUnderLoad kills the agent five times while readings pour in: the hub ends up with every reading that the
// broker took, none twice.
func TestAgentKilledUnderLoad(t *testing.T) {
	w := newWorld(t, "")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	w.begin()

	from := time.Now().AddDate(0, 0, -30)
	stop := w.meters.load(3, newCounter("kitchen", from), newCounter("cellar", from))
	for range 5 {
		w.passes(w.status(w.agent).Readings.Received + rng.Int64N(2_000))
		w.must("kill the agent", w.agent.Kill())
		w.startAgent()
	}
	stop()
	w.wantExactly(w.meters.acked)
	w.sameIntervals("kitchen", "cellar")
}

// passes waits, without a pause, until the agent has taken more than n readings.
func (w *world) passes(n int64) {
	w.Helper()
	for w.status(w.agent).Readings.Received <= n {
		w.must("wait for readings", context.Cause(w.ctx))
	}
}

// TestHubKilledWhileItTakesIn kills the hub twice, and its Postgres alone once, while the agent drains a backlog and more
// readings come: afterwards the hub has every one, none twice.
func TestHubKilledWhileItTakesIn(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	from := time.Now().AddDate(0, 0, -30)
	kitchen, cellar := newCounter("kitchen", from), newCounter("cellar", from)

	stop := w.meters.load(5, kitchen, cellar)
	for range 2 {
		w.delivers()
		server := w.postmaster()
		w.must("kill the hub", w.hub.Kill())
		w.gone(server)
		w.passes(w.status(w.agent).Readings.Received + 2_000)
		w.startHub()
	}
	w.delivers()
	w.must("kill Postgres alone", syscall.Kill(w.postmaster(), syscall.SIGKILL))
	w.delivers() // the hub starts it again by itself
	stop()

	if !w.hub.Running() {
		t.Error("the hub ended with its Postgres: want it to start another")
	}
	w.wantExactly(w.meters.acked)
	w.sameIntervals("kitchen", "cellar")
}

// delivers waits until the hub takes in, with more on its way.
func (w *world) delivers() {
	w.Helper()
	before := w.status(w.agent).Readings.Delivered
	w.waitStatus(w.agent, "readings on their way to the hub", func(o rest.Overview) bool {
		return o.Readings.Delivered > before && o.Readings.Pending > 0
	})
}

// postmaster returns the process id of the hub's private Postgres.
func (w *world) postmaster() int {
	w.Helper()
	b, err := os.ReadFile(w.path("hub/postgres/data/postmaster.pid"))
	w.must("find the hub's Postgres", err)
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	w.must("find the hub's Postgres", err)
	return pid
}

// gone waits until a process and all its children have ended.
func (w *world) gone(pid int) {
	w.Helper()
	w.wait(fmt.Sprintf("process %d to be gone", pid), func(context.Context) (bool, error) {
		return syscall.Kill(pid, 0) == syscall.ESRCH, nil
	})
}
