package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// clockOffset is the file that says by how much the agent's wall clock is off.
const clockOffset = "clock-offset"

// setClock makes the agent's wall clock stand off by so much.
func (w *world) setClock(by time.Duration) error {
	w.note(fmt.Sprintf("the agent's clock is off by %s", by))
	return os.WriteFile(w.path(clockOffset), []byte(by.String()), 0o600)
}

// leap draws how far a clock jumps.
func leap(rng *rand.Rand) time.Duration {
	year := 365 * 24 * time.Hour
	by := []time.Duration{
		-30 * time.Second, 30 * time.Second, -time.Hour, time.Hour, -26 * time.Hour, 26 * time.Hour,
		-3 * year, 3 * year, 20 * year, // to 2038 and beyond
		-time.Duration(time.Now().Unix()-7) * time.Second, // to 1970
	}
	return by[rng.IntN(len(by))] + time.Duration(rng.IntN(1000))*time.Millisecond
}

// jump makes the agent's clock jump, once or twice, and back.
func jump(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
	for range 1 + rng.IntN(2) {
		if err := w.setClock(leap(rng)); err != nil {
			return err
		}
		hold()
	}
	return w.setClock(0)
}

// jumpAndRestart starts the agent while its clock is off, as after a power cut on a gateway without a battery.
func jumpAndRestart(ctx context.Context, w *world, rng *rand.Rand, hold func()) error {
	err := w.agent.Kill()
	if err == nil {
		err = w.setClock(leap(rng))
	}
	if err == nil {
		err = w.agent.Start(ctx)
	}
	hold()
	return errors.Join(err, w.setClock(0))
}
