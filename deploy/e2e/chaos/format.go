package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"fluxora.dev/deploy/e2e/stage"
)

// newestFormat is the version of the store's format that the agent writes.
const newestFormat = 3

// downgrade turns the agent's store back to an older format in the middle of an outage, as before a downgrade of the program, and
// starts the agent on it, which is an upgrade. Nothing that waits for the hub may be lost.
func downgrade(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
	w.toHub.set(mode{cut: true})
	defer w.toHub.set(mode{})
	hold()
	end := w.stopAgent
	if rng.IntN(2) == 0 {
		end = w.agent.Kill // so that there is something in the journal
	}
	if err := end(); err != nil {
		return err
	}
	to := 1 + rng.IntN(newestFormat-1)
	if _, err := stage.Run(ctx, nil, w.agent.Path, "store", "downgrade", "--config", w.agent.Config(), "--to", strconv.Itoa(to)); err != nil {
		return err
	}
	w.note(fmt.Sprintf("the store has format %d", to))
	return w.agent.Start(ctx)
}
