// Package publish brings readings to an MQTT broker and drops none. It alone knows the MQTT client library; it must not
// know where readings come from.
//
// A message is held in a window, in order, until the broker has acknowledged it (QoS 1). The window is bounded: when it
// is full, because the broker is slow or away, Publish blocks. On a new connection everything still held is sent again,
// in order; a message can so arrive twice, never less than once. The session at the broker is persistent; the client
// library keeps nothing of its own over a connection. A status topic says online, retained, and offline by last will.
//
// When the publisher is told to wait for the agent, it also blocks while the agent's status topic does not say online:
// a broker keeps messages only for sessions that it knows, and only so many (Mosquitto 1,000), and then drops them without
// telling anybody.
package publish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Options are what a publisher needs.
type Options struct {
	URL          string // tcp://, ssl://, ws:// or wss://
	ClientID     string
	Username     string
	Password     func() (string, error) // asked at each connection; may be nil
	TLS          *tls.Config            // may be nil
	Site         string
	Version      string
	Window       int // messages not yet acknowledged; default 20, Mosquitto's limit
	WaitForAgent bool
	RetryAtMost  time.Duration // between attempts to connect; default 30 s
	Log          *slog.Logger
	Now          func() time.Time
}

// Counts says what a publisher has done. Acked never exceeds Published.
type Counts struct {
	Published  uint64 // messages taken
	Readings   uint64 // readings in them
	Acked      uint64 // messages acknowledged
	Connects   uint64 // successful connections
	Backlog    int    // messages held
	Connected  bool
	AgentReady bool // what the agent's status says; true when nobody waits for it
}

// Publisher publishes. Create it with New and run it with Run.
type Publisher struct {
	o Options

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	held    []*message    // not yet acknowledged, in order
	counts  Counts
}

type message struct {
	topic   string
	payload []byte
	session uint64 // number of the connection that it was sent on
	acked   bool
}

// New returns a publisher that is not yet connected.
func New(o Options) *Publisher {
	if o.Window <= 0 {
		o.Window = 20
	}
	if o.RetryAtMost <= 0 {
		o.RetryAtMost = 30 * time.Second
	}
	return &Publisher{o: o, changed: make(chan struct{}), counts: Counts{AgentReady: !o.WaitForAgent}}
}

// Counts returns what has been done so far.
func (p *Publisher) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Backlog = len(p.held)
	return c
}

// update changes p under its lock and wakes whoever waits for a change.
func (p *Publisher) update(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait blocks until cond, called under the lock, is true.
func (p *Publisher) wait(ctx context.Context, cond func() bool) error {
	for {
		p.mu.Lock()
		ok, changed := cond(), p.changed
		p.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// Publish takes a message with a number of readings. It blocks while the window is full or the agent is waited for. It
// returns an error only when ctx has ended. The payload belongs to the publisher then. Concurrent use is allowed.
func (p *Publisher) Publish(ctx context.Context, topic string, payload []byte, readings int) error {
	taken := false
	return p.wait(ctx, func() bool {
		if taken || !p.counts.AgentReady || len(p.held) >= p.o.Window {
			return taken
		}
		p.held = append(p.held, &message{topic: topic, payload: payload})
		p.counts.Published++
		p.counts.Readings += uint64(readings)
		close(p.changed)
		p.changed = make(chan struct{})
		taken = true
		return true
	})
}

// Flush blocks until everything published so far has been acknowledged.
func (p *Publisher) Flush(ctx context.Context) error {
	target := p.Counts().Published
	return p.wait(ctx, func() bool { return p.counts.Published-uint64(len(p.held)) >= target })
}

// Run connects, again whenever the connection is lost, and sends, until ctx ends. It then says offline and returns nil.
func (p *Publisher) Run(ctx context.Context) error {
	var session uint64
	attempts := 0
	for ctx.Err() == nil {
		session++
		began := p.o.Now()
		err := p.session(ctx, session)
		if ctx.Err() != nil {
			return nil
		}
		if p.o.Now().Sub(began) > time.Minute {
			attempts = 0
		}
		attempts++
		pause := p.pause(attempts)
		if attempts == 1 || attempts%10 == 0 { // the first of a row, then now and then
			p.o.Log.Warn("no broker: trying again", "url", p.o.URL, "attempt", attempts, "pause", pause, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// pause returns a random time, up to a bound that doubles from half a second.
func (p *Publisher) pause(attempt int) time.Duration {
	most := min(p.o.RetryAtMost, 500*time.Millisecond<<min(attempt-1, 10))
	return most/10 + rand.N(most-most/10)
}

// errLost is the end of a connection without a reason.
var errLost = errors.New("connection lost")

// session runs one connection to its end.
func (p *Publisher) session(ctx context.Context, number uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o, err := p.client(func(err error) { cancel(fmt.Errorf("%w: %w", errLost, err)) })
	if err != nil {
		return err
	}
	c := paho.NewClient(o)
	if err := await(ctx, c.Connect(), 30*time.Second); err != nil {
		c.Disconnect(0)
		return fmt.Errorf("connect: %w", err)
	}
	defer func() {
		p.update(func() { p.counts.Connected = false; p.counts.AgentReady = !p.o.WaitForAgent })
		c.Disconnect(250)
	}()
	status := topic.StatusTopic(p.o.Site, "bridge")
	if err := await(ctx, c.Publish(status, 1, true, p.status(true)), 30*time.Second); err != nil {
		return fmt.Errorf("publish status: %w", err)
	}
	if p.o.WaitForAgent {
		if err := await(ctx, c.Subscribe(topic.StatusTopic(p.o.Site, "agent"), 1, p.agent), 30*time.Second); err != nil {
			return fmt.Errorf("subscribe to the agent's status: %w", err)
		}
	}
	p.update(func() { p.counts.Connected = true; p.counts.Connects++ })
	p.o.Log.Info("connected", "url", p.o.URL)
	err = p.send(ctx, c, number)
	if !errors.Is(err, errLost) { // told to stop: say so, as the last will is for accidents only
		if err := await(context.WithoutCancel(ctx), c.Publish(status, 1, true, p.status(false)), time.Second); err != nil {
			p.o.Log.Debug("offline is not told", "error", err)
		}
	}
	return err
}

// send sends what is held and not yet sent on this connection, in order, until the connection ends.
func (p *Publisher) send(ctx context.Context, c paho.Client, number uint64) error {
	var acks sync.WaitGroup
	defer acks.Wait()
	for {
		var next *message
		err := p.wait(ctx, func() bool {
			next = nil
			for _, m := range p.held {
				if m.session != number && !m.acked {
					m.session, next = number, m
					break
				}
			}
			return next != nil
		})
		if err != nil {
			return err
		}
		token := c.Publish(next.topic, 1, false, next.payload)
		acks.Go(func() {
			select {
			case <-token.Done():
				if token.Error() == nil {
					p.ack(next)
				}
			case <-ctx.Done():
			}
		})
	}
}

// ack notes that the broker has m, and lets go of what is acknowledged from the front on.
func (p *Publisher) ack(m *message) {
	p.update(func() {
		m.acked = true
		p.counts.Acked++
		for len(p.held) > 0 && p.held[0].acked {
			p.held[0] = nil
			p.held = p.held[1:]
		}
	})
}

// agent takes a message on the agent's status topic.
func (p *Publisher) agent(_ paho.Client, m paho.Message) {
	s, err := topic.DecodeStatus(m.Payload())
	if err != nil {
		p.o.Log.Warn("the agent's status cannot be read", "error", err)
		return
	}
	p.o.Log.Info("agent", "online", s.Online)
	p.update(func() { p.counts.AgentReady = s.Online })
}

func (p *Publisher) status(online bool) []byte {
	return topic.EncodeStatus(topic.Status{Online: online, Version: p.o.Version, At: meter.MillisOf(p.o.Now())})
}

// client returns the options of one connection.
func (p *Publisher) client(lost func(error)) (*paho.ClientOptions, error) {
	password := ""
	if p.o.Password != nil {
		var err error
		if password, err = p.o.Password(); err != nil {
			return nil, err
		}
	}
	return paho.NewClientOptions().AddBroker(p.o.URL).SetClientID(p.o.ClientID).
		SetUsername(p.o.Username).SetPassword(password).SetTLSConfig(p.o.TLS).
		SetCleanSession(false).SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(false).
		SetKeepAlive(20*time.Second).SetPingTimeout(10*time.Second).SetConnectTimeout(10*time.Second).SetWriteTimeout(30*time.Second).
		SetBinaryWill(topic.StatusTopic(p.o.Site, "bridge"), p.status(false), 1, true).
		SetConnectionLostHandler(func(_ paho.Client, err error) { lost(err) }), nil
}

// await waits for the end of what a token stands for.
func await(ctx context.Context, t paho.Token, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return fmt.Errorf("no answer in %s", atMost)
	}
}
