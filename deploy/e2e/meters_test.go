package e2e_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// TestWhatMetersDo sends what counters go through in years: the agent and the hub, each for itself, make the same intervals of it,
// in whatever order it came, and the hub keeps every reading and every value that was corrected.
func TestWhatMetersDo(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	from := time.Now().UTC().Truncate(time.Hour).AddDate(0, 0, -10)
	const step = 10 * time.Minute
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	points := []string{"exchange", "rollover", "reset", "gap", "power-import", "shuffled", "corrected"}
	corrected := 0
	for _, point := range points {
		c := newCounter(point, from)
		switch point {
		case "exchange":
			c.Meter = "old-1"
			w.meters.send(messages(c.series, c.read(400, step), 10)...)
			c.Meter, c.value = "new-2", 7
			w.meters.send(messages(c.series, c.read(400, step), 10)...)
		case "rollover":
			const modulus = 1_000_000_000_000 // 1,000,000 kWh
			c.value = modulus - 200_000_000
			rs := c.read(800, step)
			for i := range rs {
				rs[i].Value, rs[i].Modulus = rs[i].Value%modulus, modulus
			}
			w.meters.send(messages(c.series, rs, 10)...)
		case "reset":
			w.meters.send(messages(c.series, c.read(400, step), 10)...)
			c.value = 0
			w.meters.send(messages(c.series, c.read(400, step), 10)...)
		case "gap":
			w.meters.send(messages(c.series, c.read(300, step), 10)...)
			c.at, c.value = c.at.Add(50*time.Hour), c.value+40_000_000
			w.meters.send(messages(c.series, c.read(300, step), 10)...)
		case "power-import":
			c.Register = meter.PowerImport
			rs := c.read(800, step)
			for i := range rs {
				rs[i].Kind, rs[i].Value = meter.Power, rng.Int64N(3_000_000)
			}
			w.meters.send(inWatts(c.series, rs)...)
		case "shuffled":
			ms := messages(c.series, c.read(800, step), 3)
			rng.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
			w.meters.send(ms...)
		case "corrected":
			rs := c.read(800, step)
			w.meters.send(messages(c.series, rs, 10)...)
			w.passes(int64(w.meters.count() - 1)) // so that what corrects comes later for sure
			for i := 9; i < len(rs); i += 10 {
				r := rs[i]
				r.Value -= 1_001
				w.meters.send(messages(c.series, []topic.Payload{r}, 1)...)
				corrected++
			}
		}
	}
	w.drained(w.meters.count() + corrected)
	w.same("Postgres", w.atHub(), w.meters.acked)
	w.sameIntervals(points...)
	w.wait("the hub to keep all corrections", func(context.Context) (bool, error) { // those that change no interval come without a sign
		n := w.number(`select count(*) from correction where before_value = after_value + 1001`)
		if n > int64(corrected) {
			t.Fatalf("the hub keeps %d corrections: want %d", n, corrected)
		}
		return n == int64(corrected), nil
	})
	for kind, point := range map[string]string{"exchange": "exchange", "rollover": "rollover", "reset": "reset", "gap": "gap"} {
		if w.number(`select count(*) from event e join point p using (org_id, point_id) where e.kind = $1 and p.name = $2`, kind, point) == 0 {
			t.Errorf("the hub noted no %s of %s", kind, point)
		}
	}
}

// inWatts packs readings of power, ten a message.
func inWatts(s series, rs []topic.Payload) []message {
	ms := messages(s, rs, 10)
	for i := range ms {
		ms[i].payload = topic.EncodeReadings(nil, ms[i].readings, "W")
	}
	return ms
}
