package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// TestWholePath plays thirty days of synthetic buildings through the bridge: everything that was published is at the hub, its
// intervals and forecasts are the agent's, and a training ends with a model or an honest reason, told by the scores beside the
// baselines'.
func TestWholePath(t *testing.T) {
	w := newWorld(t, "")
	w.begin()

	published := books{}
	stop, err := w.subscribe("witness", topic.ReadingFilter(site), func(m mqtt.Message) {
		_, point, register, err := topic.ParseReading(m.Topic())
		if err != nil {
			t.Errorf("the bridge publishes on %s: %v", m.Topic(), err)
			return
		}
		info, _ := meter.LookupRegister(string(register))
		rs, err := topic.DecodeReadings(nil, m.Payload(), info)
		if err != nil {
			t.Errorf("the bridge publishes what cannot be decoded: %v", err)
		}
		for _, r := range rs {
			published.enter(series{point, r.Meter, register}, r)
		}
	})
	w.must("watch the bridge", err)

	bridge := w.newBridge(30)
	w.must("start the bridge", bridge.Start())
	points := w.waitLive(3)
	w.must("stop the bridge", bridge.Stop(10*time.Second))
	stop()
	if n := published.count(); n < 3*30*24 {
		t.Fatalf("the bridge published %d readings: want thirty days of three meters", n)
	}
	w.wantExactly(published)
	if n := w.sameIntervals(points...); n < 3*29*24 {
		t.Errorf("there are %d intervals: want those of thirty days of three meters", n)
	}
	w.sameForecasts("baseline", points...)

	end := w.train()
	for _, contender := range []string{"candidate", "seasonal-naive", "four-week-mean"} {
		if s, ok := end.score(contender); !ok || s.MASE <= 0 {
			t.Errorf("the training tells no score of %s: %+v", contender, end.Scores)
		}
	}
	switch {
	case end.Outcome == "promoted":
		w.waitForecasts(w.agent, "active", points...)
		w.sameForecasts("active", points...)
	case end.Outcome != "rejected" || end.Reason == "":
		t.Errorf("the training ended %q because %q: want it promoted, or rejected with a reason", end.Outcome, end.Reason)
	}
}

// newBridge returns a bridge that replays one building of each kind, with so many days of backfill.
func (w *world) newBridge(backfill int) *stage.Process {
	w.Helper()
	config := w.path("bridge.yaml")
	w.must("write the bridge's settings", os.WriteFile(config, fmt.Appendf(nil, `site: %s
data_dir: %s
mqtt:
  url: %s
replay:
  profiles: [office, school, home]
  count: 3
  backfill: %d
  every: 1s
`, site, w.path("bridge"), w.broker.URL(), backfill), 0o600))
	return &stage.Process{Name: "bridge", Path: filepath.Join(programs, "fluxora-bridge"), Args: []string{"--config", config}, Log: w.path("bridge.log")}
}

// waitLive waits until so many meters have sent a reading of the last minute, and returns their points.
func (w *world) waitLive(n int) (points []string) {
	w.Helper()
	w.wait("every meter to be live", func(ctx context.Context) (bool, error) {
		var ps rest.AgentPoints
		if err := w.agent.API.Get(ctx, "/v1/points", &ps); err != nil {
			return false, err
		}
		points = points[:0]
		for _, p := range ps.Points {
			if p.LastReading != nil && time.Since(p.LastReading.At) < time.Minute {
				points = append(points, p.ID)
			}
		}
		if len(points) != n {
			return false, fmt.Errorf("%d points are live: want %d", len(points), n)
		}
		return true, nil
	})
	return points
}

// training is how a training ended.
type training struct {
	State, Outcome, Reason, Model string
	Scores                        []rest.Score
}

func (t training) score(contender string) (rest.Score, bool) {
	for _, s := range t.Scores {
		if s.Contender == contender {
			return s, true
		}
	}
	return rest.Score{}, false
}

// train has the hub train now and returns how that ended.
func (w *world) train() (end training) {
	w.Helper()
	out, err := w.hub.Command(w.ctx, "train", "--json")
	w.must("train", err)
	w.must("read how the training ended", json.Unmarshal([]byte(out), &end))
	w.Logf("training: %s: %s; %+v", end.Outcome, end.Reason, end.Scores)
	return end
}
