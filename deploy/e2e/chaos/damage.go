package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
)

// damage harms a file of the agent's store while the agent is down and holds readings that the hub has not got: some bits
// flip, a page is zero or stale, or the end is gone. The agent must start, and name what it lost.
func damage(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
	w.toHub.set(mode{cut: true})
	defer w.toHub.set(mode{})
	hold()
	if err := w.agent.Kill(); err != nil {
		return err
	}
	before, err := w.autopsy(ctx)
	if err != nil {
		return fmt.Errorf("look into the dead agent's store: %w", err)
	}
	what, err := harm(rng, w.path("site/agent/store"))
	if err != nil {
		return err
	}
	w.damaged.Add(1)
	if strings.HasSuffix(what, " state.db") {
		w.forgot.Add(1)
	}
	w.note(what)
	if err := w.agent.Start(ctx); err != nil {
		return err
	}
	now, err := w.holdings(ctx, w.agent)
	if err != nil {
		return fmt.Errorf("look into the damaged store: %w", err)
	}
	w.note(fmt.Sprintf("of %d readings of the round in the store, %d were destroyed", len(before), w.destroyedBy(before, now)))
	return nil
}

// harm does something to one file of a directory and says what.
func harm(rng *rand.Rand, dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		info, err := e.Info()
		return err != nil || info.Size() == 0 || strings.Contains(e.Name(), ".damaged-")
	})
	if len(entries) == 0 {
		return "nothing to damage", nil
	}
	path := filepath.Join(dir, entries[rng.IntN(len(entries))].Name())
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	const page = 4096
	pages := (len(b) + page - 1) / page
	var what string
	switch rng.IntN(4) {
	case 0:
		n := 1 + rng.IntN(20)
		for range n {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		what = fmt.Sprintf("%d bits flipped in", n)
	case 1:
		p := rng.IntN(pages)
		clear(b[p*page : min(len(b), (p+1)*page)])
		what = fmt.Sprintf("page %d of %d zero in", p, pages)
	case 2:
		from, to := rng.IntN(pages), rng.IntN(pages)
		copy(b[to*page:min(len(b), (to+1)*page)], slices.Clone(b[from*page:min(len(b), (from+1)*page)]))
		what = fmt.Sprintf("page %d written over page %d of %d in", from, to, pages)
	default:
		n := rng.IntN(len(b))
		b = b[:n]
		what = fmt.Sprintf("cut to %d bytes", n)
	}
	return what + " " + filepath.Base(path), os.WriteFile(path, b, 0o600)
}

// clone starts a second agent from a copy of the first one's data, as from a copied SD card. The hub must raise the alarm.
func clone(ctx context.Context, w *world, _ *rand.Rand, hold func()) error {
	if err := w.stopAgent(); err != nil {
		return err
	}
	dir := w.path(fmt.Sprintf("clone-%d", w.clones.Add(1)))
	err := os.CopyFS(filepath.Join(dir, "agent"), os.DirFS(w.path("site/agent")))
	if err := errors.Join(err, w.agent.Start(ctx)); err != nil {
		return err
	}
	// Of two with the same data the first to come goes on: let that be the one whose readings count.
	err = stage.WaitFor(ctx, "the agent to be connected", time.Minute, func(ctx context.Context) (bool, error) {
		var o rest.Overview
		err := w.agent.API.Get(ctx, "/v1/status", &o)
		return o.Hub.Connected, err
	})
	if err != nil {
		return err
	}
	port, err := freePort(7)
	if err != nil {
		return err
	}
	second, err := stage.NewAgent(w.bin, dir, w.path("clone.log"), stage.AgentOptions{
		Site: site, Zone: zone, Broker: "tcp://127.0.0.1:1", Port: port, More: fmt.Sprintf("hub:\n  address: %s\n", w.hub.Uplink()),
	})
	if err != nil {
		return err
	}
	before, err := w.alarms(ctx)
	if err != nil {
		return err
	}
	if err := second.Start(ctx); err != nil {
		return err
	}
	err = stage.WaitFor(ctx, "the hub to notice that two agents have one identity", 2*time.Minute, func(ctx context.Context) (bool, error) {
		now, err := w.alarms(ctx)
		return now > before, err
	})
	hold()
	return errors.Join(err, second.Stop(30*time.Second), os.RemoveAll(dir))
}

// alarms returns how often the hub said that two agents share an identity.
func (w *world) alarms(ctx context.Context) (float64, error) {
	m, err := w.metrics(ctx, w.hub.HTTPPort, w.token)
	return m["fluxora_hub_sessions_clone_total"], err
}
