// Command fluxora-bench measures what only whole programs show: an agent's memory and CPU, idle and under load with a model
// in force, and the sizes of the programs. See `make bench`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
)

type flags struct {
	Points   int           `help:"Points of the agent." default:"20"`
	Rate     int           `help:"Readings per second under load." default:"1000"`
	For      time.Duration `help:"How long the load lasts." default:"20s"`
	Backfill int           `help:"Days of history before the load." default:"365"`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("fluxora-bench"), kong.Description("Measures an agent's memory and CPU, idle and under load."))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "fluxora-bench:", err)
		os.Exit(1)
	}
}

// bench is the programs that are measured.
type bench struct {
	flags
	dir, bin string
	broker   *stage.Mosquitto
	hub      *stage.Hub
	agent    *stage.Agent
	bridge   *stage.Process
	model    bool // one is in force
}

func run(ctx context.Context, f flags) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the programs: %w", err)
	}
	b := &bench{flags: f, bin: filepath.Dir(self)}
	if b.dir, err = os.MkdirTemp("", "fluxora-bench-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(b.dir)
	if err := os.Chmod(b.dir, 0o755); err != nil { // Postgres, which does not run as root, must pass
		return fmt.Errorf("open the directory: %w", err)
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.start(ctx); err != nil {
		return err
	}
	idle, err := sample(ctx, b.agent.Pid(), 5*time.Second)
	if err != nil {
		return err
	}
	fmt.Printf("agent idle, enrolled, no points: %.1f MB RSS, %.2f %% of a core\n", idle.rss, 100*idle.cpu)

	if err := b.fill(ctx); err != nil {
		return err
	}
	before, err := b.agent.Books(ctx)
	if err != nil {
		return err
	}
	loading, stopLoad := context.WithCancel(ctx)
	published := make(chan error, 1)
	go func() { published <- b.publish(loading) }()
	load, err := sample(ctx, b.agent.Pid(), b.For)
	stopLoad()
	if err := errors.Join(err, <-published); err != nil {
		return err
	}
	after, err := b.agent.Books(ctx)
	if err != nil {
		return err
	}
	n := float64(after.Received - before.Received)
	fmt.Printf("agent under load, %d points, model in force: %t, %.0f readings/s in single messages: %.1f MB RSS (peak since start %.1f MB), %.1f %% of a core, %.1f CPU µs per reading, intake to uplink\n",
		b.Points, b.model, n/b.For.Seconds(), load.rss, load.peak, 100*load.cpu, 1e6*load.cpu*b.For.Seconds()/n)
	return nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) start(ctx context.Context) error {
	var port [4]int
	for i := range port {
		var err error
		if port[i], err = stage.FreePort(); err != nil {
			return err
		}
	}
	var err error
	if b.broker, err = stage.NewMosquitto(b.path("broker"), b.path("broker.log"), port[0]); err != nil {
		return err
	}
	if err := b.broker.Start(ctx); err != nil {
		return err
	}
	b.hub = stage.NewHub(b.bin, b.path("hub"), b.path("hub.log"), port[1], port[2], "FLUXORA_HUB_TRAINING_FIRST_AFTER=9600h")
	if err := b.hub.Start(ctx); err != nil {
		return err
	}
	if _, err := b.hub.Token(ctx); err != nil {
		return err
	}
	b.agent, err = stage.NewAgent(b.bin, b.path("site"), b.path("agent.log"), stage.AgentOptions{
		Site: "bench", Zone: "Europe/Oslo", Broker: b.broker.URL(), Port: port[3],
	})
	if err != nil {
		return err
	}
	if err := b.agent.Enrol(ctx, b.hub, "Europe/Oslo"); err != nil {
		return err
	}
	return b.agent.Start(ctx)
}

// fill gives the agent history, has a model trained and waits until it is in force.
func (b *bench) fill(ctx context.Context) error {
	b.bridge = &stage.Process{
		Name: "bridge", Path: filepath.Join(b.bin, "fluxora-bridge"), Log: b.path("bridge.log"),
		Args: []string{
			"--profile", "office,school,home", "--site", "bench", "--broker", b.broker.URL(), "--wait-for-agent", "true", "--data-dir", b.path("bridge"),
			"--count", strconv.Itoa(b.Points), "--backfill", strconv.Itoa(b.Backfill), "--every", "5s",
		},
	}
	if err := b.bridge.Start(); err != nil {
		return err
	}
	if err := stage.WaitFor(ctx, "the history at the hub", 3*time.Minute, func(ctx context.Context) (bool, error) {
		if !b.bridge.Running() {
			return false, b.bridge.EndedError()
		}
		books, err := b.agent.Books(ctx)
		return books.Delivered > int64(b.Points*b.Backfill*24), err
	}); err != nil {
		return err
	}
	if _, err := b.hub.Command(ctx, "train", "--json"); err != nil {
		return err
	}
	var m rest.Models
	if err := b.hub.API.Get(ctx, "/v1/models", &m); err != nil {
		return err
	}
	if len(m.Trainings) > 0 && m.Trainings[0].Outcome != "promoted" {
		fmt.Printf("the training ended as %s (%s): what follows is without a model\n", m.Trainings[0].Outcome, m.Trainings[0].Reason)
		return nil
	}
	b.model = true
	return stage.WaitFor(ctx, "a model forecast of every point", 2*time.Minute, func(ctx context.Context) (bool, error) {
		var ps rest.AgentPoints
		if err := b.agent.API.Get(ctx, "/v1/points", &ps); err != nil {
			return false, err
		}
		n := 0
		for _, p := range ps.Points {
			if p.Forecast != nil && p.Forecast.Rung == "active" {
				n++
			}
		}
		if n < b.Points {
			return false, fmt.Errorf("%d of %d points have one", n, b.Points)
		}
		return true, nil
	})
}

func (b *bench) stop() error {
	var errs []error
	for _, p := range []*stage.Process{b.bridge, process(b.agent), hubProcess(b.hub), brokerProcess(b.broker)} {
		if p != nil {
			errs = append(errs, p.Stop(30*time.Second))
		}
	}
	return errors.Join(errs...)
}

func process(a *stage.Agent) *stage.Process {
	if a == nil {
		return nil
	}
	return a.Process
}

func hubProcess(h *stage.Hub) *stage.Process {
	if h == nil {
		return nil
	}
	return h.Process
}

func brokerProcess(m *stage.Mosquitto) *stage.Process {
	if m == nil {
		return nil
	}
	return m.Process
}

// use is what a process used over a while.
type use struct {
	rss, peak float64 // MB; rss is the most that was seen in the while
	cpu       float64 // cores
}

// sample watches a process for a while.
func sample(ctx context.Context, pid int, d time.Duration) (use, error) {
	var u use
	begin, err := cpuSeconds(pid)
	if err != nil {
		return u, err
	}
	start := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < d {
		rss, peak, err := memory(pid)
		if err != nil {
			return u, err
		}
		u.rss, u.peak = max(u.rss, rss), peak
		select {
		case <-ctx.Done():
			return u, context.Cause(ctx)
		case <-tick.C:
		}
	}
	end, err := cpuSeconds(pid)
	u.cpu = (end - begin) / time.Since(start).Seconds()
	return u, err
}

// memory returns resident and peak resident memory in MB.
func memory(pid int) (rss, peak float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			rss = kb * 1024 / 1e6
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			peak = kb * 1024 / 1e6
		}
	}
	return rss, peak, nil
}

// cpuSeconds returns the CPU time that a process has used, user and system.
func cpuSeconds(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	// The program's name, in parentheses, may hold spaces; what counts comes behind it.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time: %d fields: want 13 or more", len(fields))
	}
	const ticks = 100 // a second, on every Linux that Go runs on
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticks, errors.Join(err1, err2)
}
