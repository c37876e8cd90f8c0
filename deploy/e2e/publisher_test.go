package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// series names what readings belong to.
type series struct {
	Point, Meter string
	Register     meter.Register
}

// books is a set of readings: the value of each series at each instant.
type books map[series]map[meter.Millis]int64

func (b books) enter(s series, rs ...topic.Payload) {
	if b[s] == nil {
		b[s] = map[meter.Millis]int64{}
	}
	for _, r := range rs {
		b[s][r.At] = r.Value
	}
}

func (b books) count() (n int) {
	for _, rs := range b {
		n += len(rs)
	}
	return n
}

// message is one MQTT message and the readings it holds, none when it holds nothing that a meter said.
type message struct {
	topic    string
	payload  []byte
	retained bool
	series   series
	readings []topic.Payload
}

// publisher publishes with QoS 1 and keeps what the broker has acked.
type publisher struct {
	w      *world
	client mqtt.Client

	mu    sync.Mutex
	acked books
}

func newPublisher(w *world) *publisher { return &publisher{w: w, acked: books{}} }

// send publishes the messages, each again and again until the broker acks it, and enters them into the books.
func (p *publisher) send(ms ...message) {
	const window = 50
	for len(ms) > 0 && p.w.ctx.Err() == nil {
		if err := p.connect(); err != nil {
			p.w.Errorf("the meters find no broker: %v", err)
			return
		}
		var again []message
		tokens := make([]mqtt.Token, len(ms))
		settle := func(i int) {
			if tokens[i].WaitTimeout(10*time.Second) && tokens[i].Error() == nil {
				p.enter(ms[i])
			} else {
				again = append(again, ms[i])
			}
		}
		for i, m := range ms {
			tokens[i] = p.client.Publish(m.topic, 1, m.retained, m.payload)
			if i >= window {
				settle(i - window)
			}
		}
		for i := max(0, len(ms)-window); i < len(ms); i++ {
			settle(i)
		}
		if len(again) > 0 {
			p.close()
		}
		ms = again
	}
}

func (p *publisher) enter(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(m.readings) > 0 {
		p.acked.enter(m.series, m.readings...)
	}
}

// count returns how many readings the broker has acked.
func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked.count()
}

func (p *publisher) connect() error {
	if p.client != nil && p.client.IsConnectionOpen() {
		return nil
	}
	p.close()
	return stage.WaitFor(p.w.ctx, "the broker to take the meters' connection", time.Minute, func(context.Context) (bool, error) {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(p.w.broker.URL()).SetClientID("meters").
			SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetWriteTimeout(10 * time.Second))
		if t := c.Connect(); !t.WaitTimeout(5*time.Second) || t.Error() != nil {
			return false, fmt.Errorf("connect: %w", t.Error())
		}
		p.client = c
		return true, nil
	})
}

func (p *publisher) close() {
	if p.client != nil {
		p.client.Disconnect(50)
		p.client = nil
	}
}

// counter is a meter's energy counter.
type counter struct {
	series
	at    meter.Millis
	value int64 // mWh
	rng   *rand.Rand
}

func newCounter(point string, from time.Time) *counter {
	return &counter{series{point, "", meter.EnergyImport}, meter.MillisOf(from), 1_000_000_000, rand.New(rand.NewPCG(1, uint64(len(point))))}
}

// read returns the next n readings, every step apart, with energies that need every digit.
func (c *counter) read(n int, step time.Duration) []topic.Payload {
	rs := make([]topic.Payload, n)
	for i := range rs {
		rs[i] = topic.Payload{At: c.at, Value: c.value, Meter: c.Meter, Kind: meter.Counter}
		c.at, c.value = c.at.Add(step), c.value+c.rng.Int64N(2_000_000)
	}
	return rs
}

// messages packs readings of a series, so many a message.
func messages(s series, rs []topic.Payload, each int) (ms []message) {
	for len(rs) > 0 {
		n := min(each, len(rs))
		ms = append(ms, message{
			topic:  topic.ReadingTopic(site, s.Point, s.Register),
			series: s, readings: rs[:n], payload: topic.EncodeReadings(nil, rs[:n], "kWh"),
		})
		rs = rs[n:]
	}
	return ms
}

// at returns messages as they are at another site. They are not entered into the books.
func at(other string, ms []message) []message {
	out := make([]message, len(ms))
	for i, m := range ms {
		out[i] = message{topic: topic.ReadingTopic(other, m.series.Point, m.series.Register), payload: m.payload}
	}
	return out
}

// load publishes readings of several counters, 30 s apart, until the function it returns is called.
func (p *publisher) load(each int, cs ...*counter) (stop func()) {
	ctx, cancel := context.WithCancel(p.w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, c := range cs {
				p.send(messages(c.series, c.read(20*each, 30*time.Second), each)...)
			}
		}
	}()
	return func() { cancel(); <-done }
}
