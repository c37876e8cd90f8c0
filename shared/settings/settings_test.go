package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/shared/settings"
)

type config struct {
	Site   string         `yaml:"site"`
	MQTT   mqtt           `yaml:"mqtt"`
	Window time.Duration  `yaml:"window"`
	Cap    settings.Bytes `yaml:"cap"`
	Levels []float64      `yaml:"levels"`
	Points []point        `yaml:"points"`
}

type mqtt struct {
	URL  string `yaml:"url"`
	Port uint16 `yaml:"port"`
	TLS  bool   `yaml:"tls"`
}

type point struct {
	Name  string `yaml:"name"`
	Watts int    `yaml:"max_watts"`
}

func (c *config) Check(report func(key, format string, args ...any)) {
	if c.Site == "" {
		report("site", "is missing: want the site's name")
	}
	for i, p := range c.Points {
		if p.Watts < 0 {
			report("points["+string(rune('0'+i))+"].max_watts", "is %d: want 0 or more", p.Watts)
		}
	}
}

func load(t *testing.T, yaml string, src settings.Source) (config, error) {
	t.Helper()
	c := config{MQTT: mqtt{URL: "tcp://localhost:1883"}, Window: time.Second}
	if yaml != "" {
		src.Path = filepath.Join(t.TempDir(), "agent.yaml")
		if err := os.WriteFile(src.Path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	src.Prefix = "FLX_"
	err := settings.Load(src, &c)
	return c, err
}

func TestLaterSourcesWin(t *testing.T) {
	got, err := load(t, `
site: oslo
window: 3s
cap: 64MiB
levels: [0.1, 0.9]
mqtt: {port: 1884, tls: true}
points:
  - name: a
    max_watts: 5
  - {name: b}
`, settings.Source{
		Env:   []string{"FLX_MQTT_URL=tcp://b:1", "FLX_WINDOW=4s", "OTHER=1", "FLX_CONFIG=x"},
		Known: []string{"FLX_CONFIG"},
		Flags: map[string]string{"window": "5s", "mqtt.tls": "false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		Site: "oslo", MQTT: mqtt{"tcp://b:1", 1884, false}, Window: 5 * time.Second, Cap: 64 << 20,
		Levels: []float64{0.1, 0.9}, Points: []point{{"a", 5}, {"b", 0}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEveryProblemIsNamedWithItsPlace(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		src        settings.Source
		want       []string
	}{
		{"all at once", "sit: oslo\nmqtt:\n  prot: 1\n  port: 99999\n  tls: perhaps\nwindow: 5\ncap: much\nlevels: 3\nsite: x\n", settings.Source{}, []string{
			"agent.yaml:1:1: sit: no such key; did you mean site?",
			"agent.yaml:3:3: mqtt.prot: no such key; did you mean port?",
			`agent.yaml:4:9: mqtt.port: "99999" is no whole number ≥ 0 of 16 bits`,
			`agent.yaml:5:8: mqtt.tls: "perhaps" is neither true nor false`,
			`agent.yaml:6:9: window: "5" is no duration`,
			`agent.yaml:7:6: cap: "much" is no amount of storage`,
			"agent.yaml:8:9: levels: is integer: want a list",
		}},
		{"twice", "site: a\nsite: b\n", settings.Source{}, []string{"agent.yaml:2:1: site: stands here a second time (first at"}},
		{"no mapping", "mqtt: [1]\nsite: {a: 1}\n", settings.Source{}, []string{"1:7: mqtt: is sequence: want keys with values", "2:7: site: is mapping: want a single value"}},
		{"no YAML", "site: [\n", settings.Source{}, []string{"agent.yaml:1"}},
		{"environment", "site: a", settings.Source{Env: []string{"FLX_MQTT_URI=x", "FLX_MQTT_PORT=-1"}}, []string{
			"environment FLX_MQTT_URI: no such setting; did you mean FLX_MQTT_URL?",
			`environment FLX_MQTT_PORT: mqtt.port: "-1" is no whole number`,
		}},
		{"flag", "site: a", settings.Source{Flags: map[string]string{"widow": "1s"}}, []string{"flag --set widow: widow: no such setting; did you mean window?"}},
		{"flag of its own", "", settings.Source{Flags: map[string]string{"site": "", "window": "x"}, Names: map[string]string{"site": "--site"}}, []string{
			"flag --site: site: is missing", `flag --set window: window: "x" is no duration`,
		}},
		{"kinds and checks in one run", "site: \"\"\nwindow: x\npoints: [{max_watts: -4}, {max_watts: z}]\n", settings.Source{}, []string{
			"agent.yaml:1:7: site: is missing", "agent.yaml:2:9: window:", "agent.yaml:3:22: points[0].max_watts: is -4", "agent.yaml:3:39: points[1].max_watts:",
		}},
		{"its own checks", "points:\n  - name: a\n  - name: b\n    max_watts: -4\n", settings.Source{}, []string{"default: site: is missing", "agent.yaml:4:16: points[1].max_watts: is -4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.yaml, c.src)
			var ps settings.Problems
			if !errors.As(err, &ps) {
				t.Fatalf("error %v, want Problems", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("no line %q in:\n%s", w, err)
				}
			}
			if len(ps) != len(c.want) {
				t.Errorf("%d problems, want %d:\n%s", len(ps), len(c.want), err)
			}
		})
	}
}

func TestAbsentFile(t *testing.T) {
	err := settings.Load(settings.Source{Path: "/no/such.yaml"}, &config{})
	if err == nil || !strings.Contains(err.Error(), "/no/such.yaml does not exist") {
		t.Errorf("error %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("site: a\nmqtt: {url: b}\n")
	f.Add("points:\n- &a {name: x}\n- *a\n")
	f.Fuzz(func(t *testing.T, yaml string) {
		if yaml == "" {
			return
		}
		_, err := load(t, yaml, settings.Source{})
		var ps settings.Problems
		if err != nil && !errors.As(err, &ps) {
			t.Fatalf("error %v, want Problems", err)
		}
	})
}
