package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/goleak"

	"fluxora.dev/firmware-bridge/app"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/settings"
	"fluxora.dev/shared/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a real Mosquitto that keeps its sessions on disk.
type broker struct {
	t         *testing.T
	dir, conf string
	port      int
	cmd       *exec.Cmd
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skipf("Mosquitto is not installed: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	l.Close()
	b.conf = filepath.Join(b.dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nmax_queued_messages 0\n", b.port, b.dir)
	if os.Geteuid() == 0 {
		text += "user root\n"
	}
	if err := os.WriteFile(b.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	b.cmd = exec.Command(program, "-c", b.conf)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
}

// stop ends the broker, which writes down its sessions.
func (b *broker) stop() {
	if b.cmd != nil {
		b.cmd.Process.Signal(syscall.SIGTERM)
		b.cmd.Wait()
		b.cmd = nil
	}
}

func (b *broker) url() string { return fmt.Sprintf("tcp://127.0.0.1:%d", b.port) }

// subscriber keeps what comes, with a persistent session.
type subscriber struct {
	mu       sync.Mutex
	changed  chan struct{}
	readings map[string]map[meter.Millis]int64
	messages int
	status   []topic.Status
	wrong    []string
}

func subscribe(t *testing.T, b *broker) *subscriber {
	t.Helper()
	s := &subscriber{changed: make(chan struct{}), readings: map[string]map[meter.Millis]int64{}}
	up := make(chan struct{}, 100)
	c := paho.NewClient(paho.NewClientOptions().AddBroker(b.url()).SetClientID("subscriber").SetCleanSession(false).
		SetConnectRetry(true).SetConnectRetryInterval(20 * time.Millisecond).SetMaxReconnectInterval(50 * time.Millisecond).
		SetOnConnectHandler(func(c paho.Client) {
			if token := c.Subscribe("fluxora/v1/site/#", 1, s.take); token.Wait() && token.Error() == nil {
				up <- struct{}{}
			}
		}))
	c.Connect()
	t.Cleanup(func() { c.Disconnect(100) })
	select {
	case <-up:
	case <-time.After(20 * time.Second):
		t.Fatal("no broker after 20 s")
	}
	return s
}

func (s *subscriber) take(_ paho.Client, m paho.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { close(s.changed); s.changed = make(chan struct{}) }()
	if strings.Contains(m.Topic(), "/status/") {
		if st, err := topic.DecodeStatus(m.Payload()); err == nil {
			s.status = append(s.status, st)
		}
		return
	}
	_, point, register, err := topic.ParseReading(m.Topic())
	if err != nil {
		s.wrong = append(s.wrong, err.Error())
		return
	}
	info, _ := meter.LookupRegister(string(register))
	readings, err := topic.DecodeReadings(nil, m.Payload(), info)
	if err != nil {
		s.wrong = append(s.wrong, err.Error())
		return
	}
	s.messages++
	if s.readings[point] == nil {
		s.readings[point] = map[meter.Millis]int64{}
	}
	for _, r := range readings {
		if v, ok := s.readings[point][r.At]; ok && v != r.Value {
			s.wrong = append(s.wrong, fmt.Sprintf("%s at %s is %d and %d", point, r.At, v, r.Value))
		}
		if r.Meter != point {
			s.wrong = append(s.wrong, "meter "+r.Meter)
		}
		s.readings[point][r.At] = r.Value
	}
}

// until waits for a condition on what has come.
func (s *subscriber) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	end := time.After(60 * time.Second)
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("not after 60 s: %s", what)
		}
	}
}

// start runs the bridge until the returned function is called.
func start(t *testing.T, c app.Config, ready func(string), log ...*slog.Logger) (stop func()) {
	t.Helper()
	log = append(log, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, app.Options{Config: c, Version: "test", Log: log[0], Ready: ready})
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func settingsOf(t *testing.T, b *broker, flags map[string]string) app.Config {
	t.Helper()
	all := map[string]string{"site": "site", "mqtt.url": b.url(), "replay.profiles": "office,home", "replay.backfill": "100", "replay.every": "200ms"}
	for k, v := range flags {
		all[k] = v
	}
	c, err := app.LoadConfig(settings.Source{Flags: all})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// complete reports whether every hour of the backfill and some live readings have come of both points.
func (s *subscriber) complete(hours int) bool {
	for _, p := range []string{"office-1", "home-1"} {
		whole, live := 0, 0
		for at := range s.readings[p] {
			if at%3_600_000 == 0 {
				whole++
			} else {
				live++
			}
		}
		if whole < hours || live < 5 {
			return false
		}
	}
	return true
}

func TestBackfillThenLiveAgainstMosquitto(t *testing.T) {
	b := newBroker(t)
	b.start()
	s := subscribe(t, b)
	address := make(chan string, 1)
	stop := start(t, settingsOf(t, b, map[string]string{"http.listen": "127.0.0.1:0"}), func(a string) { address <- a })
	s.until(t, "2,400 hours and live readings", func() bool { return s.complete(2400) })
	at := "http://" + <-address
	for path, want := range map[string]string{"/healthz": "ok", "/metrics": "fluxora_bridge_readings_published_total"} {
		r, err := http.Get(at + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if !strings.Contains(string(body), want) {
			t.Errorf("%s: %s", path, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	s.until(t, "status offline", func() bool { return len(s.status) >= 2 && !s.status[len(s.status)-1].Online })
	if !s.status[0].Online || len(s.wrong) > 0 {
		t.Errorf("first status %+v, wrong: %v", s.status[0], s.wrong)
	}
}

func TestBrokerAbsentAtStartAndRestartedMidBackfillLosesNothing(t *testing.T) {
	b := newBroker(t)
	c := settingsOf(t, b, map[string]string{"replay.backfill": "700", "mqtt.wait_for_agent": "true", "data_dir": filepath.Join(b.dir, "bridge")})
	stop := start(t, c, nil) // no broker yet
	b.start()
	s := subscribe(t, b)
	agent := func(online bool) {
		p := paho.NewClient(paho.NewClientOptions().AddBroker(b.url()).SetClientID("agent"))
		if token := p.Connect(); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
		p.Publish(topic.StatusTopic("site", "agent"), 1, true, topic.EncodeStatus(topic.Status{Online: online})).Wait()
		p.Disconnect(100)
	}
	agent(true)
	s.until(t, "40 messages", func() bool { return s.messages >= 40 })
	b.stop()
	s.mu.Lock()
	before := s.messages
	s.mu.Unlock()
	b.start()
	s.until(t, "16,800 hours and live readings", func() bool { return s.complete(16_800) })
	s.mu.Lock()
	t.Logf("%d messages before the restart, %d in all", before, s.messages)
	if len(s.wrong) > 0 {
		t.Error(s.wrong)
	}
	s.mu.Unlock()
	stop()

	state, err := os.ReadFile(filepath.Join(c.DataDir, "replay.json"))
	if err != nil || !strings.Contains(string(state), `"done_ms":1`) {
		t.Errorf("state %s, %v", state, err)
	}
	s.mu.Lock()
	messages := s.messages
	s.mu.Unlock()
	start(t, c, nil)
	s.until(t, "live readings after a restart", func() bool { return s.messages > messages+4 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.messages > messages+200 || len(s.wrong) > 0 {
		t.Errorf("%d messages after a restart, want no second backfill; wrong: %v", s.messages-messages, s.wrong)
	}
}

func TestConfigNamesEveryProblem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	text := "site: a/b\nmqtt:\n  url: http://x\n  max_inflight: 0\nreplay:\n  every: 1ms\n  register: 9.9.9\n  profiles: [castle]\n  points: {A: x, B: x}\nhttp:\n  listen: here\nlog:\n  level: loud\n  format: xml\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := app.LoadConfig(settings.Source{Path: path})
	var wrong settings.Problems
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	for _, place := range []string{
		":1:7: site", ":3:8: mqtt.url", ":4:17: mqtt.max_inflight", ":6:10: replay.every", ":7:13: replay.register",
		"replay.profiles", "replay.points", ":11:11: http.listen", ":13:10: log.level", ":14:11: log.format",
	} {
		if !strings.Contains(err.Error(), place) {
			t.Errorf("no %q in\n%v", place, err)
		}
	}
	_, err = app.LoadConfig(settings.Source{Env: []string{"FLUXORA_BRIDGE_SITE=a", "FLUXORA_BRIDGE_REPLAY_EVRY=1s", "OTHER=1"}})
	if err == nil || !strings.Contains(err.Error(), "FLUXORA_BRIDGE_REPLAY_EVRY") {
		t.Errorf("misspelt variable: %v", err)
	}
}

func TestRunRefusesAMissingRecording(t *testing.T) {
	c := app.DefaultConfig()
	c.Site, c.Replay.File = "a", filepath.Join(t.TempDir(), "none.csv")
	if err := app.Run(t.Context(), app.Options{Config: c, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
