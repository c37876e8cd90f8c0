package e2e_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
)

// TestCopiedCard runs an agent and a copy of its card, one after the other: they give the same sequences to other readings. The copy is
// refused, with an alarm on both sides, until it is let in by hand, and then nothing that it holds is lost; the first one is
// refused from then on.
func TestCopiedCard(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	c := newCounter("kitchen", time.Now().AddDate(0, 0, -3))
	send := func() { w.meters.send(messages(c.series, c.read(30, 15*time.Minute), 10)...) }
	stop := func(a *stage.Agent) { w.must("stop the agent", a.Stop(20*time.Second)) }
	send()
	w.wantExactly(w.meters.acked)
	stop(w.agent)
	w.must("copy the card", os.CopyFS(w.path("site-copy/agent"), os.DirFS(w.path("site-"+site+"/agent"))))

	w.startAgent()
	send()
	w.wantExactly(w.meters.acked)
	first := w.agent
	id := w.status(first).Agent
	stop(first)
	there := w.number(`select sum(readings)::bigint from site_arrival`)

	second, err := stage.NewAgent(programs, w.path("site-copy"), w.path("agent-copy.log"), stage.AgentOptions{
		Site: site, Zone: zone, Broker: w.broker.URL(), Port: w.port(), More: "store:\n  commit_window: 100ms\n",
	})
	w.must("prepare the copy", err)
	w.agent = second
	w.startAgent()
	send()
	refused := func(a *stage.Agent) {
		t.Helper()
		w.waitStatus(a, "the copy to say that it is one", func(o rest.Overview) bool {
			return !o.Hub.Connected && strings.Contains(o.Hub.LastError, "agent readmit")
		})
	}
	refused(second)
	w.waitStatus(second, "the copy to keep its readings", func(o rest.Overview) bool { return o.Readings.Pending == 30 })
	var agents rest.Agents
	w.must("ask the hub for its agents", w.hub.API.Get(w.ctx, "/v1/agents", &agents))
	if len(agents.Agents) != 1 || agents.Agents[0].Doubled == nil || agents.Agents[0].Doubled.Refused == 0 {
		t.Errorf("the hub's agents are %+v: want one, doubled", agents.Agents)
	}
	if n := w.number(`select sum(readings)::bigint from site_arrival`); n != there {
		t.Errorf("the hub has %d readings after the copy came: want %d", n, there)
	}

	_, err = w.hub.Command(w.ctx, "agent", "readmit", id)
	w.must("readmit the copy", err)
	stop(second) // it would come back by itself within two minutes
	w.startAgent()
	w.waitStatus(second, "the copy to deliver all that it holds", func(o rest.Overview) bool { return o.Readings.Delivered == 60 && o.Readings.Pending == 0 })
	w.same("Postgres", w.atHub(), w.meters.acked)
	w.wait("both ledgers to balance", func(ctx context.Context) (bool, error) {
		var h hubBooks
		err := w.hub.API.Get(ctx, "/v1/ledger?site="+site, &h)
		return err == nil && h.Totals.Balanced && h.Totals.Sum.Lost == 0, err
	})
	stop(second)

	w.agent = first
	w.startAgent()
	refused(first)
}
