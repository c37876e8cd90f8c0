package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"fluxora.dev/agent/app"
	"fluxora.dev/agent/internal/hubtest"
	"fluxora.dev/shared/settings"
)

// config returns the settings of an agent whose broker does not exist.
func config(t *testing.T) app.Config {
	t.Helper()
	c, err := app.LoadConfig("", nil, map[string]string{
		"site": "test-site", "data_dir": t.TempDir(), "zone": "Europe/Oslo", "mqtt.url": "tcp://127.0.0.1:1", "http.listen": "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs an agent and returns the address of its HTTP interface; it is stopped with the test.
func start(t *testing.T, c app.Config) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Options{Config: c, Log: slog.New(slog.DiscardHandler), Version: "test", Ready: func(a string) { ready <- a }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the agent did not stop in order: %v", err)
		}
	})
	select {
	case a := <-ready:
		return "http://" + a
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
		return ""
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestRunsWithoutBrokerAndHub(t *testing.T) {
	url := start(t, config(t))
	if code, body := get(t, url+"/healthz"); code != 200 {
		t.Errorf("healthz: %d %s", code, body)
	}
	if code, body := get(t, url+"/readyz"); code != 503 || !strings.Contains(body, `"name":"broker","ok":false,"needed":true`) {
		t.Errorf("readyz: %d %s, want 503 for want of the broker", code, body)
	}
	code, body := get(t, url+"/v1/status")
	var o struct{ Site, Version string }
	if err := json.Unmarshal([]byte(body), &o); err != nil || code != 200 || o.Site != "test-site" || o.Version != "test" {
		t.Errorf("status: %d %s %v", code, body, err)
	}
	if code, body := get(t, url+"/v1/points/roof/forecast"); code != 404 || !strings.Contains(body, "roof") {
		t.Errorf("forecast of an unknown point: %d %s", code, body)
	}
}

func TestSecondAgentInOneDirectoryIsRefused(t *testing.T) {
	c := config(t)
	start(t, c)
	err := app.Run(t.Context(), app.Options{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "in use by another agent") {
		t.Errorf("error %v, want one that names the other agent", err)
	}
}

// TestMetricsAreDocumented compares what a running agent serves with docs/metrics.md.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	c := config(t)
	hub := hubtest.New(t)
	if _, err := app.Enrol(t.Context(), c, hub.Start(), hub.Token(), "test"); err != nil {
		t.Fatal(err)
	}
	_, body := get(t, start(t, c)+"/metrics")
	name := regexp.MustCompile(`fluxora_agent_[a-z_]+`)
	served := map[string]bool{ // have no value until something is refused, a model has forecast, and a day is over
		"fluxora_agent_refused_total": true, "fluxora_agent_interval_coverage": true, "fluxora_agent_live_error_wh": true, "fluxora_agent_live_skill": true,
	}
	for _, n := range name.FindAllString(body, -1) {
		served[n] = true
		if !strings.Contains(string(text), "`"+n+"`") {
			t.Errorf("docs/metrics.md lacks %s", n)
		}
	}
	for _, n := range name.FindAllString(string(text), -1) {
		if !served[n] {
			t.Errorf("docs/metrics.md tells of %s, which is not served", n)
		}
	}
}

func TestEveryWrongSettingIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte("sit: home\nresolution: 7m\nmqtt:\n  max_inflight: 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := app.LoadConfig(path, []string{"FLUXORA_AGENT_CONFIG=" + path, "FLUXORA_AGENT_ZONE=Nowhere/Land"}, nil)
	if err == nil || !strings.Contains(err.Error(), "agent.yaml:1:1: sit: no such key; did you mean site?") {
		t.Fatalf("error %v, want the misspelt key with its place", err)
	}
	if err := os.WriteFile(path, []byte("site: home\nresolution: 7m\nmqtt:\n  max_inflight: 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = app.LoadConfig(path, []string{"FLUXORA_AGENT_ZONE=Nowhere/Land"}, nil)
	var problems settings.Problems
	for _, want := range []string{"agent.yaml:2:13: resolution:", "agent.yaml:4:17: mqtt.max_inflight:", "environment FLUXORA_AGENT_ZONE: zone:"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error %v (%T) lacks %q", err, problems, want)
		}
	}
}
