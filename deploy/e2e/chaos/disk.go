package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"fluxora.dev/deploy/e2e/frail"
)

// ballast is the file that fills the agent's disk.
const ballast = "ballast"

// diskFaults lists what can be done to the agent's disk here, and why the rest cannot.
func (w *world) diskFaults(cannot map[string]string) (can []fault) {
	if w.disk == "" {
		cannot["full disk"] = w.noDisk
	} else {
		can = append(can,
			fault{"full disk", 3, []victim{diskVictim}, func(_ context.Context, w *world, rng *rand.Rand, hold func()) error {
				return w.fillDisk(rng, hold)
			}},
			fault{fullInOutage, 1, []victim{hubNetwork, diskVictim}, func(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
				return w.fillInOutage(ctx, rng)
			}},
			fault{"full disk and kill agent", 2, []victim{agentVictim, diskVictim}, func(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
				var err error
				return errors.Join(w.fillDisk(rng, func() {
					hold()
					err = w.killAndTry(ctx)
				}), err)
			}},
		)
	}
	if w.frail == nil {
		cannot["errors of the disk"] = w.firm
		cannot["power cut"] = w.firm
		return can
	}
	return append(can,
		fault{"errors of the disk", 3, []victim{diskVictim}, func(_ context.Context, w *world, rng *rand.Rand, hold func()) error {
			return w.failDisk(rng, hold)
		}},
		fault{"errors of the disk and kill agent", 2, []victim{agentVictim, diskVictim}, func(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
			var err error
			return errors.Join(w.failDisk(rng, func() {
				hold()
				err = w.killAndTry(ctx)
			}), err)
		}},
		fault{"power cut", 5, []victim{agentVictim, diskVictim}, func(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
			return w.cutPower(ctx, rng, hold)
		}},
		fault{"errors of the disk and power cut", 3, []victim{agentVictim, diskVictim}, func(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
			w.frail.Set(trouble(rng), rng.Uint64())
			hold()
			err := w.agent.Kill()
			w.frail.Set(frail.Trouble{}, 0)
			return errors.Join(err, w.cutPower(ctx, rng, func() {}))
		}},
	)
}

// killAndTry kills the agent and starts it while something is wrong with its disk. One that does not start then must, once that is
// healed; one that is not there at the end of the round is found by the checks.
func (w *world) killAndTry(ctx context.Context) error {
	if err := w.agent.Kill(); err != nil {
		return err
	}
	_ = w.agent.Start(ctx)
	return nil
}

// trouble draws what is wrong with a disk.
func trouble(rng *rand.Rand) frail.Trouble {
	p := []float64{0.05, 0.3, 1}[rng.IntN(3)]
	switch rng.IntN(3) {
	case 0:
		return frail.Trouble{Write: p}
	case 1:
		return frail.Trouble{Sync: p}
	default:
		return frail.Trouble{Write: p, Sync: p}
	}
}

// failDisk makes writes and syncs of the agent's files fail.
func (w *world) failDisk(rng *rand.Rand, hold func()) error {
	before := w.frail.Failed()
	w.frail.Set(trouble(rng), rng.Uint64())
	hold()
	w.frail.Set(frail.Trouble{}, 0)
	w.note(fmt.Sprintf("%d writes and syncs failed", w.frail.Failed()-before))
	return nil
}

// cutPower ends the agent and what its disk had not been told to keep.
func (w *world) cutPower(ctx context.Context, rng *rand.Rand, hold func()) error {
	if w.agent.Running() {
		if err := w.agent.Kill(); err != nil {
			return err
		}
	}
	what, err := w.frail.CutPower(rng)
	if err != nil {
		return err
	}
	w.cuts.Add(1)
	w.note(what)
	hold()
	return w.agent.Start(ctx)
}

// fillInOutage leaves the agent's file system no room while it cannot deliver, until it had to give readings up, or for 20 seconds.
func (w *world) fillInOutage(ctx context.Context, rng *rand.Rand) error {
	w.toHub.set(mode{cut: true})
	defer w.toHub.set(mode{})
	return w.fillDisk(rng, func() {
		for until := time.Now().Add(20 * time.Second); time.Now().Before(until) && ctx.Err() == nil; pause(ctx, 500*time.Millisecond) {
			if spans, _, err := w.named(ctx); err == nil && slices.ContainsFunc(spans, func(s span) bool { return s.Why == "evicted" && time.Since(s.At) < 20*time.Second }) {
				return
			}
		}
	})
}

// fillDisk leaves the agent's file system no room, or a few pages, and frees it afterwards.
func (w *world) fillDisk(rng *rand.Rand, hold func()) (err error) {
	file, err := os.OpenFile(filepath.Join(w.disk, ballast), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name()), file.Close()) }()
	w.cramped.Add(1)
	var use syscall.Statfs_t
	if err := syscall.Statfs(w.disk, &use); err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	left := rng.Int64N(3) * rng.Int64N(40) * 4096
	n := max(0, int64(use.Bfree)*use.Bsize-left)
	if err := syscall.Fallocate(int(file.Fd()), 0, 0, n); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	if left == 0 { // to the last page
		for page := make([]byte, 4096); ; {
			if _, err := file.WriteAt(page, n); err != nil {
				break
			}
			n += int64(len(page))
		}
	}
	hold()
	return nil
}
