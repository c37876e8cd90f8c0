package ingest_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/ingest"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/mqtt/mqtttest"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Environment of a child process of this test binary that takes readings in until it is killed.
const (
	childDir = "FLUXORA_INGEST_CHILD"
	childURL = "FLUXORA_INGEST_URL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		in, err := start(dir, os.Getenv(childURL), 20)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for range in.store.Subscribe() {
			fmt.Println(in.store.Next())
		}
	}
	if url := os.Getenv(childPublish); url != "" {
		messages, _ := strconv.Atoi(os.Getenv(childMessages))
		array, _ := strconv.Atoi(os.Getenv(childArray))
		publishAll(url, messages, array)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// intake is the way of a reading through the agent: broker, ingest, store.
type intake struct {
	client *mqtt.Client
	up     chan struct{} // a value for each connect
	in     *ingest.Ingest
	store  *store.Store
	cancel context.CancelFunc
	done   chan struct{}
}

func start(dir, url string, inflight int) (*intake, error) {
	c := config.Default()
	c.Site, c.MQTT.MaxInflight, c.Store.CommitWindow = "home", inflight, 200*time.Millisecond
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return nil, err
	}
	in, err := ingest.New(s, ingest.Options{Config: c})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := &intake{in: in, store: s, cancel: cancel, up: make(chan struct{}, 100), done: make(chan struct{})}
	go func() {
		defer close(x.done)
		_ = in.Run(ctx)
	}()
	x.client = mqtt.New(mqtt.Options{
		URL: url, ClientID: "agent", Filters: in.Filters(), MinPause: 10 * time.Millisecond, MaxPause: 200 * time.Millisecond,
		OnConnect: func() { x.up <- struct{}{} },
	},
		func(m mqtt.Message) { in.Take(ctx, m) })
	x.client.Start()
	return x, nil
}

func (x *intake) stop() {
	x.cancel()
	<-x.done
	x.client.Stop(context.Background())
	_ = x.store.Close()
}

// publisher publishes single readings with ascending values, several at once, each until the broker has it.
type publisher struct {
	client *mqtt.Client
	began  time.Time
	next   atomic.Int64
	wg     sync.WaitGroup
	stop   chan struct{}
}

func publish(t *testing.T, url string, workers int) *publisher {
	p := &publisher{
		client: mqtt.New(mqtt.Options{URL: url, ClientID: "meters", MinPause: 10 * time.Millisecond, MaxPause: 200 * time.Millisecond}, func(mqtt.Message) {}),
		began:  time.Now().Add(-time.Hour).Truncate(time.Second), stop: make(chan struct{}),
	}
	p.client.Start()
	for w := range workers {
		p.wg.Go(func() {
			for {
				select {
				case <-p.stop:
					return
				default:
				}
				n := p.next.Add(1)
				payload := topic.EncodeReadings(nil, []topic.Payload{{At: meter.MillisOf(p.began) + meter.Millis(n), Value: n, Kind: meter.Counter}}, "")
				for p.client.Publish(context.Background(), topic.ReadingTopic("home", fmt.Sprintf("p%d", w), meter.EnergyImport), payload, false) != nil {
				}
			}
		})
	}
	t.Cleanup(func() { p.client.Stop(context.Background()) })
	return p
}

// finish stops publishing and returns how many readings the broker has taken.
func (p *publisher) finish() int64 {
	close(p.stop)
	p.wg.Wait()
	return p.next.Load()
}

// waitFor returns once n different readings are stored, and wants each stored once. Sequences are no count: a kill in the middle of a
// write may have some passed over.
func waitFor(t *testing.T, s *store.Store, n int64) {
	t.Helper()
	news, enough := s.Subscribe(), time.After(time.Minute)
	seen := make(map[int64]bool)
	from := uint64(1)
	for {
		rs, next, err := s.Readings(from, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		from = next
		for _, r := range rs {
			if seen[r.Value] {
				t.Fatalf("reading %d is stored twice", r.Value)
			}
			seen[r.Value] = true
		}
		if int64(len(seen)) >= n {
			break
		}
		select {
		case <-news:
		case <-enough:
			t.Fatalf("%d different readings stored, want %d: some were lost", len(seen), n)
		}
	}
	if int64(len(seen)) != n {
		t.Fatalf("%d different readings, want %d", len(seen), n)
	}
}

func TestKilledUnderLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := mqtttest.Start(t, "max_queued_messages 0")
	dir := t.TempDir()
	// The first run makes the session, so that the broker keeps what is published from then on.
	x, err := start(dir, b.URL, 20)
	if err != nil {
		t.Fatal(err)
	}
	<-x.up
	x.stop()
	p := publish(t, b.URL, 8)
	for range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+b.URL)
		cmd.Stderr = os.Stderr
		commits, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(commits)
		for range 1 + random.IntN(100) {
			if !said.Scan() {
				t.Fatalf("the intake ended by itself: %v", said.Err())
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	n := p.finish()
	if x, err = start(dir, b.URL, 20); err != nil {
		t.Fatal(err)
	}
	defer x.stop()
	waitFor(t, x.store, n)
	t.Logf("%d readings, each once; %d repeats were left out in the last run", n, x.in.Stats().Repeats)
	if d := x.store.Damage(); len(d) > 0 {
		t.Errorf("damage: %v", d)
	}
}

func TestBrokerRestartsAndIsAbsentAtStart(t *testing.T) {
	b := mqtttest.Start(t, "max_queued_messages 0")
	b.Down()
	x, err := start(t.TempDir(), b.URL, 20)
	if err != nil {
		t.Fatal(err)
	}
	defer x.stop()
	b.Up()
	<-x.up
	p, news := publish(t, b.URL, 4), x.store.Subscribe()
	for range 3 {
		for had := x.store.Next(); x.store.Next() < had+200; {
			<-news
		}
		b.Down()
		b.Up()
		<-x.up // what was read before may still be coming in
	}
	waitFor(t, x.store, p.finish())
	if s := x.client.Stats(); s.Connects < 4 {
		t.Errorf("%d connects, want one for each start of the broker", s.Connects)
	}
}

func TestRetainedForecastAndLastWill(t *testing.T) {
	b := mqtttest.Start(t)
	got := make(chan mqtt.Message, 10)
	status := func(online bool) []byte {
		if online {
			return []byte("here")
		}
		return []byte("gone")
	}
	agent := mqtt.New(mqtt.Options{URL: b.URL, ClientID: "agent", WillTopic: topic.StatusTopic("home", "agent"), Status: status}, func(mqtt.Message) {})
	agent.Start()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := agent.Publish(ctx, topic.ForecastTopic("home", "main"), []byte("{}"), true); err != nil {
		t.Fatal(err)
	}
	agent.Stop(ctx)
	listener := mqtt.New(mqtt.Options{URL: b.URL, ClientID: "listener", Filters: []string{"fluxora/v1/home/#"}}, func(m mqtt.Message) { got <- m; m.Ack() })
	listener.Start()
	defer listener.Stop(context.Background())
	want := map[string]string{topic.ForecastTopic("home", "main"): "{}", topic.StatusTopic("home", "agent"): "gone"}
	for len(want) > 0 {
		select {
		case m := <-got:
			if want[m.Topic] != string(m.Payload) || !m.Retained {
				t.Errorf("%s: %q retained %v", m.Topic, m.Payload, m.Retained)
			}
			delete(want, m.Topic)
		case <-ctx.Done():
			t.Fatalf("still waiting for %v", want)
		}
	}
	if err := agent.Publish(ctx, "x", nil, false); err == nil {
		t.Error("a stopped client published")
	}
}
