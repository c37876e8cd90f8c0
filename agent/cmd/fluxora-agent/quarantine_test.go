package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/agent/app"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

const meterTopic = "fluxora/v1/home/reading/main/energy-import"

// TestQuarantineCommands goes the whole way: command line, HTTP, intake, store, intervals.
func TestQuarantineCommands(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Now().UTC().Truncate(time.Hour).Add(-5 * time.Hour)
	at := func(h int) string { return hour.Add(time.Duration(h) * time.Hour).Format(time.RFC3339) }
	q := func(reason meter.Reason, topic, payload string) store.Quarantined {
		return store.Quarantined{Reason: string(reason), Detail: "because", Topic: topic, Payload: []byte(payload), Received: meter.MillisOf(time.Now()), Point: "main"}
	}
	err = s.Quarantine([]store.Quarantined{
		q(meter.TooOld, meterTopic, fmt.Sprintf(`[{"t":%q,"v":1,"unit":"kWh"},{"t":%q,"v":3,"unit":"kWh"}]`, at(0), at(1))),
		q(meter.UnsetClock, meterTopic, `{"t":"1970-01-01T01:00:00Z","v":4,"unit":"kWh"}`),
		q(meter.UnknownTopic, "stat/x", `6000`),
		q(meter.Absurd, meterTopic, fmt.Sprintf(`{"t":%q,"v":1e10,"unit":"kWh"}`, at(4))),
		q(meter.Malformed, meterTopic, "\xff\x00"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := app.LoadConfig("", nil, map[string]string{
		"site": "home", "data_dir": dir, "resolution": "1h", "mqtt.url": "tcp://127.0.0.1:1", "http.listen": "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Options{Config: c, Log: slog.New(slog.DiscardHandler), Version: "test", Ready: func(a string) { ready <- a }})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var listen string
	select {
	case listen = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"list", []string{"list"}, 0, "unset-clock", ""},
		{"list in pages", []string{"list", "--limit", "2"}, 0, "more: --after 2", ""},
		{"the next page", []string{"list", "--after", "3", "--json"}, 0, `"quarantine":[{"id":4`, ""},
		{"show", []string{"show", "3"}, 0, `"payload": "6000"`, ""},
		{"show what is no text", []string{"show", "5"}, 0, `"payload_base64": "/wA="`, ""},
		{"show none", []string{"show", "99"}, 1, "", "message 99 is not known"},
		{"release without a reason", []string{"release", "1"}, 2, "", "--why"},
		{"release", []string{"release", "1", "--why", "test"}, 0, `"readings": 2`, ""},
		{"release twice", []string{"release", "1", "--why", "test"}, 1, "", "was released"},
		{"release without an instant", []string{"release", "2", "--why", "test"}, 1, "", "1970"},
		{"release with an instant", []string{"release", "2", "--at", at(2), "--by", "ada", "--why", "the clock was not set"}, 0, `"by": "ada"`, ""},
		{"release of nothing known", []string{"release", "3", "--at", at(3), "--why", "test"}, 1, "", "register"},
		{"release as", []string{"release", "3", "--as", "main/1.8.0", "--at", at(3), "--why", "test"}, 0, `"readings": 1`, ""},
		{"release what is absurd", []string{"release", "4", "--why", "test"}, 1, "", "beyond"},
		{"accept what is absurd", []string{"release", "4", "--accept-absurd", "--why", "test"}, 0, `"how": "released"`, ""},
		{"release what cannot be read", []string{"release", "5", "--why", "test"}, 1, "", "not released"},
		{"drop", []string{"drop", "5", "--why", "rubbish"}, 0, `"how": "dropped"`, ""},
		{"all are kept on record", []string{"list"}, 0, "dropped by", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"--set", "site=home", "--set", "http.listen=" + listen, "quarantine"}, tc.args...)
			code, stdout, stderr := agent(t, nil, "", args...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit code %d, want %d\nprinted %s\nerrors %s\nwant %q %q", code, tc.code, stdout, stderr, tc.stdout, tc.stderr)
			}
		})
	}
	if _, err := app.Ask(ctx, app.Config{HTTP: c.HTTP}, "GET", "/v1/quarantine", nil); err == nil {
		t.Error("an agent on port 0 answered")
	}
	c.HTTP.Listen = listen
	b, err := app.Ask(ctx, c, "GET", "/v1/points/main/readings?from="+at(0)+"&to="+at(5), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"value":1000,"quality":"measured"`, `"value":4000,"quality":"edited"`, `"value":6000,`, `"value":10000000000000,`} {
		if !strings.Contains(strings.ReplaceAll(string(b), `,"unit":"Wh"`, ""), want) {
			t.Errorf("readings %s lack %s", b, want)
		}
	}
}
