package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fluxora.dev/deploy/e2e/frail"
	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/meter"
)

const (
	site = "home"
	zone = "Europe/Oslo"

	resolution = 15 * time.Minute // which the hub decides, so that many intervals fit little time

	storeCap = 8 << 20  // of the agent's store, so that it has several segments
	minFree  = 4 << 20  // of its file system, which it leaves to others as long as it can
	diskSize = 24 << 20 // of the file system that it lies on, where one can be mounted
)

// storeSettings are those of the agent's store.
var storeSettings = fmt.Sprintf("store:\n  commit_window: 200ms\n  state_window: 5s\n  max_bytes: %d\n  min_free: %d\n", storeCap, minFree)

// world is one site with everything it needs, and the networks between.
type world struct {
	dir    string
	bin    string
	broker *stage.Mosquitto
	hub    *stage.Hub
	agent  *stage.Agent
	toHub  *proxy
	toMQTT *proxy
	meters *publisher
	note   func(what string) // into the log of the round
	token  string            // of the hub's REST interface
	disk   string            // where the small file system that holds the agent's data is mounted; empty when none could be
	noDisk string            // why not
	frail  *frail.Disk       // between the agent and its data; nil when none could be mounted
	firm   string            // why not
	// dropCaches allows that the page cache of the whole machine is emptied.
	dropCaches bool
	// stopping is the longest time, in nanoseconds, that the agent took to stop.
	stopping atomic.Int64
	// destroyed is what was in files that a fault damaged and could not be read afterwards.
	destroyedMu sync.Mutex
	destroyed   map[instant]bool

	// A victim is harmed by one fault at a time.
	victims map[victim]*sync.Mutex
	// damaged is how often a fault damaged the agent's files, forgot how often the one with what it knows beside readings, cramped how often one left its disk no room, clones how many second
	// agents there were, cuts how often its power went.
	damaged, forgot, cramped, clones, cuts atomic.Int64
	// agentBlind is up to when the agent's own log may have holes after a damage, or since it dropped for room what the hub has:
	// what is corrected there later cannot change its intervals, so they are not compared.
	agentBlind map[series]meter.Millis
}

// victim is what a fault needs for itself.
type victim string

const (
	agentVictim  victim = "agent"
	hubVictim    victim = "hub" // and its Postgres
	brokerVictim victim = "broker"
	hubNetwork   victim = "network to the hub"
	mqttNetwork  victim = "network to the broker"
	diskVictim   victim = "disk"
	clockVictim  victim = "clock"
)

// newWorld starts everything in dir.
func newWorld(ctx context.Context, bin, dir string) (_ *world, err error) {
	w := &world{
		dir: dir, bin: bin, victims: make(map[victim]*sync.Mutex), agentBlind: make(map[series]meter.Millis), destroyed: make(map[instant]bool),
	}
	for _, v := range []victim{agentVictim, hubVictim, brokerVictim, hubNetwork, mqttNetwork, diskVictim, clockVictim} {
		w.victims[v] = new(sync.Mutex)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	var ports [4]int
	for i := range ports {
		if ports[i], err = freePort(i); err != nil {
			return nil, err
		}
	}
	if w.broker, err = stage.NewMosquitto(w.path("broker"), w.path("broker.log"), ports[0]); err != nil {
		return nil, err
	}
	if err := logMessages(w.path("broker/mosquitto.conf")); err != nil {
		return nil, err
	}
	if w.toMQTT, err = newProxy(fmt.Sprintf("127.0.0.1:%d", ports[0])); err != nil {
		return nil, err
	}
	w.hub = stage.NewHub(bin, w.path("hub"), w.path("hub.log"), ports[1], ports[2],
		"FLUXORA_HUB_TRAINING_FIRST_AFTER=9600h", "FLUXORA_HUB_SITE_RESOLUTION="+resolution.String())
	if w.toHub, err = newProxy(w.hub.Uplink()); err != nil {
		return nil, err
	}
	if err := w.mountDisks(); err != nil {
		return nil, err
	}
	w.agent, err = stage.NewAgent(bin, w.path("site"), w.path("agent.log"), stage.AgentOptions{
		Site: site, Zone: zone, Broker: "tcp://" + w.toMQTT.addr(), Port: ports[3],
		More: storeSettings + fmt.Sprintf("hub:\n  address: %s\n", w.toHub.addr()),
	})
	if err != nil {
		return nil, err
	}
	w.agent.Env = append(w.agent.Env, "FLUXORA_AGENT_CLOCK_OFFSET_FILE="+w.path(clockOffset))
	w.meters = newPublisher(w.broker.URL(), w.path("broker/mosquitto.db"))
	for _, start := range []func(context.Context) error{w.broker.Start, w.hub.Start} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	if err := w.agent.Enrol(ctx, w.hub, zone); err != nil {
		return nil, err
	}
	if w.token, err = w.hub.Token(ctx); err != nil {
		return nil, err
	}
	if err := w.agent.Start(ctx); err != nil {
		return nil, err
	}
	return w, w.subscribed(ctx)
}

// logMessages makes the broker log every message, so that a loss can be laid at its door, or not.
func logMessages(config string) error {
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("change the broker's settings: %w", err)
	}
	_, err = f.WriteString("log_type all\n")
	return errors.Join(err, f.Close())
}

// subscribed waits until the broker's own disk knows the agent's subscription; before, a kill of the broker would make it
// drop what comes for the agent.
func (w *world) subscribed(ctx context.Context) error {
	began := time.Now()
	return stage.WaitFor(ctx, "the broker to save the agent's subscription", 30*time.Second, func(ctx context.Context) (bool, error) {
		if err := w.agent.API.Get(ctx, "/readyz", nil); err != nil {
			began = time.Now()
			return false, err
		}
		info, err := os.Stat(w.meters.db)
		return err == nil && info.ModTime().After(began.Add(time.Second)), err
	})
}

// mountDisks gives the agent's data a small file system of its own, and lays a frail one over it, each if that can be done here.
func (w *world) mountDisks() error {
	behind, dir := w.path("site/agent-disk"), w.path("site/agent")
	for _, d := range []string{behind, dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make the agent's disk: %w", err)
		}
	}
	if err := syscall.Mount("tmpfs", behind, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize)); err != nil {
		w.noDisk = fmt.Sprintf("a small file system cannot be mounted here: %v", err)
	} else {
		w.disk = behind
	}
	var err error
	if w.frail, err = frail.Mount(behind, dir); err == nil {
		return nil
	}
	w.firm = err.Error()
	if w.disk == "" {
		return nil
	}
	if err := syscall.Mount(behind, dir, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("put the agent's data on a small file system: %w", err)
	}
	return nil
}

// unmountDisks copies what the agent has kept to a place where it stays, and takes its file systems away.
func (w *world) unmountDisks() error {
	if w.disk == "" && w.frail == nil {
		return nil
	}
	var errs []error
	if w.disk != "" {
		_ = os.Remove(filepath.Join(w.disk, ballast))
	}
	errs = append(errs, os.CopyFS(w.path("site/agent-at-the-end"), os.DirFS(w.path("site/agent-disk"))))
	if w.frail != nil {
		errs = append(errs, w.frail.Unmount())
	} else {
		errs = append(errs, syscall.Unmount(w.path("site/agent"), 0))
	}
	if w.disk != "" {
		errs = append(errs, syscall.Unmount(w.disk, 0))
	}
	return errors.Join(errs...)
}

// close ends what runs. The files stay, but for a disk that was mounted, whose files are copied out of it.
func (w *world) close() error {
	var errs []error
	if w.meters != nil {
		w.meters.close()
	}
	for _, p := range w.processes() {
		if p.Running() {
			errs = append(errs, p.Signal(syscall.SIGCONT), p.Stop(30*time.Second))
		}
	}
	for _, p := range []*proxy{w.toHub, w.toMQTT} {
		if p != nil {
			p.close()
		}
	}
	errs = append(errs, w.unmountDisks())
	return errors.Join(errs...)
}

// stopAgent stops the agent in order. It has a grace time of its own, and fails if that is not enough.
func (w *world) stopAgent() error {
	began := time.Now()
	err := w.agent.Stop(time.Minute)
	took := time.Since(began)
	w.note(fmt.Sprintf("the agent stopped in %s", took.Round(time.Millisecond)))
	w.stopping.Store(max(w.stopping.Load(), int64(took)))
	return err
}

// processes lists the programs that exist, those that depend on others first.
func (w *world) processes() (ps []*stage.Process) {
	if w.agent != nil {
		ps = append(ps, w.agent.Process)
	}
	if w.hub != nil {
		ps = append(ps, w.hub.Process)
	}
	if w.broker != nil {
		ps = append(ps, w.broker.Process)
	}
	return ps
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// freePort returns a port below those that the kernel gives to outgoing connections, so that it stays free while its program
// is down.
func freePort(i int) (int, error) {
	for port := 11_000 + (os.Getpid()*41+i*4001)%20_000; port < 32_000; port++ {
		if stage.CheckPort(port, "", "") == nil {
			return port, nil
		}
	}
	return 0, errors.New("found no free port")
}
