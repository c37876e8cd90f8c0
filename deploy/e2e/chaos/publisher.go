package chaos

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/deploy/e2e/stage"
)

// publisher publishes with QoS 1 and keeps what the broker acked.
type publisher struct {
	url    string
	db     string // the broker's saved state
	client mqtt.Client

	mu        sync.Mutex
	kills     int // of the broker
	truth     truth
	oldest    map[series]int64 // earliest instant entered since the last round began, ms
	unsaved   []acked          // what the broker may not have saved yet
	forgotten []message        // to be said again
	messages  int              // acked
}

// acked is a message and when its ack was seen.
type acked struct {
	message
	at time.Time
}

// saveSlack covers that a file's time is coarser than the clock.
const saveSlack = 100 * time.Millisecond

func newPublisher(url, db string) *publisher {
	return &publisher{url: url, db: db, truth: make(truth), oldest: make(map[series]int64)}
}

// send publishes the messages, each again and again until the broker acks it. Their order is kept only from one call to the
// next.
func (p *publisher) send(ctx context.Context, ms []message) error {
	p.mu.Lock()
	ms, p.forgotten = append(p.forgotten, ms...), nil
	p.mu.Unlock()
	const window = 50
	for len(ms) > 0 {
		if err := p.connect(ctx); err != nil {
			return err
		}
		var again []message
		tokens, kills, broken := make([]mqtt.Token, len(ms)), p.killed(), false
		settle := func(i int) {
			if !broken && tokens[i].WaitTimeout(4*time.Second) && tokens[i].Error() == nil && p.enter(ms[i], kills) {
				return
			}
			broken = true
			again = append(again, ms[i])
		}
		sent := 0
		for ; sent < len(ms) && !broken; sent++ {
			tokens[sent] = p.client.Publish(ms[sent].topic, 1, false, ms[sent].payload)
			if sent >= window {
				settle(sent - window)
			}
		}
		for i := max(0, sent-window); i < sent; i++ {
			settle(i)
		}
		if broken {
			p.close()
		}
		ms = append(again, ms[sent:]...)
		// What a broker forgot meanwhile was said before, so it comes before.
		p.mu.Lock()
		ms, p.forgotten = append(p.forgotten, ms...), nil
		p.mu.Unlock()
	}
	return nil
}

// beginRound forgets what was entered before.
func (p *publisher) beginRound() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.oldest)
}

// earliest returns the earliest instant of each series that was entered since the round began.
func (p *publisher) earliest() map[series]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.oldest)
}

func (p *publisher) killed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kills
}

// enter enters an acked message into the truth, unless the broker was killed since it was sent: then it is not known what the
// ack was worth, and the message must be sent again.
func (p *publisher) enter(m message, kills int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kills != p.kills {
		return false
	}
	p.messages++
	now := time.Now()
	p.unsaved = append(p.unsaved, acked{m, now})
	for _, r := range m.readings {
		p.truth.enter(m.series, r.At, value{r.Value, r.Quality})
		if at, ok := p.oldest[m.series]; !ok || int64(r.At) < at {
			p.oldest[m.series] = int64(r.At)
		}
	}
	if len(p.unsaved) > 1000 {
		p.dropSaved()
	}
	return true
}

// dropSaved forgets what the broker's file holds. Mosquitto writes it in the one thread that takes messages in, so it holds
// everything acked before it was begun.
func (p *publisher) dropSaved() {
	info, err := os.Stat(p.db)
	if err != nil {
		return
	}
	// The file is written within moments; a second covers a large one on a busy machine.
	saved := info.ModTime().Add(-time.Second - saveSlack)
	i := 0
	for i < len(p.unsaved) && p.unsaved[i].at.Before(saved) {
		i++
	}
	p.unsaved = append([]acked(nil), p.unsaved[i:]...)
}

// brokerKilled makes the meters say again what the dead broker may not have saved.
func (p *publisher) brokerKilled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kills++
	p.dropSaved()
	for _, a := range p.unsaved {
		p.forgotten = append(p.forgotten, a.message)
	}
	p.unsaved = nil
}

func (p *publisher) connect(ctx context.Context) error {
	if p.client != nil && p.client.IsConnectionOpen() {
		return nil
	}
	p.close()
	return stage.WaitFor(ctx, "the broker to take the meters' connection", time.Minute, func(context.Context) (bool, error) {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(p.url).SetClientID("meters").SetOrderMatters(true).
			SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetWriteTimeout(5 * time.Second))
		if t := c.Connect(); !t.WaitTimeout(5*time.Second) || t.Error() != nil {
			c.Disconnect(0)
			return false, fmt.Errorf("connect: %w", t.Error())
		}
		p.client = c
		return true, nil
	})
}

func (p *publisher) close() {
	if p.client != nil {
		p.client.Disconnect(10)
		p.client = nil
	}
}
