package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// message is one MQTT message and the readings in it, none when it is garbage.
type message struct {
	topic    string
	payload  []byte
	series   series
	readings []topic.Payload
}

// device is a meter: it makes readings in time order, and publishes them in whatever order.
type device struct {
	series
	unit string
	step time.Duration
	rng  *rand.Rand

	from  meter.Millis
	at    meter.Millis
	value int64
	until meter.Millis // the future begins here
	held  []topic.Payload
	said  []topic.Payload // a window of what was published, for corrections
}

// devices returns the meters of the site, who have much to say since from.
func devices(rng *rand.Rand, from, until time.Time) []*device {
	d := func(point string, r meter.Register, k meter.Kind, unit string, step time.Duration, value int64) *device {
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		at := meter.MillisOf(from.Add(time.Duration(own.Int64N(int64(step)))).Truncate(time.Millisecond))
		return &device{series: series{point, r, k}, unit: unit, step: step, rng: own, from: at, at: at, value: value, until: meter.MillisOf(until)}
	}
	return []*device{
		d("kitchen", meter.EnergyImport, meter.Counter, "kWh", 12*time.Second, 123_456_789_012),
		d("cellar", meter.EnergyImport, meter.Counter, "Wh", 10*time.Second, 5_000_000),
		d("roof", meter.EnergyExport, meter.Counter, "kWh", 15*time.Second, 999_000_000_000),
		d("heater", meter.PowerImport, meter.Power, "W", 20*time.Second, 1_500_000),
	}
}

// rename makes the meter publish for another point from now on, from the beginning.
func (d *device) rename(n int) {
	name, _, _ := strings.Cut(d.Point, "-")
	d.Point, d.at, d.held, d.said = fmt.Sprintf("%s-%d", name, n), d.from, nil, nil
}

// read returns the next reading.
func (d *device) read() (topic.Payload, bool) {
	step := d.step
	if d.rng.IntN(400) == 0 {
		step *= time.Duration(20 + d.rng.IntN(100)) // the meter was away
	}
	d.at = d.at.Add(step)
	if d.at >= d.until {
		return topic.Payload{}, false
	}
	if d.Kind == meter.Power {
		d.value = d.rng.Int64N(4_000_000)
	} else {
		d.value += d.rng.Int64N(50_000) * int64(step/time.Second)
	}
	p := topic.Payload{At: d.at, Value: d.value, Kind: d.Kind}
	if d.rng.IntN(50) == 0 {
		p.Quality = meter.Estimated
	}
	return p, true
}

// say returns what the meter publishes next, about n readings.
func (d *device) say(site string, n int) (ms []message) {
	var now []topic.Payload
	for range n {
		p, ok := d.read()
		switch {
		case !ok:
		case d.rng.IntN(25) == 0 && len(d.held) < 500:
			d.held = append(d.held, p) // for later
		default:
			now = append(now, p)
		}
	}
	if len(d.held) > 0 && d.rng.IntN(3) == 0 { // late, and in any order
		d.rng.Shuffle(len(d.held), func(i, j int) { d.held[i], d.held[j] = d.held[j], d.held[i] })
		k := 1 + d.rng.IntN(len(d.held))
		now, d.held = append(now, d.held[:k]...), append([]topic.Payload(nil), d.held[k:]...)
	}
	said := len(d.said)
	d.said = append(d.said, now...)
	for len(now) > 0 {
		k := min(1+d.rng.IntN(40), len(now))
		ms = append(ms, d.message(site, now[:k]))
		now = now[k:]
		if d.rng.IntN(20) == 0 {
			ms = append(ms, ms[d.rng.IntN(len(ms))]) // twice
		}
	}
	if said > 0 && d.rng.IntN(4) == 0 { // of what was published in an earlier wave, so that the order is certain
		i := d.rng.IntN(said)
		d.said[i].Value += 1 + d.rng.Int64N(20_000)
		ms = append(ms, d.message(site, d.said[i:i+1]))
	}
	if more := len(d.said) - 3000; more > 0 {
		d.said = append([]topic.Payload(nil), d.said[more:]...)
	}
	return ms
}

func (d *device) message(site string, rs []topic.Payload) message {
	rs = append([]topic.Payload(nil), rs...)
	return message{topic.ReadingTopic(site, d.Point, d.Register), topic.EncodeReadings(nil, rs, d.unit), d.series, rs}
}

// garbage returns a message that holds nothing a meter would say.
func garbage(rng *rand.Rand, site string) message {
	good := topic.ReadingTopic(site, "kitchen", meter.EnergyImport)
	at := time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)
	switch rng.IntN(6) {
	case 0:
		return message{topic: good, payload: []byte(`{"t":"` + at + `","v":`)}
	case 1: // not 1970: while the clock is there, the agent dates such a reading rightly
		return message{topic: good, payload: []byte(`{"t":"1975-01-01T00:00:07Z","v":1,"unit":"kWh"}`)}
	case 2:
		return message{topic: good, payload: []byte(`{"t":"` + at + `","v":1e300,"unit":"kWh"}`)}
	case 3:
		return message{topic: topic.ReadingTopic(site, "kitchen", "no-such-register"), payload: []byte(`{"t":"` + at + `","v":1}`)}
	case 4:
		return message{topic: good, payload: fmt.Appendf(nil, `{"t":%q,"v":5,"unit":"kWh"}`, time.Now().UTC().Add(72*time.Hour).Format(time.RFC3339))}
	default:
		b := make([]byte, 1+rng.IntN(300))
		for i := range b {
			b[i] = byte(rng.IntN(256))
		}
		return message{topic: good, payload: b}
	}
}
