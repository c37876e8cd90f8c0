package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/config"
)

func TestDefaultsAreSound(t *testing.T) {
	c, err := config.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h, m := c.Training.TimeOfDay(); h != 2 || m != 30 {
		t.Errorf("daily training at %d:%d, want 2:30", h, m)
	}
}

func TestSourcesAndPlaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.yaml")
	text := "data_dir: /srv/hub\nsite:\n  zone: Europe/Oslo\n  resolution: 15m\ntraining:\n  first_after: 48h\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, []string{"FLUXORA_HUB_HTTP_LISTEN=[::]:80", "FLUXORA_HUB_CONFIG=" + path}, map[string]string{"training.threads": "1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Site.Resolution != 15*time.Minute || c.HTTP.Listen != "[::]:80" || c.Training.Threads != 1 || c.Training.FirstAfter != 48*time.Hour {
		t.Errorf("got %+v", c)
	}
}

func TestEveryWrongValueIsNamed(t *testing.T) {
	for _, tc := range []struct{ name, key, value, want string }{
		{"zone", "site.zone", "Oslo", "IANA"},
		{"resolution", "site.resolution", "7m", "15m"},
		{"listen", "http.listen", "8420", "host:port"},
		{"database", "database.url", "mysql://x", "postgres://"},
		{"time of day", "training.at", "25:00", "time of day"},
		{"bound", "database.connections", "1", "4 to 1000"},
		{"level", "log.level", "loud", "debug"},
		{"format", "log.format", "xml", "json"},
		{"organisation", "organisation", "a b", "letters"},
		{"origin for everybody", "http.origins", "*", "https://energy.example.com"},
		{"origin with a path", "http.origins", "https://a.example.com/app", "no origin"},
		{"proxy", "http.proxies", "10.0.0.1", "10.0.0.0/8"},
		{"rate", "http.limits.free.burst", "0", "1 to"},
		{"registration", "accounts.registration", "maybe", "closed, invited or open"},
		{"provider", "accounts.oidc.issuer", "example.com", "https://"},
		{"role", "accounts.oidc.role", "platform", "viewer"},
		{"misspelt", "htp.listen", "x", "http.listen"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Load("", nil, map[string]string{tc.key: tc.value})
			if err == nil || !strings.Contains(err.Error(), tc.key) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v: want it to name %s and %q", err, tc.key, tc.want)
			}
		})
	}
}
