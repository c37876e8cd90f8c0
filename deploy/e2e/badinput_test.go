package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// rssBound is what an agent's memory may reach at most while it is fed rubbish, in bytes. Five payloads of 10 MB pass through it in
// that time, and the MQTT library holds each in memory twice while it reads it.
const rssBound = 160 << 20

// TestBadInput feeds the agent everything that it must refuse, among good readings: each is counted and quarantined with its
// reason, at the agent and at the hub, and the good ones are all there, once.
func TestBadInput(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	now := time.Now().UTC().Truncate(time.Second)
	c := newCounter("kitchen", now.AddDate(0, 0, -2))
	w.meters.send(messages(c.series, c.read(1_000, time.Minute), 10)...)

	refused := map[meter.Reason]int{}
	bad := func(reason meter.Reason, readings int, topic, payload string, args ...any) {
		refused[reason] += readings
		w.meters.send(message{topic: topic, payload: fmt.Appendf(nil, payload, args...)})
	}
	kitchen := topic.ReadingTopic(site, "kitchen", meter.EnergyImport)
	at := func(t time.Time) string { return t.Format(time.RFC3339) }

	bad(meter.Malformed, 1, kitchen, `{"t":"%s","v":`, at(now))
	bad(meter.Malformed, 1, kitchen, "\x00\xff\xfe rubbish")
	bad(meter.Malformed, 1, kitchen, ``)
	bad(meter.Malformed, 1, kitchen, `"a string"`)
	bad(meter.Malformed, 1, kitchen, `[{"t":"%s","v":1},]`, at(now))
	bad(meter.Malformed, 1, kitchen, `{"v":1}`)
	bad(meter.BadValue, 1, kitchen, `{"t":"%s","v":"12.5"}`, at(now))
	bad(meter.BadValue, 1, kitchen, `{"t":"%s","v":true}`, at(now))
	bad(meter.BadValue, 1, kitchen, `{"t":"%s","v":NaN}`, at(now))
	bad(meter.BadValue, 1, kitchen, `{"t":"%s","v":Infinity}`, at(now))
	bad(meter.BadValue, 1, kitchen, `{"t":"%s","v":1e999}`, at(now))
	bad(meter.BadTime, 1, kitchen, `{"t":true,"v":1}`)
	bad(meter.BadTime, 1, kitchen, `{"t":"yesterday","v":1}`)
	bad(meter.BadUnit, 1, kitchen, `{"t":"%s","v":1,"unit":"W"}`, at(now))
	bad(meter.UnknownField, 1, kitchen, `{"t":"%s","v":1,"voltage":230}`, at(now))
	bad(meter.UnknownRegister, 1, topic.ReadingTopic(site, "kitchen", "gas-volume"), `{"t":"%s","v":1}`, at(now))
	bad(meter.Absurd, 1, kitchen, `{"t":"%s","v":5e9,"unit":"kWh"}`, at(now))
	bad(meter.Absurd, 1, kitchen, `{"t":"%s","v":-1}`, at(now))
	bad(meter.Future, 1, kitchen, `{"t":"%s","v":1}`, at(now.Add(time.Hour)))
	bad(meter.UnsetClock, 1, kitchen, `{"t":0,"v":1}`)
	bad(meter.UnsetClock, 1, kitchen, `{"t":"1970-01-01T00:10:00Z","v":1}`)
	bad(meter.TooOld, 1, kitchen, `{"t":"%s","v":1}`, at(now.AddDate(0, 0, -401)))
	for range 5 {
		bad(meter.TooLarge, 1, kitchen, "%s", bytes.Repeat([]byte("9"), 10_000_000))
	}
	w.waitRefused(refused)
	w.hubQuarantine(refused) // a flood would crowd these out of the agent's bounded quarantine before the hub had them

	var unknown []message
	for i := range 10_000 {
		unknown = append(unknown, message{topic: topic.ReadingTopic(site, fmt.Sprintf("no such point %d", i), meter.EnergyImport), payload: []byte(`{"v":1}`)})
	}
	refused[meter.UnknownTopic] = len(unknown)
	w.meters.send(unknown...)

	// Good and bad in one message: the good ones count.
	mixed := c.read(2, time.Minute)
	future := topic.Payload{At: meter.MillisOf(now.Add(24 * time.Hour)), Value: 1, Kind: meter.Counter}
	w.meters.send(message{
		topic: kitchen, series: c.series, readings: mixed,
		payload: topic.EncodeReadings(nil, []topic.Payload{mixed[0], future, mixed[1]}, ""),
	})
	refused[meter.Future]++

	// The same again, another order, and as late as can be.
	again := messages(c.series, c.read(100, time.Minute), 1)
	w.meters.send(again...)
	w.meters.send(again...)
	late := newCounter("attic", now.AddDate(0, 0, -399))
	early, rest := late.read(1, 398*24*time.Hour), late.read(40, 30*time.Minute)
	for i := range rest {
		w.meters.send(messages(late.series, rest[len(rest)-1-i:len(rest)-i], 1)...)
	}
	w.meters.send(messages(late.series, early, 1)...)

	// A retained reading comes again with each connect.
	kept := messages(c.series, c.read(1, time.Minute), 1)[0]
	kept.retained = true
	w.meters.send(kept)
	w.passes(int64(w.meters.count() - 1))
	w.waitRefused(refused)
	if dup := w.metric("fluxora_agent_duplicates_total", ""); dup < 100 {
		t.Errorf("the agent counts %v duplicates: want the 100 that came again", dup)
	}
	peak := w.peakRSS()
	w.must("stop the agent", w.agent.Stop(20*time.Second))
	w.startAgent()
	w.wait("the retained reading to come again", func(context.Context) (bool, error) {
		return w.metric("fluxora_agent_duplicates_total", "") >= 1, nil
	})

	w.meters.send(messages(c.series, c.read(100, time.Minute), 10)...)
	w.wantExactly(w.meters.acked)
	w.sameIntervals("kitchen", "attic")
	w.hubQuarantine(refused)
	t.Logf("the agent's memory reached %d MB", peak>>20)
	if peak > rssBound {
		t.Errorf("the agent's memory reached %d MB: want at most %d MB", peak>>20, rssBound>>20)
	}
}

// waitRefused waits until the agent's counters and its quarantine hold exactly what was refused.
func (w *world) waitRefused(want map[meter.Reason]int) {
	w.Helper()
	w.wait("the agent to have refused all that is bad", func(context.Context) (bool, error) {
		for reason, n := range want {
			if got := w.metric("fluxora_agent_refused_total", string(reason)); got != float64(n) {
				return false, fmt.Errorf("the agent refused %v because %s: want %d", got, reason, n)
			}
		}
		return true, nil
	})
	for _, reason := range meter.Reasons() {
		if got := w.metric("fluxora_agent_refused_total", string(reason)); got != float64(want[reason]) {
			w.Errorf("the agent refused %v because %s: want %d", got, reason, want[reason])
		}
	}
	if o := w.status(w.agent); o.Readings.Quarantined == 0 {
		w.Errorf("the agent's status says nothing of its quarantine: %+v", o.Readings)
	}
}

// hubQuarantine waits until the hub's quarantine holds every reason, and all messages but those that the agent had no room for.
func (w *world) hubQuarantine(want map[meter.Reason]int) {
	w.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	dropped := int(w.metric("fluxora_agent_quarantine_dropped_total", ""))
	w.wait("the hub's quarantine to hold what was refused", func(ctx context.Context) (bool, error) {
		rows, err := query[struct {
			Reason string
			N      int
			Detail string
		}](w, ctx, `select q.reason, count(*)::int, min(q.detail) from quarantine q join agent a using (org_id, agent_id)
			join site s using (org_id, site_id) where s.name = $1 group by 1`, site)
		if err != nil {
			return false, err
		}
		have, sum := map[meter.Reason]int{}, 0
		for _, r := range rows {
			have[meter.Reason(r.Reason)], sum = r.N, sum+r.N
			if r.Detail == "" {
				w.Errorf("the hub's quarantine gives no detail of %s", r.Reason)
			}
		}
		for reason, n := range want {
			if have[reason] == 0 || have[reason] > n {
				return false, fmt.Errorf("it holds %d because %s: want %d", have[reason], reason, n)
			}
		}
		if sum+dropped != total {
			return false, fmt.Errorf("it holds %d and the agent had no room for %d: want %d together", sum, dropped, total)
		}
		w.Logf("the hub's quarantine holds %d messages, the agent had no room for %d", sum, dropped)
		return true, nil
	})
}

// metric returns a counter of the agent, 0 when there is none.
func (w *world) metric(name, reason string) float64 {
	w.Helper()
	if reason != "" {
		name += `{reason="` + reason + `"}`
	}
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", w.agent.Port))
	w.must("ask the agent for its metrics", err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	w.must("read the agent's metrics", err)
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			w.must("read "+name, err)
			return v
		}
	}
	return 0
}

// peakRSS returns the most memory that the agent had resident so far, in bytes.
func (w *world) peakRSS() int64 {
	w.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", w.agent.Pid()))
	w.must("look at the agent's memory", err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kb int64
		if n, _ := fmt.Sscanf(s.Text(), "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	w.Fatal("found no VmHWM in /proc")
	return 0
}
