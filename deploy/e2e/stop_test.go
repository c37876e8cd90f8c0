package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/stage"
)

// TestStopping tells each program to end while readings pour in: each does so within its bound, with exit code 0, and takes its
// children with it.
func TestStopping(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	bridge := w.newBridge(30)
	w.must("start the bridge", bridge.Start())
	w.waitLive(3)
	stop := w.meters.load(5, newCounter("kitchen", time.Now().AddDate(0, 0, -30)))
	w.passes(w.status(w.agent).Readings.Received + 1_000)

	for _, c := range []struct {
		program *stage.Process
		bound   time.Duration
	}{
		{bridge, 15 * time.Second},
		{w.agent.Process, 15 * time.Second}, // app.grace
		{w.hub.Process, 15 * time.Second},   // stop_within
	} {
		family := w.family(c.program.Pid())
		if c.program == w.hub.Process && len(family) < 3 {
			t.Errorf("the hub has %d processes: want its Postgres among them", len(family))
		}
		began := time.Now()
		if err := c.program.Stop(c.bound); err != nil {
			t.Errorf("%s: %v", c.program.Name, err)
		}
		for _, pid := range family {
			if syscall.Kill(pid, 0) != syscall.ESRCH {
				t.Errorf("%s left process %d behind", c.program.Name, pid)
			}
		}
		t.Logf("%s ended in %s, with %d processes", c.program.Name, time.Since(began).Round(time.Millisecond), len(family))
	}
	stop()
	if left, _ := filepath.Glob(w.path("hub/*.url")); len(left) > 0 {
		t.Errorf("the hub left %v behind", left)
	}

	// Nothing is lost by stopping: what waited is taken when the programs are back.
	w.startHub()
	w.startAgent()
	w.drained(w.meters.count())
	have := books{}
	for s, rs := range w.atHub() {
		if s.Point == "kitchen" {
			have[s] = rs
		}
	}
	w.same("Postgres", have, w.meters.acked)
}

// family returns a process and all its descendants.
func (w *world) family(pid int) []int {
	w.Helper()
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	w.must("look at processes", err)
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// The name, in parentheses, may hold anything.
		var state string
		var parent int
		if _, err := fmt.Sscan(string(b[strings.LastIndexByte(string(b), ')')+1:]), &state, &parent); err != nil {
			w.Fatalf("read %s: %v", path, err)
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		w.must("read "+path, err)
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
