package e2e_test

import (
	"context"
	"testing"
	"time"
)

// counted is what both sides answer about their books.
type counted struct {
	Received, Delivered, Pending, Unbalanced int64
	Balanced                                 bool
}

type hubBooks struct {
	Totals struct {
		Differing, Resends, Underived int64
		Balanced                      bool
		Sum                           struct {
			Received, Restored, Settled, Lost int64
			Agent                             counted
		}
	}
}

// TestLedgersBalanceAndHeal holds the agent's books against the hub's, lets an operator bring deleted rows back, and lets the hub
// find by itself that a day is missing and get it again.
func TestLedgersBalanceAndHeal(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	from := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -6)
	const each = 5 * 96
	for _, p := range []string{"kitchen", "cellar"} {
		c := newCounter(p, from)
		w.meters.send(messages(c.series, c.read(each, 15*time.Minute), 10)...)
	}
	w.wantExactly(w.meters.acked)

	var b counted
	w.must("ask the agent for its balance", w.agent.API.Get(w.ctx, "/v1/ledger/balance", &b))
	if !b.Balanced || b.Received != 2*each || b.Delivered != 2*each || b.Pending != 0 {
		t.Fatalf("the agent's books say %+v: want all of %d delivered", b, 2*each)
	}
	balanced := func(what string, more func(hubBooks) bool) {
		t.Helper()
		w.wait(what, func(ctx context.Context) (bool, error) {
			var h hubBooks
			err := w.hub.API.Get(ctx, "/v1/ledger?site="+site, &h)
			sum := h.Totals.Sum
			return err == nil && h.Totals.Balanced && sum.Agent.Delivered == 2*each && sum.Received+sum.Settled+sum.Lost == 2*each && more(h), err
		})
	}
	again := func() { // a session begins with the books
		t.Helper()
		w.must("stop the agent", w.agent.Stop(20*time.Second))
		w.startAgent()
	}
	again()
	balanced("both ledgers to balance", func(hubBooks) bool { return true })

	w.exec(`delete from chunk`)
	w.exec(`delete from batch b using site_derived d where b.org_id = d.org_id and b.site_id = d.site_id and b.arrival <= d.derived`)
	w.exec(`delete from interval where start < now() - interval '4 days'`)
	for _, p := range []string{"kitchen", "cellar"} {
		if _, err := w.hub.Command(w.ctx, "resync", "--point", site+"/"+p, "--from", from.Format(time.DateOnly), "--to", time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)); err != nil {
			t.Fatal(err)
		}
	}
	w.wantExactly(w.meters.acked)
	w.sameIntervals("kitchen", "cellar")

	day := from.AddDate(0, 0, 2)
	w.exec(`delete from chunk`)
	w.exec(`delete from batch b using site_derived d where b.org_id = d.org_id and b.site_id = d.site_id and b.arrival <= d.derived`)
	w.exec(`delete from ledger where day = $1::date and point = 'kitchen'`, day)
	again()
	balanced("the hub to get the missing day again", func(h hubBooks) bool { return h.Totals.Sum.Settled == 96 && h.Totals.Sum.Lost == 0 })
	if n := w.number(`select count(*) as n from register g, fluxora_readings(g.org_id, g.register_id, $1, $2)`, day, day.AddDate(0, 0, 1)); n != 96 {
		t.Errorf("the hub has %d readings of the day that was missing: want 96", n)
	}
}
