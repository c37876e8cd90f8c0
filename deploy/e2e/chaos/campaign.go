package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Options say what campaign to run.
type Options struct {
	Seed    uint64
	Rounds  int
	Bin     string        // directory of the programs
	Dir     string        // of all data; empty for a temporary one, which is deleted when all went well
	Only    []string      // kinds of faults whose names hold one of these; empty for all
	Quick   bool          // leave out the kinds that take a minute each
	Faults  int           // most faults a round; default 4
	Load    time.Duration // how long the meters publish in a round; default 6 s
	Out     io.Writer
	Verbose bool // also say of every round what happened in it
	// DropCaches also empties the page cache of the whole machine, which stalls everything else on it for a while.
	DropCaches bool
}

// ErrBroken says that a promise was not kept.
var ErrBroken = errors.New("a promise was broken")

// mark is the series of the last reading of each round. Nothing is made of it.
var mark = series{"mark", meter.EnergyImport, meter.Counter}

// campaign is a campaign under way.
type campaign struct {
	o       Options
	world   *world
	devices []*device
	truth   truth
	summary Summary
	base    goroutines
	fresh   struct { // of the present round
		damaged bool
		forgot  bool // and among the damaged files was state.db
		cramped bool
		cut     bool  // the power
		evicted int64 // and thinned, when it began
		spared  int64 // readings that a damaged file had and the hub has
		over    int64 // of what the agent counts as evicted, what the hub has all the same
	}
	peak struct{ agent, hub, disk int64 }
	// What the agent named when it was last asked, and how many epochs its store has had.
	spans     []span
	epochs    int64
	gone      gone
	forgotten int64         // sequences that only the hub knows the agent not to have, less those that only the agent takes for gone
	settled   time.Duration // how long it took from the healing on
	quiet     string        // how many goroutines and how much memory there were at the end of the round
	renamed   int           // times that the meters' points got new names
	log       roundLog
}

// Run runs a campaign. A broken promise is ErrBroken; then the data stays where it is and Out has the seed and a log of the
// round.
func Run(ctx context.Context, o Options) (_ Summary, err error) {
	if o.Load == 0 {
		o.Load = 6 * time.Second
	}
	if o.Faults == 0 {
		o.Faults = 4
	}
	dir := o.Dir
	if dir == "" {
		// Short, since the path of Postgres' socket must be.
		if dir, err = os.MkdirTemp("", "fx-chaos-"); err != nil {
			return Summary{}, fmt.Errorf("make a directory for the campaign: %w", err)
		}
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return Summary{}, fmt.Errorf("make the campaign's directory: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Summary{}, fmt.Errorf("campaign directory: %w", err)
	}
	// Open, since Postgres runs as another user when this runs as root.
	if err := os.Chmod(dir, 0o755); err != nil {
		return Summary{}, fmt.Errorf("open the campaign's directory: %w", err)
	}
	began := time.Now()
	c := &campaign{o: o, epochs: 1, summary: Summary{ByKind: make(map[string]int)}}
	fmt.Fprintf(o.Out, "seed %d, %d rounds, in %s\n", o.Seed, o.Rounds, dir)
	if c.world, err = newWorld(ctx, o.Bin, dir); err != nil {
		return Summary{}, fmt.Errorf("set the stage for the campaign: %w", err)
	}
	c.world.note, c.world.dropCaches = c.log.note, o.DropCaches
	err = c.rounds(ctx)
	if err == nil {
		err = c.world.close() // in order, which must succeed
	} else {
		c.tell()
		_ = c.world.close()
	}
	c.summary.Took = time.Since(began)
	if err == nil && o.Dir == "" {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintf(o.Out, "failed with seed %d; everything is kept in %s\n", o.Seed, dir)
	}
	return c.summary, err
}

func (c *campaign) rounds(ctx context.Context) error {
	can, cannot := c.world.faults()
	c.summary.Cannot = cannot
	for _, kind := range slices.Sorted(maps.Keys(cannot)) {
		fmt.Fprintf(c.o.Out, "not done: %s: %s\n", kind, cannot[kind])
	}
	can = slices.DeleteFunc(can, func(f fault) bool {
		return len(c.o.Only) > 0 && !slices.ContainsFunc(c.o.Only, func(s string) bool { return strings.Contains(f.kind, s) })
	})
	if c.o.Quick {
		can = slices.DeleteFunc(can, func(f fault) bool { return slices.Contains(slow, f.kind) })
	}
	if len(can) == 0 {
		return fmt.Errorf("no kind of fault is called %s", strings.Join(c.o.Only, " or "))
	}
	now := time.Now().UTC()
	// So far back that there is much to say, and no instant near one that a jumping clock shows: leap.
	c.devices = devices(rand.New(rand.NewPCG(c.o.Seed, 0)), now.AddDate(0, 0, -35), now.Add(-30*time.Hour))
	for n := range c.o.Rounds + 1 { // round 0 has no fault: it shows the bounds that the others keep
		rng := rand.New(rand.NewPCG(c.o.Seed, uint64(n+1)))
		var plan []strike
		if n > 0 {
			plan = draw(rng, can, 1+rng.IntN(c.o.Faults), c.o.Load)
		}
		began := time.Now()
		err := c.round(ctx, n, plan)
		if n > 0 {
			c.summary.Rounds++
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
		c.summary.Longest = max(c.summary.Longest, time.Since(began))
		fmt.Fprintf(c.o.Out, "round %d: %s: %d readings in all, %s, settled in %s; %s\n",
			n, c.log.kinds(), c.summary.Acknowledged, time.Since(began).Round(100*time.Millisecond), c.settled.Round(100*time.Millisecond), c.quiet)
		if c.o.Verbose {
			fmt.Fprint(c.o.Out, c.log.String())
		}
	}
	c.fresh.damaged, c.fresh.forgot, c.fresh.cramped, c.fresh.cut = false, false, false, false
	f, err := c.check(ctx, time.Now(), nil)
	if err == nil {
		err = c.conclude(f)
	}
	if err != nil {
		return fmt.Errorf("everything at the end: %w", err)
	}
	return nil
}

// strike is a fault that the seed has chosen, with its time.
type strike struct {
	fault
	after, hold time.Duration
	seed        uint64
}

// draw chooses the faults of a round.
func draw(rng *rand.Rand, can []fault, n int, load time.Duration) (plan []strike) {
	total := 0
	for _, f := range can {
		total += f.weight
	}
	for range n {
		k := rng.IntN(total)
		for _, f := range can {
			if k -= f.weight; k < 0 {
				plan = append(plan, strike{f, time.Duration(rng.Int64N(int64(load))), time.Duration(50+rng.IntN(2500)) * time.Millisecond, rng.Uint64()})
				break
			}
		}
	}
	slices.SortStableFunc(plan, func(a, b strike) int { return int(a.after - b.after) })
	return plan
}

// round publishes, does the faults of the plan, heals, settles and checks.
func (c *campaign) round(ctx context.Context, n int, plan []strike) error {
	// Bounded, so that a program that hangs ends the campaign with a log and not the machine's patience.
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("the round took more than ten minutes"))
	defer cancel()
	w := c.world
	c.fresh.over, c.fresh.spared = 0, 0
	c.log.begin()
	w.meters.beginRound()
	began, damaged, forgot, cramped, cuts := time.Now(), w.damaged.Load(), w.forgot.Load(), w.cramped.Load(), w.cuts.Load()
	if books, err := w.agent.Books(ctx); err == nil {
		c.fresh.evicted = books.Received - books.Delivered - books.Pending
	} else {
		return err
	}

	stop, published := make(chan struct{}), make(chan error, 1)
	go func() { published <- c.publish(ctx, n, stop) }()
	err := c.strikes(ctx, plan)
	pause(ctx, time.Until(began.Add(c.o.Load)))
	close(stop)
	if err := errors.Join(err, <-published); err != nil {
		return err
	}
	c.log.note("healed")
	healed := time.Now()
	at := meter.MillisOf(time.Now().Add(-time.Minute)) // of this round alone
	last := message{topic.ReadingTopic(site, mark.Point, mark.Register), nil, mark, []topic.Payload{{At: at, Value: int64(n) * 1000, Kind: meter.Counter}}}
	last.payload = topic.EncodeReadings(nil, last.readings, "Wh")
	if err := w.meters.send(ctx, []message{last}); err != nil {
		return err
	}
	c.truth = w.meters.truth
	if err := w.settle(ctx, mark, at); err != nil {
		return err
	}
	c.settled = time.Since(healed)
	c.summary.LongestSettling = max(c.summary.LongestSettling, c.settled)
	c.log.note("settled")
	c.fresh.forgot = w.forgot.Load() > forgot
	c.fresh.damaged, c.fresh.cramped, c.fresh.cut = w.damaged.Load() > damaged, w.cramped.Load() > cramped, w.cuts.Load() > cuts
	f, err := c.check(ctx, began, w.meters.earliest())
	if err != nil {
		return err
	}
	// Of the points that it had when its log was damaged, the agent may not know which instants it lost, so it leaves their intervals
	// alone; new points show that it goes on. They also come when the past has been told.
	if c.fresh.damaged || slices.ContainsFunc(c.devices, func(d *device) bool { return d.at.Add(3*24*time.Hour) > d.until }) {
		c.renamed++
		for _, d := range c.devices {
			d.rename(c.renamed)
		}
	}
	return c.conclude(f)
}

// publish publishes waves until stop is closed.
func (c *campaign) publish(ctx context.Context, n int, stop <-chan struct{}) error {
	rng := rand.New(rand.NewPCG(c.o.Seed, uint64(n)<<32))
	for {
		var ms []message
		for _, d := range c.devices {
			ms = append(ms, d.say(site, 1+rng.IntN(120))...)
		}
		if rng.IntN(5) == 0 {
			ms = append(ms, garbage(rng, site))
		}
		if err := c.world.meters.send(ctx, ms); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		select {
		case <-stop:
			// What a broker that is killed at the very end forgets must be said again, too.
			return c.world.meters.send(ctx, nil)
		case <-time.After(time.Duration(rng.IntN(100)) * time.Millisecond):
		}
	}
}

// strikes does the faults of a plan, those on different victims at once.
func (c *campaign) strikes(ctx context.Context, plan []strike) error {
	began := time.Now()
	var all sync.WaitGroup
	errs := make([]error, len(plan))
	for i, s := range plan {
		all.Go(func() {
			pause(ctx, time.Until(began.Add(s.after)))
			for _, v := range victims(s.victims) {
				c.world.victims[v].Lock()
				defer c.world.victims[v].Unlock()
			}
			c.log.note("begin " + s.kind)
			err := s.run(ctx, c.world, rand.New(rand.NewPCG(s.seed, 0)), func() { pause(ctx, s.hold) })
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.kind, err)
			}
			c.log.note("end of " + s.kind)
		})
		c.summary.Faults++
		c.summary.ByKind[s.kind]++
	}
	all.Wait()
	return errors.Join(errs...)
}

// victims returns vs in the one order in which they may be locked.
func victims(vs []victim) []victim { return slices.Sorted(slices.Values(vs)) }

// conclude enters the findings of a round into the summary.
func (c *campaign) conclude(f *findings) error {
	s := &c.summary
	s.Acknowledged, _ = c.truth.count()
	s.Messages = c.world.meters.messages
	s.Lost, s.Doubled, s.Unbalanced, s.Named = s.Lost+f.lost, s.Doubled+f.doubled, s.Unbalanced+f.unbalanced, s.Named+f.named
	s.AgentMemory, s.HubMemory, s.AgentDisk = c.peak.agent, c.peak.hub, c.peak.disk
	s.LongestStop = time.Duration(c.world.stopping.Load())
	if there, err := c.world.atHub(context.Background()); err == nil {
		s.Duplicates, s.Corrections = there.duplicates, there.corrections
	}
	if f.ok() {
		return nil
	}
	return fmt.Errorf("%w:\n  %s", ErrBroken, strings.Join(f.problems, "\n  "))
}

// tell prints what one needs to begin the search: what was done in the round, and what the programs said last.
func (c *campaign) tell() {
	fmt.Fprintf(c.o.Out, "what happened in the round:\n%s", c.log.String())
	for _, p := range c.world.processes() {
		fmt.Fprintf(c.o.Out, "the end of %s's log:\n%s\n", p.Name, p.Tail(12))
	}
}
