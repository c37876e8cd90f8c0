// Package mqtt connects the agent to its broker. It is the only package of the agent that knows paho. It must not know
// what messages mean.
//
// The session is persistent (a fixed client id, clean session off): while the agent is away the broker keeps its QoS 1
// messages. A message is acked by whoever handles it, by Message.Ack, once it is safe; until then the broker counts it
// against its window of unacked messages. An ack for a connection that is gone goes nowhere: the broker sends the message
// again on the next one, so handlers must expect repeats. Retained messages come again after each connect too, because
// the agent subscribes each time, in case the broker lost the session.
//
// Mosquitto keeps at most max_queued_messages (1000 unless configured, 0 for no limit) for a client that is away and drops
// the rest, and saves its queue every half hour unless configured. deploy/mosquitto/fluxora.conf has the settings that a site
// needs.
//
// The client connects in the background and goes on trying, with growing jittered pauses, for as long as it runs.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Message is a message from the broker.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool // it was kept by the broker and says nothing new if it was seen before
	Repeated bool // the broker has sent it before
	ack      func()
}

// NewMessage returns a message that was not received through a Client, for tests and tools. Ack calls ack.
func NewMessage(topic string, payload []byte, retained, repeated bool, ack func()) Message {
	return Message{topic, payload, retained, repeated, ack}
}

// Ack tells the broker that the message is safe. It may be called from any goroutine, once.
func (m Message) Ack() {
	if m.ack != nil {
		m.ack()
	}
}

// Options are the settings of a Client.
type Options struct {
	URL      string // tcp://host:port, ssl://, ws:// or wss://
	ClientID string // names the session: the same after each start, and no other client's
	Username string
	Password string
	TLS      *tls.Config // nil for the system's authorities
	Filters  []string    // what is subscribed to, with QoS 1

	WillTopic string // what Status says is kept here, retained; empty for nothing
	Status    func(online bool) []byte
	OnConnect func() // called after each connect, once subscribed; it must not block
	Log       *slog.Logger

	MinPause, MaxPause time.Duration // between attempts to connect; default 500 ms and 30 s
}

// Stats is what a Client has seen.
type Stats struct {
	Connected bool
	Connects  uint64
	Since     time.Time // of the present connection
	LastError string    // of the last attempt or connection that failed
}

// Client is a connection that heals. All methods may be called concurrently.
type Client struct {
	o      Options
	paho   paho.Client
	handle func(Message)
	lost   chan error
	stop   context.CancelFunc
	done   chan struct{}

	mu        sync.Mutex
	stats     Stats
	connected chan struct{} // closed while connected

	stopping atomic.Bool
}

// New returns a client that calls handle, one message after the other, once it is started. handle may block: then no
// further message is read.
func New(o Options, handle func(Message)) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MinPause == 0 {
		o.MinPause = 500 * time.Millisecond
	}
	if o.MaxPause == 0 {
		o.MaxPause = 30 * time.Second
	}
	c := &Client{o: o, handle: handle, lost: make(chan error, 1), done: make(chan struct{}), connected: make(chan struct{})}
	p := paho.NewClientOptions().AddBroker(o.URL).SetClientID(o.ClientID).SetUsername(o.Username).SetPassword(o.Password).
		SetCleanSession(false).SetStore(&outbox{}).SetOrderMatters(true).SetAutoAckDisabled(true).
		SetAutoReconnect(false).SetConnectRetry(false). // the loop below does both, with jitter
		SetConnectTimeout(10 * time.Second).SetWriteTimeout(30 * time.Second).SetKeepAlive(30 * time.Second).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			c.handle(Message{m.Topic(), m.Payload(), m.Retained(), m.Duplicate(), m.Ack})
		}).
		SetConnectionLostHandler(func(_ paho.Client, err error) {
			c.setConnected(false, err)
			select {
			case c.lost <- err:
			default:
			}
		})
	if o.TLS != nil {
		p.SetTLSConfig(o.TLS)
	}
	if o.WillTopic != "" {
		p.SetBinaryWill(o.WillTopic, o.Status(false), 1, true)
	}
	c.paho = paho.NewClient(p)
	return c
}

// Start begins to connect and returns at once.
func (c *Client) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	go func() {
		defer close(c.done)
		c.run(ctx)
	}()
}

// run connects, waits until the connection is lost, and begins again.
func (c *Client) run(ctx context.Context) {
	pause := c.o.MinPause
	for ctx.Err() == nil {
		began := time.Now()
		err := c.connect(ctx)
		if err == nil {
			select {
			case <-ctx.Done():
				return
			case err = <-c.lost:
			}
			if time.Since(began) > c.o.MaxPause {
				pause = c.o.MinPause
			}
		}
		if ctx.Err() != nil {
			return
		}
		c.setConnected(false, err)
		wait := pause/2 + rand.N(pause)
		c.o.Log.Warn("no broker", "broker", c.o.URL, "error", err, "again in", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pause = min(pause*2, c.o.MaxPause)
	}
}

// connect connects and subscribes.
func (c *Client) connect(ctx context.Context) error {
	select {
	case <-c.lost: // of an earlier connection
	default:
	}
	t := c.paho.Connect()
	if err := wait(ctx, t, 30*time.Second); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	err := c.subscribe(ctx)
	if err == nil && c.o.WillTopic != "" {
		err = c.send(ctx, c.o.WillTopic, c.o.Status(true), true, 10*time.Second)
	}
	if err != nil {
		c.paho.Disconnect(0)
		return err
	}
	c.setConnected(true, nil)
	c.o.Log.Info("connected to the broker", "broker", c.o.URL)
	if c.o.OnConnect != nil {
		c.o.OnConnect()
	}
	return nil
}

func (c *Client) subscribe(ctx context.Context) error {
	if len(c.o.Filters) == 0 {
		return nil
	}
	filters := make(map[string]byte)
	for _, f := range c.o.Filters {
		filters[f] = 1
	}
	t := c.paho.SubscribeMultiple(filters, nil)
	if err := wait(ctx, t, 30*time.Second); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for filter, code := range t.(*paho.SubscribeToken).Result() {
		if code > 2 {
			return fmt.Errorf("subscribe: the broker refuses %q: want a user that may read it", filter)
		}
	}
	return nil
}

func (c *Client) setConnected(on bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.stats.LastError = err.Error()
	}
	if on == c.stats.Connected {
		return
	}
	c.stats.Connected = on
	if on {
		c.stats.Connects++
		c.stats.Since = time.Now()
		close(c.connected)
	} else {
		c.connected = make(chan struct{})
	}
}

// Stats returns what the client has seen so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Publish publishes with QoS 1 and returns when the broker has acked. Without a connection it waits for one until ctx
// ends.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte, retained bool) error {
	c.mu.Lock()
	connected := c.connected
	c.mu.Unlock()
	select {
	case <-connected:
	case <-ctx.Done():
		return fmt.Errorf("publish %s: no broker: %w", topic, context.Cause(ctx))
	case <-c.done:
		return fmt.Errorf("publish %s: %w", topic, ErrStopped)
	}
	if err := c.send(ctx, topic, payload, retained, 30*time.Second); err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}

// send publishes and waits for the broker's ack, at most as long as told. paho's Publish itself blocks, for up to its write
// timeout, while a broker that has stopped reading fills the connection; so it is not called on the caller's time.
func (c *Client) send(ctx context.Context, topic string, payload []byte, retained bool, most time.Duration) error {
	published := make(chan paho.Token, 1)
	go func() { published <- c.paho.Publish(topic, 1, retained, payload) }()
	ctx, cancel := context.WithTimeoutCause(ctx, most, errSlow)
	defer cancel()
	select {
	case t := <-published:
		return wait(ctx, t, most)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ErrStopped says that the client was stopped.
var ErrStopped = errors.New("the MQTT client is stopped")

// errSlow says that the broker did not answer.
var errSlow = errors.New("the broker does not answer")

func wait(ctx context.Context, t paho.Token, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return errSlow
	}
}

// Stop says offline and disconnects. The session stays with the broker. What handle is called with must be able to
// return: Stop waits for it.
func (c *Client) Stop(ctx context.Context) {
	if c.stop == nil || c.stopping.Swap(true) {
		return
	}
	if c.o.WillTopic != "" && c.Stats().Connected {
		if err := c.send(ctx, c.o.WillTopic, c.o.Status(false), true, 2*time.Second); err != nil {
			c.o.Log.Warn("could not say offline", "error", err)
		}
	}
	c.stop()
	<-c.done
	c.paho.Disconnect(250)
	c.setConnected(false, ErrStopped)
}
