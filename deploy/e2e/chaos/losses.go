package chaos

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/meter"
)

// span is a range of sequences [First, End) that the agent names, with the reason.
type span struct {
	Why        string
	First, End uint64
	From, To   time.Time
	At         time.Time // when it happened, by the agent's clock
}

func (s span) String() string {
	return fmt.Sprintf("%s [%d, %d) from %s to %s", s.Why, s.First, s.End, s.From.Format(time.RFC3339), s.To.Format(time.RFC3339))
}

// Reasons of the agent's ledger.
const (
	skipped = "skipped" // passed over: no reading is known to have had these sequences
	thinned = "thinned" // a part of the readings, whose energy is in the others
)

// account is a register of a point on a day, in UTC.
type account struct{ Point, Register, Day string }

func accountOf(s series, at meter.Millis) account {
	return account{s.Point, string(s.Register), at.Time().Format(time.DateOnly)}
}

// gone is what the agent counts as gone, by account, and how much of it was thinned.
type gone struct {
	readings map[account]int
	thinned  int64
}

// named returns what the agent names as gone, and how it counts it.
func (w *world) named(ctx context.Context) (spans []span, sum gone, err error) {
	var l struct {
		Accounts []struct {
			account
			Evicted, Thinned int
		}
		Lost []span
	}
	if err := w.agent.API.Get(ctx, "/v1/ledger", &l); err != nil {
		return nil, sum, fmt.Errorf("ask the agent for its ledger: %w", err)
	}
	sum.readings = make(map[account]int)
	for _, a := range l.Accounts {
		if n := a.Evicted + a.Thinned; n > 0 {
			sum.readings[a.account] += n
			sum.thinned += int64(a.Thinned)
		}
	}
	return l.Lost, sum, nil
}

// passedOver returns how many sequences the agent has named as passed over since: after damage it may not know whether there were
// readings among them.
func (w *world) passedOver(ctx context.Context, since []span) (n int64) {
	spans, _, err := w.named(ctx)
	if err != nil {
		return 0
	}
	for _, s := range spans {
		if s.Why == skipped && !slices.Contains(since, s) {
			n += int64(s.End - s.First)
		}
	}
	return n
}

// checkEvicted compares, account by account, what an agent without room has lately counted as gone with what is missing at the hub.
// It may count too much by what was on its way when it was evicted, and reached the hub without the agent hearing of it:
// checkNames has that from the sequences.
func (c *campaign) checkEvicted(ctx context.Context, f *findings, missing map[account]int) error {
	_, now, err := c.world.named(ctx)
	if err != nil {
		return err
	}
	c.fresh.over = 0
	for k, n := range now.readings {
		n -= c.gone.readings[k]
		if n < missing[k] {
			f.lost += missing[k] - n
			f.problem("of %+v the agent counts %d readings as gone: %d are missing at the hub", k, n, missing[k])
		}
		c.fresh.over += int64(n - missing[k])
	}
	for k, n := range missing {
		if now.readings[k] == 0 {
			f.lost += n
			f.problem("of %+v %d acknowledged readings are missing at the hub, and the agent counts none as gone", k, n)
		}
	}
	return nil
}

// epoch is what the hub has committed of an epoch of the agent: ranges of sequences, those among them that the agent said it
// could not read back, and how many epochs there are.
type epoch struct {
	Ranges, First, End, Refused, Epochs int64
}

// committed returns what the hub has of the agent's newest epoch.
func (w *world) committed(ctx context.Context) (epoch, error) {
	rows, err := query[epoch](ctx, w, `select (select count(*) from unnest(e.received)), coalesce(lower(e.received), 0), coalesce(upper(e.received), 0), e.refused,
		(select count(*) from agent_epoch) from agent_epoch e order by e.created_at desc limit 1`)
	if err != nil || len(rows) == 0 {
		return epoch{}, err
	}
	return rows[0], nil
}

// checkNames proves the other half of invariant 4: the hub has every sequence that the agent gave out, but for exactly those that the
// agent names; and nothing is named in a round without a fault that takes readings away.
func (c *campaign) checkNames(ctx context.Context, f *findings, _ time.Time, _ map[series]int64) error {
	spans, sum, err := c.world.named(ctx)
	if err != nil {
		return err
	}
	at, err := c.world.committed(ctx)
	if err != nil {
		return err
	}
	if at.Epochs != c.epochs {
		if !c.fresh.damaged {
			f.problem("the store has begun epoch %d, but nothing was done that destroys it", at.Epochs)
		}
		c.epochs, c.spans, c.forgotten = at.Epochs, nil, 0
	}
	for _, s := range spans {
		if slices.Contains(c.spans, s) {
			continue
		}
		c.log.note("the agent names " + s.String())
		if s.Why != skipped && !c.fresh.damaged && !c.fresh.cramped {
			f.problem("the agent names %s, but nothing was done that takes readings away", s)
		}
	}
	c.spans, c.gone = spans, sum
	if at.Ranges > 1 || at.First > 1 {
		f.unbalanced++
		f.problem("the hub lacks sequences that the agent does not name: it has %d ranges from %d to %d", at.Ranges, at.First, at.End)
	}
	named := sum.thinned
	for _, s := range spans {
		if s.Why != thinned {
			named += int64(s.End - s.First)
		}
	}
	switch forgotten := at.Refused - named; {
	case forgotten == c.forgotten-c.fresh.over, c.fresh.damaged && forgotten < c.forgotten && c.forgotten-forgotten <= c.fresh.spared:
		// What was on its way when it went is named, though it reached the hub.
		if forgotten != c.forgotten {
			c.log.note(fmt.Sprintf("the agent names %d sequences that the hub has", c.forgotten-forgotten))
		}
		c.forgotten = forgotten
	case c.fresh.forgot:
		// Without state.db, which says what was delivered and what was passed over, all that is in no segment is named.
		c.log.note(fmt.Sprintf("the agent names %d sequences more than it told the hub of", -forgotten))
		c.forgotten = forgotten
	case forgotten > c.forgotten && c.fresh.cut:
		// What it had passed over and told the hub of was not on its disk yet when the power went. No reading had those sequences.
		c.log.note(fmt.Sprintf("the agent no longer names %d sequences that it told the hub of", forgotten-c.forgotten))
		c.forgotten = forgotten
	default:
		f.unbalanced++
		f.problem("the agent names %d sequences as gone (%v), and told the hub of %d", named, spans, at.Refused)
	}
	return nil
}

// instant is a value that a series had at an instant.
type instant struct {
	series
	at    meter.Millis
	value value
}

// autopsy starts an agent without a network from a copy of a dead one's data and returns every reading in it that was published
// since the round began.
func (w *world) autopsy(ctx context.Context) (map[instant]bool, error) {
	dir := w.path("autopsy")
	defer os.RemoveAll(dir)
	if err := os.CopyFS(filepath.Join(dir, "agent"), os.DirFS(w.path("site/agent"))); err != nil {
		return nil, fmt.Errorf("copy the agent's data: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "agent/identity")); err != nil { // so it knows no hub
		return nil, err
	}
	port, err := freePort(5)
	if err != nil {
		return nil, err
	}
	dead, err := stage.NewAgent(w.bin, dir, w.path("autopsy.log"), stage.AgentOptions{Site: site, Zone: zone, Broker: "tcp://127.0.0.1:1", Port: port, More: storeSettings})
	if err != nil {
		return nil, err
	}
	if err := dead.Start(ctx); err != nil {
		return nil, err
	}
	held, err := w.holdings(ctx, dead)
	if e := dead.Stop(30 * time.Second); err == nil {
		err = e
	}
	return held, err
}

// holdings returns the readings that an agent has of those that were published since the round began.
func (w *world) holdings(ctx context.Context, a *stage.Agent) (map[instant]bool, error) {
	out := make(map[instant]bool)
	for s, at := range w.meters.earliest() {
		if err := w.agentReadings(ctx, a, s, meter.Millis(at), out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// destroyedBy notes the readings that were there before and are not there now: what may be missing at the hub.
func (w *world) destroyedBy(before, now map[instant]bool) (n int) {
	w.destroyedMu.Lock()
	defer w.destroyedMu.Unlock()
	for x := range before {
		if !now[x] {
			w.destroyed[x] = true
			n++
		}
	}
	return n
}

// takeDestroyed returns what faults have destroyed since the last time.
func (w *world) takeDestroyed() map[instant]bool {
	w.destroyedMu.Lock()
	defer w.destroyedMu.Unlock()
	out := maps.Clone(w.destroyed)
	clear(w.destroyed)
	return out
}
