package e2e_test

import (
	"context"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// TestBrokerComesLateAndIsKilled starts an agent without a broker, and kills the broker in the middle of a stream. Mosquitto acks
// before it saves, so what it had acked and not delivered when it died is gone with its memory, as are subscriptions that
// it had not saved. A careful publisher sends all that again once the agent is back, and the agent knows what it has already.
func TestBrokerComesLateAndIsKilled(t *testing.T) {
	w := newWorld(t, "")
	w.startHub()
	w.enrol(w.agent)
	w.startAgent()
	w.waitStatus(w.agent, "the agent to miss the broker", func(o rest.Overview) bool {
		return !o.Broker.Connected && o.Broker.LastError != "" && o.Hub.Connected
	})
	w.startBroker()
	w.waitStatus(w.agent, "the agent to find the broker", func(o rest.Overview) bool { return o.Broker.Connected })

	c := newCounter("kitchen", time.Now().AddDate(0, 0, -10))
	w.meters.send(messages(c.series, c.read(2_000, time.Minute), 5)...)
	w.passes(1_999)

	stream, sent := messages(c.series, c.read(8_000, time.Minute), 5), make(chan struct{})
	go func() { defer close(sent); w.meters.send(stream...) }()
	for w.meters.count() < 4_000 {
		w.must("wait for the stream", context.Cause(w.ctx))
	}
	w.must("kill the broker", w.broker.Kill())
	w.startBroker()
	<-sent
	w.wait("the agent to find the broker again", func(context.Context) (bool, error) {
		return w.metric("fluxora_agent_broker_connects_total", "") >= 2, nil
	})
	w.meters.send(stream...)

	w.wantExactly(w.meters.acked)
	w.sameIntervals("kitchen")
}

// TestHubAwayForTheWholeRun leaves the agent alone after its enrolment: it takes readings, keeps them over a restart and
// forecasts. When the hub comes at last it gets everything, forecasts too.
func TestHubAwayForTheWholeRun(t *testing.T) {
	w := newWorld(t, "")
	w.startBroker()
	w.startHub()
	w.enrol(w.agent)
	w.stopHub()
	w.startAgent()

	points := []string{"kitchen", "cellar", "roof"}
	for _, p := range points {
		c := newCounter(p, time.Now().AddDate(0, 0, -20))
		w.meters.send(messages(c.series, c.read(20*96, 15*time.Minute), 50)...)
	}
	w.passes(int64(w.meters.count() - 1))
	w.waitForecasts(w.agent, "baseline", points...)
	o := w.status(w.agent)
	if o.Hub.Connected || o.Hub.LastError == "" || o.Readings.Pending != o.Readings.Received {
		t.Errorf("without its hub the agent says %+v: want why it is not connected, and everything pending", o)
	}

	w.must("stop the agent", w.agent.Stop(20*time.Second))
	w.startAgent()
	w.waitForecasts(w.agent, "baseline", points...)
	w.startHub()
	w.wantExactly(w.meters.acked)
	w.sameIntervals(points...)
	w.sameForecasts("baseline", points...)
}
