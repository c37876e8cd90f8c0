package app_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/firmware-bridge/app"
	"fluxora.dev/shared/brokertest"
)

// secure adds a listener with TLS and one user to b, before it is started, and returns its URL and the authority's file.
func (b *broker) secure(user, password string) (url, ca string) {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	settings, ca := brokertest.Secure(b.t, b.dir, user, password)
	conf, err := os.ReadFile(b.conf)
	if err != nil {
		b.t.Fatal(err)
	}
	text := fmt.Sprintf("per_listener_settings true\n%slistener %d 127.0.0.1\n%s\n", conf, port, strings.Join(settings, "\n"))
	if err := os.WriteFile(b.conf, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("ssl://127.0.0.1:%d", port), ca
}

func TestTLSAndPassword(t *testing.T) {
	b := newBroker(t)
	url, ca := b.secure("bridge", "s3cret: with ünicode")
	b.start()
	s := subscribe(t, b)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := settingsOf(t, b, map[string]string{
		"mqtt.url": url, "mqtt.username": "bridge", "mqtt.password_file": password, "mqtt.ca_file": ca, "replay.backfill": "2",
	})
	var log strings.Builder
	refused := make(chan struct{})
	handler := slog.NewTextHandler(writer(func(line string) {
		if log.Len() == 0 && strings.Contains(line, "level=WARN") {
			log.WriteString(line)
			close(refused)
		}
	}), nil)
	start(t, c, nil, slog.New(handler))
	select {
	case <-refused:
	case <-time.After(20 * time.Second):
		t.Fatal("a wrong password is not noticed")
	}
	if !strings.Contains(strings.ToLower(log.String()), "not authorized") || strings.Contains(log.String(), "wrong") {
		t.Errorf("a wrong password is logged as %q: want the broker's reason and not the password", log.String())
	}
	// The file is read again at each attempt.
	if err := os.WriteFile(password, []byte("s3cret: with ünicode\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.until(t, "readings over TLS", func() bool { return len(s.readings) == 2 })
}

type writer func(line string)

func (w writer) Write(b []byte) (int, error) { w(string(b)); return len(b), nil }

func TestBadTLSFilesAreNamed(t *testing.T) {
	rubbish := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(rubbish, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := app.DefaultConfig()
	c.Site, c.MQTT.CAFile = "a", rubbish
	if err := app.Run(t.Context(), app.Options{Config: c, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), rubbish) {
		t.Errorf("%v: want the file named", err)
	}
}
