package mqtt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/mqtt/mqtttest"
)

// connect starts a client that stops with the test. What comes is acked and passed on.
func connect(t *testing.T, o mqtt.Options) (*mqtt.Client, <-chan mqtt.Message) {
	t.Helper()
	got := make(chan mqtt.Message, 100)
	o.MinPause, o.MaxPause = time.Millisecond, 20*time.Millisecond
	c := mqtt.New(o, func(m mqtt.Message) { m.Ack(); got <- m })
	c.Start()
	t.Cleanup(func() { c.Stop(context.Background()) })
	return c, got
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok, asking every few milliseconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := soon(t)
	every := time.NewTicker(2 * time.Millisecond)
	defer every.Stop()
	for !ok() {
		select {
		case <-every.C:
		case <-ctx.Done():
			t.Fatalf("never came to pass: %s", what)
		}
	}
}

func receive(t *testing.T, got <-chan mqtt.Message) mqtt.Message {
	t.Helper()
	select {
	case m := <-got:
		return m
	case <-soon(t).Done():
		t.Fatal("no message")
		return mqtt.Message{}
	}
}

func TestTLSAndPassword(t *testing.T) {
	b := mqtttest.StartSecure(t, "agent", "s3cret: with ünicode")
	trusted, err := mqtt.TLS(b.CAFile, "", "")
	if err != nil {
		t.Fatal(err)
	}
	good := mqtt.Options{URL: b.URL, ClientID: "good", Username: "agent", Password: "s3cret: with ünicode", TLS: trusted, Filters: []string{"t/#"}}
	c, got := connect(t, good)
	if err := c.Publish(soon(t), "t/1", []byte("hello"), false); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); m.Topic != "t/1" || string(m.Payload) != "hello" || m.Retained {
		t.Errorf("received %+v", m)
	}

	for name, c := range map[string]struct {
		change func(*mqtt.Options)
		says   string
	}{
		"wrong password":      {func(o *mqtt.Options) { o.Password = "wrong" }, "not Authorized"},
		"no password":         {func(o *mqtt.Options) { o.Username, o.Password = "", "" }, "not Authorized"},
		"authority unknown":   {func(o *mqtt.Options) { o.TLS = nil }, "certificate"},
		"plain to a TLS port": {func(o *mqtt.Options) { o.URL = strings.Replace(o.URL, "ssl:", "tcp:", 1) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			o.ClientID = "bad"
			c.change(&o)
			bad, _ := connect(t, o)
			eventually(t, "it is refused", func() bool { return bad.Stats().LastError != "" })
			s := bad.Stats()
			if s.Connected || s.Connects > 0 || !strings.Contains(strings.ToLower(s.LastError), strings.ToLower(c.says)) {
				t.Errorf("stats %+v: want no connection and an error with %q", s, c.says)
			}
			if strings.Contains(s.LastError, "s3cret") {
				t.Errorf("the error holds the password: %s", s.LastError)
			}
		})
	}
}

func TestTLSFiles(t *testing.T) {
	if c, err := mqtt.TLS("", "", ""); c != nil || err != nil {
		t.Errorf("no files: %v, %v: want none", c, err)
	}
	rubbish := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(rubbish, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ca, cert, key, says string }{
		{rubbish, "", "", "no certificate in PEM"},
		{"/no/such/file", "", "", "mqtt.ca_file"},
		{"", "/no/such/file", rubbish, "mqtt.cert_file"},
	} {
		if _, err := mqtt.TLS(c.ca, c.cert, c.key); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("TLS(%q, %q, %q): %v: want an error that says %s", c.ca, c.cert, c.key, err, c.says)
		}
	}
}

func status(online bool) []byte {
	if online {
		return []byte("online")
	}
	return []byte("offline")
}

// proxy passes one connection on to the broker until cut is called.
func proxy(t *testing.T, b *mqtttest.Broker) (url string, cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ends := make(chan net.Conn, 2)
	go func() {
		here, err := l.Accept()
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", strings.TrimPrefix(b.URL, "tcp://"))
		if err != nil {
			t.Error(err)
		}
		ends <- here
		ends <- there
		go io.Copy(here, there)
		io.Copy(there, here)
	}()
	t.Cleanup(func() { l.Close() })
	return "tcp://" + l.Addr().String(), func() {
		l.Close()
		(<-ends).Close()
		(<-ends).Close()
	}
}

func TestWillSaysOfflineWhenTheAgentDies(t *testing.T) {
	b := mqtttest.Start(t)
	watcher, got := connect(t, mqtt.Options{URL: b.URL, ClientID: "watcher", Filters: []string{"status"}})
	eventually(t, "the watcher is there", func() bool { return watcher.Stats().Connected })
	url, cut := proxy(t, b)
	agent, _ := connect(t, mqtt.Options{URL: url, ClientID: "agent", WillTopic: "status", Status: status})
	if m := receive(t, got); string(m.Payload) != "online" {
		t.Errorf("status %q, want online", m.Payload)
	}
	cut()
	if m := receive(t, got); string(m.Payload) != "offline" {
		t.Errorf("status %q after the connection broke, want offline, by last will", m.Payload)
	}
	eventually(t, "the agent notices too", func() bool { s := agent.Stats(); return !s.Connected && s.LastError != "" })
}

func TestStopSaysOffline(t *testing.T) {
	b := mqtttest.Start(t)
	c, _ := connect(t, mqtt.Options{URL: b.URL, ClientID: "agent", WillTopic: "status", Status: status})
	if err := c.Publish(soon(t), "forecast", []byte("{}"), true); err != nil {
		t.Fatal(err)
	}
	c.Stop(soon(t))
	c.Stop(soon(t)) // again does nothing
	if err := c.Publish(soon(t), "x", nil, false); !errors.Is(err, mqtt.ErrStopped) && err == nil {
		t.Errorf("publish after stop: %v, want an error", err)
	}
	_, got := connect(t, mqtt.Options{URL: b.URL, ClientID: "late", Filters: []string{"status", "forecast"}})
	want := map[string]string{"status": "offline", "forecast": "{}"}
	for len(want) > 0 {
		m := receive(t, got)
		if !m.Retained || want[m.Topic] != string(m.Payload) {
			t.Errorf("%s: %q, retained %v: want %q, retained", m.Topic, m.Payload, m.Retained, want[m.Topic])
		}
		delete(want, m.Topic)
	}
}

func TestUnackedMessagesComeAgain(t *testing.T) {
	b := mqtttest.Start(t)
	seen := make(chan mqtt.Message, 10)
	o := mqtt.Options{URL: b.URL, ClientID: "agent", Filters: []string{"t"}, MinPause: time.Millisecond, MaxPause: 20 * time.Millisecond}
	first := mqtt.New(o, func(m mqtt.Message) { seen <- m }) // never acks
	first.Start()
	sender, _ := connect(t, mqtt.Options{URL: b.URL, ClientID: "sender"})
	eventually(t, "both are there", func() bool { return first.Stats().Connected && sender.Stats().Connected })
	if err := sender.Publish(soon(t), "t", []byte("1"), false); err != nil {
		t.Fatal(err)
	}
	receive(t, seen)
	first.Stop(soon(t))
	if err := sender.Publish(soon(t), "t", []byte("2"), false); err != nil { // while nobody is there
		t.Fatal(err)
	}
	_, got := connect(t, o)
	for _, want := range []string{"1", "2"} {
		m := receive(t, got)
		if string(m.Payload) != want || m.Repeated != (want == "1") {
			t.Errorf("%q, repeated %v: want %q", m.Payload, m.Repeated, want)
		}
	}
}

func TestRecommendedBrokerKeepsWhatComesWhileTheAgentIsAway(t *testing.T) {
	recommended, err := os.ReadFile("../../../deploy/mosquitto/fluxora.conf")
	if err != nil {
		t.Fatal(err)
	}
	b := mqtttest.Start(t, string(recommended))
	sender, _ := connect(t, mqtt.Options{URL: b.URL, ClientID: "sender"})
	o := mqtt.Options{URL: b.URL, ClientID: "agent", Filters: []string{"t"}}
	away, _ := connect(t, o)
	eventually(t, "the session is known", func() bool { return away.Stats().Connected })
	away.Stop(soon(t))
	const messages = 3000 // Mosquitto's own settings keep 1,000
	for range messages {
		if err := sender.Publish(soon(t), "t", []byte("1"), false); err != nil {
			t.Fatal(err)
		}
	}
	b.Down()
	b.Up()
	_, got := connect(t, o)
	for range messages {
		receive(t, got)
	}
}

func TestNoBroker(t *testing.T) {
	b := mqtttest.Start(t)
	b.Down()
	c, _ := connect(t, mqtt.Options{URL: b.URL, ClientID: "agent"})
	eventually(t, "it is noticed", func() bool { return c.Stats().LastError != "" })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Publish(ctx, "t", nil, false); !errors.Is(err, context.Canceled) {
		t.Errorf("publish without a broker: %v, want it to wait as long as its context", err)
	}
	published := make(chan error, 1)
	go func() { published <- c.Publish(soon(t), "t", []byte("x"), false) }()
	b.Up()
	if err := <-published; err != nil {
		t.Errorf("publish once the broker is there: %v", err)
	}
	b.Down()
	eventually(t, "it is noticed", func() bool { return !c.Stats().Connected })
	b.Up()
	eventually(t, "it connects again", func() bool { return c.Stats().Connects == 2 })
}

func TestStopWithoutABroker(t *testing.T) {
	b := mqtttest.Start(t)
	b.Down()
	c, _ := connect(t, mqtt.Options{URL: b.URL, ClientID: "agent", WillTopic: "status", Status: status})
	eventually(t, "it is noticed", func() bool { return c.Stats().LastError != "" })
	c.Stop(soon(t))
	mqtt.New(mqtt.Options{URL: b.URL}, nil).Stop(soon(t)) // never started
}
