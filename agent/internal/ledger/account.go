package ledger

import (
	"fmt"
	"slices"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/proto/wire"
)

// Account is what became of the readings of a register of a point on a day.
type Account struct {
	wire.LedgerEntry
	Duplicates  uint64 // came again and were left out; not received
	Corrections uint64 // of those received, those that replaced another value of their instant
	Released    uint64 // of the messages quarantined, those that were taken after all
}

// Totals is the sum of all accounts: Received = Delivered + Quarantined + Evicted + Thinned + Pending.
type Totals struct {
	Received, Delivered, Quarantined, Evicted, Thinned, Pending uint64
	Duplicates, Corrections, Released                           uint64
	// Unbalanced is by how many readings the accounts differ from what the sequences say; 0 when the books are right.
	Unbalanced uint64
	// Unapplied is how many sequences are in no account yet.
	Unapplied uint64
}

// Accounts returns every account within days [from, to), of one point when that is not empty, by day.
func (b *Books) Accounts(point string, from, to int32) ([]Account, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.accounts()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(a Account) bool { return point != "" && a.Point != point || a.Day < from || a.Day >= to }), nil
}

// accounts computes every account. The caller holds mu.
func (b *Books) accounts() ([]Account, error) {
	if err := b.takeQuarantined(); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	b.takeApart()
	var pending map[Key]uint64
	for try := 0; ; try++ {
		if err := b.takeLosses(); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		var err error
		lost, thin := len(b.log.Lost()), len(b.log.Thinned())
		if pending, err = b.pending(); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		// What was lost while pending was counted may be in both or in none.
		if lost == len(b.log.Lost()) && thin == len(b.log.Thinned()) || try == 5 {
			break
		}
	}
	for k := range pending {
		b.ensure(k)
	}
	out := make([]Account, 0, len(b.counts))
	for _, k := range sorted(b.counts) {
		c := b.counts[k]
		a := Account{LedgerEntry: wire.LedgerEntry{
			Point: k.Point, Register: k.Register, Day: k.Day, Received: c.Received + c.Messages, Quarantined: c.Unstorable + c.Messages,
			Evicted: c.Evicted, Thinned: c.Thinned, Pending: pending[k],
		}, Duplicates: c.Duplicates, Corrections: c.Corrections, Released: c.Released}
		away := a.Quarantined + a.Evicted + a.Thinned + a.Pending
		a.Delivered = a.Received - min(a.Received, away) // an account that is out of balance shows in Balance
		out = append(out, a)
	}
	return out, nil
}

func (b *Books) ensure(k Key) {
	if b.counts[k] == nil {
		b.counts[k] = &counts{}
	}
}

// pending counts what the log holds and the hub has not acked.
func (b *Books) pending() (map[Key]uint64, error) {
	var gone ranges
	for _, l := range b.log.Lost() {
		gone = gone.add(l.Range)
	}
	touched := slices.Clone(gone)
	for _, l := range b.log.Thinned() {
		touched = touched.add(l.Range)
	}
	out := make(map[Key]uint64)
	for _, u := range b.log.Unacked() {
		u.End = min(u.End, b.head.End)
		for _, r := range gone.without(u) {
			if err := b.pendingIn(r, touched, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// pendingIn adds what is pending of r. Pages that are whole need not be read.
func (b *Books) pendingIn(r store.Range, touched ranges, out map[Key]uint64) error {
	read := func(r store.Range) error {
		if r.Len() == 0 {
			return nil
		}
		by, err := b.read(r)
		add(out, by)
		return err
	}
	at := r.First
	for _, p := range b.pages {
		whole := store.Range{First: p.First, End: p.End}
		if p.First < at || p.End > r.End || touched.overlap(whole) > 0 || b.head.Holes.overlap(whole) > 0 {
			continue
		}
		if err := read(store.Range{First: at, End: p.First}); err != nil {
			return err
		}
		add(out, p.Counts)
		at = p.End
	}
	return read(store.Range{First: at, End: r.End})
}

// Balance sums all accounts and holds them against what the sequences say.
func (b *Books) Balance() (t Totals, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.log.Ledger()
	all, err := b.accounts()
	if err != nil {
		return t, err
	}
	readings := uint64(0)
	for _, a := range all {
		readings += b.counts[Key{a.Point, a.Register, a.Day}].Received
		t.Received += a.Received
		t.Delivered += a.Delivered
		t.Quarantined += a.Quarantined
		t.Evicted += a.Evicted
		t.Thinned += a.Thinned
		t.Pending += a.Pending
		t.Duplicates += a.Duplicates
		t.Corrections += a.Corrections
		t.Released += a.Released
		t.Unbalanced += apart(uint64(a.Balance()), 0)
	}
	t.Unbalanced += apart(readings+b.head.Holes.size(), b.head.End-1+b.head.Late)
	// A hole must be a loss, or sequences that no reading had, or from before the books.
	unknown := b.unknown()
	explained := b.head.Late + unknown.size()
	for _, u := range b.log.Unacked() {
		t.Unbalanced += unknown.overlap(u)
	}
	for _, l := range b.log.Lost() {
		if l.Why == skipped {
			explained += b.head.Holes.overlap(l.Range)
		}
	}
	if holes := b.head.Holes.size(); holes > explained {
		t.Unbalanced += holes - explained
	}
	if next := b.log.Next(); next > b.head.End {
		t.Unapplied = next - b.head.End
	} else if before == b.log.Ledger() { // nothing moved meanwhile
		t.Unbalanced += apart(t.Pending, before.Pending)
	}
	return t, nil
}

func apart(a, b uint64) uint64 {
	if d := int64(a - b); d < 0 {
		return uint64(-d)
	}
	return a - b
}

// maxTold bounds the accounts in one message to the hub.
const maxTold = 1000

// Next returns the accounts that changed since the hub compared them, the newest days last; none when there are none. It must be
// called while no batch is in flight.
func (b *Books) Next() (wire.Ledger, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.accounts()
	if err != nil {
		return wire.Ledger{}, err
	}
	b.tells++
	l := wire.Ledger{ID: b.tells, Since: b.since()}
	for _, a := range all {
		if old, ok := b.told[Key{a.Point, a.Register, a.Day}]; ok && old == a.LedgerEntry {
			continue
		}
		if l.Entries = append(l.Entries, a.LedgerEntry); len(l.Entries) == maxTold {
			break
		}
	}
	return l, nil
}

// since returns from which sequence on the books are whole.
func (b *Books) since() uint64 {
	if u := b.unknown(); len(u) > 0 {
		return u[len(u)-1].End
	}
	return 1
}

// unknown returns the holes that are no loss: what the hub had, and the store dropped, before it was counted.
func (b *Books) unknown() (out ranges) {
	var lost ranges
	for _, l := range b.log.Lost() {
		lost = lost.add(l.Range)
	}
	for _, l := range b.head.Lost {
		lost = lost.add(l)
	}
	for _, l := range b.head.Thin {
		lost = lost.add(l)
	}
	for _, h := range b.head.Holes {
		for _, u := range lost.without(h) {
			out = out.add(u)
		}
	}
	return out
}

// Again has the accounts of what the hub asked for again told once more, though they did not change: so both sides learn that they
// balance.
func (b *Books) Again(r wire.Resend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.told {
		if k.Point == r.Point && (r.Register == "" || k.Register == r.Register) && k.Day >= dayOf(r.From) && k.Day <= dayOf(r.To-1) {
			delete(b.told, k)
		}
	}
}

// Compared notes that the hub compared the accounts in l.
func (b *Books) Compared(l wire.Ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range l.Entries {
		b.told[Key{e.Point, e.Register, e.Day}] = e
	}
}
