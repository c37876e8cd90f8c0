package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// TestLiveErrorsReachTheHub: a model is trained on a history that ends three weeks ago, then the agent is given the weeks since.
// Restarted, it measures the model on them and tells the hub, which finds the same with its own history.
func TestLiveErrorsReachTheHub(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	now := time.Now().UTC().Truncate(time.Hour)
	cut := now.AddDate(0, 0, -21)
	points := []string{"kitchen", "cellar", "roof"}
	send := func(from, to time.Time) {
		for i, p := range points {
			s := series{p, "", meter.EnergyImport}
			w.meters.send(messages(s, office(from, to, float64(i+1)), 100)...)
		}
		w.wantExactly(w.meters.acked)
	}
	send(now.AddDate(0, 0, -70), cut)
	w.sameIntervals(points...)
	end := w.train()
	if end.Model == "" {
		t.Fatalf("the training made no model: %+v", end)
	}
	if end.Outcome != "promoted" { // what it is worth does not matter here
		_, err := w.hub.Command(w.ctx, "model", "promote", end.Model)
		w.must("promote the model", err)
	}
	w.waitForecasts(w.agent, "active", points...)

	send(cut, now)
	w.sameIntervals(points...)
	w.must("stop the agent", w.agent.Stop(20*time.Second))
	w.startAgent()
	type live struct {
		Days      int
		Intervals int
		Error     float64 `json:"error_wh"`
		Baseline  float64 `json:"baseline_wh"`
	}
	var found []struct {
		Model  string
		Heard  int `json:"points_heard"`
		Live   live
		Agents live
	}
	w.wait("the agent's figures at the hub", func(ctx context.Context) (bool, error) {
		out, err := w.hub.Command(ctx, "watch", "--now", "--json")
		if err != nil {
			return false, err
		}
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			return false, err
		}
		if len(found) != 1 || found[0].Heard != len(points) || found[0].Agents.Days < found[0].Live.Days {
			return false, fmt.Errorf("found %+v", found)
		}
		return true, nil
	})
	f := found[0]
	if f.Model != end.Model || f.Live.Days < 20 || f.Live.Days != f.Agents.Days || f.Live.Intervals != f.Agents.Intervals {
		t.Errorf("found %+v", f)
	}
	if math.Abs(f.Live.Error-f.Agents.Error) > 1e-6*f.Live.Error || math.Abs(f.Live.Baseline-f.Agents.Baseline) > 1e-6*f.Live.Baseline {
		t.Errorf("the hub finds %+v, the agent measured %+v: want the same of the same history", f.Live, f.Agents)
	}
}

// office returns the hourly readings of a counter from an instant until another: much on weekdays, little else, never twice the same.
func office(from, to time.Time, scale float64) (rs []topic.Payload) {
	for at := from; !at.After(to); at = at.Add(time.Hour) {
		// The value follows from the instant alone, so that a later call goes on where this one ended.
		rs = append(rs, topic.Payload{At: meter.MillisOf(at), Value: int64(scale * officeCount(at)), Kind: meter.Counter})
	}
	return rs
}

// officeCount is the counter of an office since 2020, in mWh.
func officeCount(at time.Time) float64 {
	hours := at.Sub(time.Date(2020, 1, 6, 0, 0, 0, 0, time.UTC)).Hours()
	weeks, rest := math.Floor(hours/168), math.Mod(hours, 168)
	sum := weeks * (168*1e6 + 5*10*2e6)
	sum += rest * 1e6
	for d := 0.0; d < 5; d++ {
		sum += math.Max(0, math.Min(10, rest-24*d-7)) * 2e6
	}
	return sum + 2e5*math.Sin(hours*0.7)
}
