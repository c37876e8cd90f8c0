package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	good := file(t, "bridge.yaml", "site: home\nreplay:\n  profiles: [bakery]\n")
	bad := file(t, "bridge.yaml", "site: my home\nreplay:\n  profils: [bakery]\n  seed: -1\n")
	recording := file(t, "r.csv", "meter_id,timestamp,kwh\nA,2024-01-01T00:00:00Z,1\nA,2024-01-01T01:00:00Z,2\nB,2024-01-01T00:00:00Z,1\nB,2024-01-01T01:00:00Z,2\n")
	broken := file(t, "r.csv", "meter_id,timestamp,kwh\nA,2024-01-01T00:00:00Z,1\nA,2024-01-01T01:00:00Z,NaN\n")
	for _, c := range []struct {
		name           string
		env            []string
		args           []string
		code           int
		stdout, stderr []string // what must be printed there; nothing at all when empty
	}{
		{"version", nil, []string{"--version"}, 0, []string{"fluxora-bridge " + version}, nil},
		{"help", nil, []string{"--help"}, 0, []string{"--check-config", "--list", "FLUXORA_BRIDGE_CONFIG"}, nil},
		{"unknown flag", nil, []string{"--bogus"}, 2, nil, []string{"--bogus", "--help"}},
		{"too much", nil, []string{"bogus"}, 2, nil, []string{"bogus", "--help"}},
		{"no settings", nil, []string{"--check-config"}, 2, nil, []string{"default: site:"}},
		{"good file", nil, []string{"--check-config", "--config", good}, 0, []string{"1 registers would be played"}, nil},
		{"good file by environment", []string{"FLUXORA_BRIDGE_CONFIG=" + good}, []string{"--check-config"}, 0, []string{"right"}, nil},
		{"every mistake", []string{"FLUXORA_BRIDGE_MQTT_ULR=x"}, []string{"--check-config", "--config", bad, "--every", "1ms", "--log-level", "loud"}, 2, nil, []string{
			bad + ":1:7: site:", bad + ":3:3: replay.profils: no such key; did you mean profiles?", bad + ":4:9: replay.seed:", "did you mean FLUXORA_BRIDGE_MQTT_URL?",
			"flag --every: replay.every:", "flag --log-level: log.level:",
		}},
		{"mistakes stop a run too", nil, []string{"--config", bad}, 2, nil, []string{":1:7: site:"}},
		{"no file", nil, []string{"--config", filepath.Join(t.TempDir(), "none.yaml")}, 2, nil, []string{"none.yaml does not exist"}},
		{"list of profiles", nil, []string{"--list"}, 0, []string{"bakery-1 energy-import", "home-pv-1 energy-export"}, nil},
		{"list of a recording", nil, []string{"--list", "--file", recording, "--meters", "B"}, 0, []string{"B energy-import 2024-01-01T00:00:00Z"}, nil},
		{"unknown meter", nil, []string{"--list", "--file", recording, "--meters", "C"}, 1, nil, []string{`no meter "C"`}},
		{"unknown profile", nil, []string{"--list", "--profile", "castle"}, 2, nil, []string{"flag --profile: replay.profiles:", "bakery"}},
		{"no recording", nil, []string{"--check-config", "--site", "a", "--file", "none.csv"}, 1, nil, []string{"none.csv"}},
		{"broken recording", nil, []string{"--check-config", "--site", "a", "--file", broken}, 1, nil, []string{broken + ":3:", "NaN"}},
		{"no password file", nil, []string{"--site", "a", "--password-file", "none"}, 2, nil, []string{"flag --password-file: mqtt.password_file:", "none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(c.args, c.env, &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, x := range []struct {
				name, got string
				want      []string
			}{{"stdout", stdout.String(), c.stdout}, {"stderr", stderr.String(), c.stderr}} {
				if len(x.want) == 0 && x.got != "" {
					t.Errorf("%s: %q, want nothing", x.name, x.got)
				}
				for _, w := range x.want {
					if !strings.Contains(x.got, w) {
						t.Errorf("%s lacks %q:\n%s", x.name, w, x.got)
					}
				}
			}
		})
	}
}
