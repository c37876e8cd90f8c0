package chaos

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	mathrand "math/rand/v2"
	"syscall"
	"time"

	"fluxora.dev/deploy/e2e/stage"
)

// fault is one kind of harm.
type fault struct {
	kind    string
	weight  int // how often it is chosen
	victims []victim
	// run does the harm, holds it as long as hold says, and heals. It is told what the seed has for it and nothing else.
	run func(ctx context.Context, w *world, rng *mathrand.Rand, hold func()) error
}

// Kinds that take a minute each.
const (
	longOutage   = "long outage of the network to hub"
	clonedAgent  = "cloned agent"
	fullInOutage = "full disk in an outage"
)

var slow = []string{longOutage, clonedAgent, fullInOutage}

// faults lists every kind that can be done here, and why others cannot.
func (w *world) faults() (can []fault, cannot map[string]string) {
	cannot = make(map[string]string)
	can = []fault{
		{"kill agent", 6, []victim{agentVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			return killed(ctx, w.agent.Process, hold, w.agent.Start)
		}},
		{"restart agent", 2, []victim{agentVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			if err := w.stopAgent(); err != nil {
				return err
			}
			hold()
			return w.agent.Start(ctx)
		}},
		{"kill hub", 4, []victim{hubVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			return killed(ctx, w.hub.Process, hold, w.hub.Start)
		}},
		{"restart hub", 1, []victim{hubVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			if err := w.hub.Stop(45 * time.Second); err != nil {
				return err
			}
			hold()
			return w.hub.Start(ctx)
		}},
		{"kill broker", 3, []victim{brokerVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			if err := w.broker.Kill(); err != nil {
				return err
			}
			w.meters.brokerKilled()
			hold()
			return w.broker.Start(ctx)
		}},
		{"kill postgres", 3, []victim{hubVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, _ func()) error {
			return w.killPostmaster(ctx)
		}},
		{"kill postgres backend", 3, []victim{hubVictim}, func(_ context.Context, w *world, rng *mathrand.Rand, _ func()) error {
			pid, err := w.postmaster()
			if err != nil {
				return nil // it is on its way up again
			}
			if pids := children(pid); len(pids) > 0 {
				_ = syscall.Kill(pids[rng.IntN(len(pids))], syscall.SIGKILL)
			}
			return nil
		}},
		{"stop agent", 2, []victim{agentVictim}, func(_ context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			return stopped(w.agent.Process, hold)
		}},
		{"stop hub", 2, []victim{hubVictim}, func(_ context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			return stopped(w.hub.Process, hold)
		}},
		{"stop broker", 2, []victim{brokerVictim}, func(_ context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			return stopped(w.broker.Process, hold)
		}},
		{"stop postgres", 2, []victim{hubVictim}, func(_ context.Context, w *world, _ *mathrand.Rand, hold func()) error {
			pid, err := w.postmaster()
			if err != nil {
				return nil
			}
			pids := append(children(pid), pid)
			for _, p := range pids {
				_ = syscall.Kill(p, syscall.SIGSTOP)
			}
			hold()
			for _, p := range pids {
				_ = syscall.Kill(p, syscall.SIGCONT)
			}
			return nil
		}},
	}
	can = append(can,
		fault{"store of an older format", 2, []victim{agentVictim, hubNetwork}, downgrade},
		fault{"damaged file", 4, []victim{agentVictim, hubNetwork}, damage},
		fault{longOutage, 1, []victim{hubNetwork}, outage},
		fault{clonedAgent, 1, []victim{agentVictim, hubVictim, hubNetwork}, clone},
	)
	can = append(can, networkFaults("hub", hubNetwork, w.toHub)...)
	can = append(can, networkFaults("broker", mqttNetwork, w.toMQTT)...)
	can = append(can, w.diskFaults(cannot)...)
	can = append(can, fault{"clock jump", 4, []victim{clockVictim}, jump}, fault{"clock jump and restart", 2, []victim{agentVictim, clockVictim}, jumpAndRestart})
	can = append(can, fault{"postgres moves to cold memory", 2, []victim{hubVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, _ func()) error {
		return w.coldPostgres(ctx)
	}})
	if w.dropCaches {
		can = append(can, fault{"postgres moves to a machine with an empty page cache", 1, []victim{hubVictim}, func(ctx context.Context, w *world, _ *mathrand.Rand, _ func()) error {
			return errors.Join(w.killPostmaster(ctx), dropCaches())
		}})
	}
	return can, cannot
}

func killed(ctx context.Context, p *stage.Process, hold func(), start func(context.Context) error) error {
	if err := p.Kill(); err != nil {
		return err
	}
	hold()
	return start(ctx)
}

func stopped(p *stage.Process, hold func()) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	hold()
	return p.Signal(syscall.SIGCONT)
}

func networkFaults(to string, v victim, p *proxy) []fault {
	during := func(m func(*mathrand.Rand) mode) func(context.Context, *world, *mathrand.Rand, func()) error {
		return func(_ context.Context, _ *world, rng *mathrand.Rand, hold func()) error {
			p.set(m(rng))
			hold()
			p.set(mode{})
			return nil
		}
	}
	return []fault{
		{"cut network to " + to, 3, []victim{v}, during(func(*mathrand.Rand) mode { return mode{cut: true} })},
		{"silent network to " + to, 2, []victim{v}, during(func(*mathrand.Rand) mode { return mode{stall: true} })},
		{"slow network to " + to, 2, []victim{v}, during(func(rng *mathrand.Rand) mode {
			return mode{delay: time.Duration(rng.IntN(300)) * time.Millisecond, rate: 2000 + rng.IntN(30_000)}
		})},
		{"flapping network to " + to, 2, []victim{v}, func(ctx context.Context, _ *world, rng *mathrand.Rand, _ func()) error {
			for range 3 + rng.IntN(6) {
				p.set(mode{cut: true})
				pause(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
				p.set(mode{})
				pause(ctx, time.Duration(rng.IntN(900))*time.Millisecond)
			}
			return nil
		}},
	}
}

// outage cuts the network to the hub until the agent has a backlog so long that new readings pass it, as after hours: so what is
// corrected meanwhile may overtake what it corrects.
func outage(ctx context.Context, w *world, _ *mathrand.Rand, _ func()) error {
	const backlog = 30_000
	w.toHub.set(mode{cut: true})
	defer w.toHub.set(mode{})
	for until := time.Now().Add(time.Minute); time.Now().Before(until) && ctx.Err() == nil; pause(ctx, 200*time.Millisecond) {
		// It may be down at the moment: other faults go on.
		if books, err := w.agent.Books(ctx); err == nil && books.Pending > backlog {
			break
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Seed returns a seed for whoever gives none.
func Seed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	n := uint64(0)
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n % math.MaxInt32
}
