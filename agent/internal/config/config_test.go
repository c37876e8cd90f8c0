package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/shared/settings"
)

func load(t *testing.T, yaml string, env ...string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	err := settings.Load(settings.Source{Path: path, Env: env, Prefix: config.Prefix}, &c)
	return c, err
}

func TestDefaultsNeedOnlyASite(t *testing.T) {
	c, err := load(t, "site: home\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.Client() != "fluxora-agent-home" || c.PointOf("x").Resolution != 15*time.Minute {
		t.Errorf("%+v", c)
	}
	if _, err := load(t, ""); err == nil || !strings.Contains(err.Error(), "site") {
		t.Errorf("error %v, want one about the site", err)
	}
}

func TestWholeFile(t *testing.T) {
	c, err := load(t, `
site: home
zone: Europe/Oslo
resolution: 1h
mqtt:
  url: ssl://broker:8883
  max_inflight: 100
  mappings:
    - preset: tasmota
    - topic: ems/{point}/{register}
      path: data[0].value
      unit: kWh
store:
  max_bytes: 64MiB
  commit_window: 10s
points:
  - name: main
    max_watts: 17250
    resolution: 15m
    registers: [energy-import]
forecast:
  levels: [0.05, 0.5, 0.95]
`, "FLUXORA_AGENT_STORE_COMMIT_WINDOW=2s")
	if err != nil {
		t.Fatal(err)
	}
	if c.Store.CommitWindow != 2*time.Second || c.Store.MaxBytes != 64<<20 || c.PointOf("main").Resolution != 15*time.Minute || c.MQTT.Mappings[1].Path != "data[0].value" {
		t.Errorf("%+v", c)
	}
}

// TestEveryMistakeIsNamed wants each wrong value reported, all at once, with its key and its line.
func TestEveryMistakeIsNamed(t *testing.T) {
	_, err := load(t, `
site: "my home"
zone: Oslo
resolution: 7m
mqtt:
  url: broker
  max_inflight: 0
  password_file: /does/not/exist
  mappings:
    - topic: tele/x{point}/y
    - topic: a/{point}
      register: heat
    - topic: a/{point}
      register: power-import
      unit: kWh
      kind: counter
    - preset: shelly
    - topic: a/{point}/{register}
      path: a..b
      timestamp: a[x
      meter_path: a[1]b
      unit: furlong
store:
  max_bytes: 1KiB
  retention: tomorrow
  commit_window: 2h
limits:
  series: 0
points:
  - name: a
    registers: [heat]
  - name: a
forecast:
  horizon: 1m
  levels: [0.9, 0.1]
hub:
  address: hub
http:
  listen: 0.0.0.0:8090
log:
  level: loud
`)
	var ps settings.Problems
	if !errors.As(err, &ps) {
		t.Fatalf("error %v, want settings.Problems", err)
	}
	at := make(map[string]string)
	for _, p := range ps {
		at[p.Key] = p.Place
	}
	for _, key := range []string{
		"site", "zone", "resolution", "mqtt.url", "mqtt.max_inflight", "mqtt.password_file", "mqtt.mappings[0].topic",
		"mqtt.mappings[0].register", "mqtt.mappings[1].register", "mqtt.mappings[2].unit", "mqtt.mappings[2].kind", "mqtt.mappings[3].preset", "mqtt.mappings[4].path",
		"mqtt.mappings[4].timestamp", "mqtt.mappings[4].meter_path", "mqtt.mappings[4].unit", "store.max_bytes", "store.retention",
		"store.commit_window", "limits.series", "points[0].registers[0]", "points[1].name", "forecast.horizon", "forecast.levels",
		"hub.address", "http.listen", "log.level",
	} {
		place, ok := at[key]
		if !ok {
			t.Errorf("%s: nothing is reported", key)
		} else if !strings.Contains(place, "agent.yaml:") {
			t.Errorf("%s: place %q, want file and line", key, place)
		}
	}
}

// TestFlashBudgetFitsTheWindow wants a budget that commits alone keep, and otherwise to be told what would be right.
func TestFlashBudgetFitsTheWindow(t *testing.T) {
	for _, tt := range []struct {
		window time.Duration
		budget settings.Bytes
		want   string // part of the report; empty for none
	}{
		{5 * time.Second, 0, ""},
		{5 * time.Second, 100 << 20, ""},
		{10 * time.Second, 50_000_000, ""},
		{time.Minute, 8 << 20, ""},
		{5 * time.Second, 50 << 20, "want as much, or a commit_window of 8s"},
		{time.Minute, 1 << 20, "want 0 (no limit), or 8MiB to 1TiB a day"},
		{0, 1 << 30, "commits alone write"},
	} {
		c := config.Default()
		c.Site, c.Store.CommitWindow, c.Store.FlashBudget = "home", tt.window, tt.budget
		got := ""
		c.Check(func(key, format string, args ...any) {
			if key == "store.flash_budget" {
				got = fmt.Sprintf(format, args...)
			}
		})
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("window %s, budget %s: %q, want %q", tt.window, tt.budget, got, tt.want)
		}
	}
}
