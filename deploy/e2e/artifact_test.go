package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// TestTamperedArtifact changes the bytes of the active model in Postgres, once so that their digest tells and once so that only
// the signature does: agents that come then refuse it, say so and stay on the baseline, and the agent that has the true one
// goes on with it.
func TestTamperedArtifact(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	history := func(site string) []message {
		c := newCounter("kitchen", time.Now().AddDate(0, 0, -40))
		return at(site, messages(c.series, c.read(40*24, time.Hour), 100))
	}
	w.meters.send(history(site)...)
	w.drained(40 * 24)
	w.sameIntervals("kitchen")
	if end := w.train(); end.Outcome != "promoted" {
		// Numbers at random hold nothing to learn. An operator who wants the model nonetheless gets it.
		w.exec(`update model set state = 'active', promoted_at = now() where model_id = $1`, end.Model)
		w.stopHub()
		w.startHub()
	}
	w.waitForecasts(w.agent, "active", "kitchen")
	model := w.status(w.agent).Model

	// Octet 200 lies behind the header, in what the model learnt.
	w.exec(`update model set artifact = set_byte(artifact, 200, get_byte(artifact, 200) # 1) where model_id = $1`, model)
	for _, c := range []struct{ site, change, reason string }{
		{"garage", ``, "digest"},
		{"barn", `update model set sha256 = sha256(artifact) where model_id = $1`, "signature"},
	} {
		if c.change != "" {
			w.exec(c.change, model)
		}
		a := w.newAgent(c.site, "")
		w.enrol(a)
		w.must("start the agent of "+c.site, a.Start(w.ctx))
		t.Cleanup(func() {
			if err := a.Stop(20 * time.Second); err != nil {
				t.Error(err)
			}
		})
		w.waitStatus(a, "the agent to listen", func(o rest.Overview) bool { return o.Broker.Connected }) // a broker keeps nothing for whom it does not know
		w.meters.send(history(c.site)...)
		w.wait("the hub to know that the agent of "+c.site+" refused the model", func(ctx context.Context) (bool, error) {
			rows, err := query[struct{ State, Detail string }](w, ctx, `select m.state, m.detail from agent_model m
				join agent a using (org_id, agent_id) join site s using (org_id, site_id) where s.name = $1 and m.model_id = $2`, c.site, model)
			if err != nil || len(rows) != 1 {
				return false, err
			}
			if rows[0].State != "refused" || !strings.Contains(rows[0].Detail, c.reason) {
				return false, fmt.Errorf("it says %+v: want it refused because of the %s", rows[0], c.reason)
			}
			return true, nil
		})
		w.waitForecasts(a, "baseline", "kitchen")
		if o := w.status(a); o.Model != "" {
			t.Errorf("the agent of %s says it uses model %s", c.site, o.Model)
		}
	}
	var agents rest.Agents
	w.must("ask the hub for its agents", w.hub.API.Get(w.ctx, "/v1/agents", &agents))
	for _, a := range agents.Agents {
		if a.Site != site && a.ModelState != "refused" {
			t.Errorf("the hub says the model of %s is %q: want refused", a.Site, a.ModelState)
		}
	}
	if f, err := servedForecast(w.ctx, w.agent, "kitchen"); err != nil || f.Rung != "active" || f.Model != model {
		t.Errorf("the first agent forecasts on rung %q with %q (%v): want active with %s", f.Rung, f.Model, err, model)
	}
}
