package app

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"fluxora.dev/firmware-bridge/internal/driver/replay"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/settings"
)

// EnvPrefix begins the name of every environment variable that is a setting.
const EnvPrefix = "FLUXORA_BRIDGE_"

// EnvConfig names the settings file when no flag does.
const EnvConfig = EnvPrefix + "CONFIG"

// Config is every setting of the bridge.
type Config struct {
	Site    string `yaml:"site"`     // the site's name, as in its topics; required
	DataDir string `yaml:"data_dir"` // progress is kept here, so that a restart goes on; empty: nothing is kept
	MQTT    MQTT   `yaml:"mqtt"`
	Replay  Replay `yaml:"replay"`
	HTTP    HTTP   `yaml:"http"`
	Log     Log    `yaml:"log"`
}

// MQTT is the broker.
type MQTT struct {
	URL          string `yaml:"url"`            // tcp://, ssl://, ws:// or wss://
	ClientID     string `yaml:"client_id"`      // default fluxora-bridge-<site>
	Username     string `yaml:"username"`       //
	PasswordFile string `yaml:"password_file"`  // a file that holds the password; never the password itself
	CAFile       string `yaml:"ca_file"`        // PEM of the authority that signed the broker's certificate
	CertFile     string `yaml:"cert_file"`      // PEM of the client's certificate, for brokers that ask for one
	KeyFile      string `yaml:"key_file"`       // PEM of its key
	MaxInflight  int    `yaml:"max_inflight"`   // messages sent and not yet acknowledged
	WaitForAgent bool   `yaml:"wait_for_agent"` // send only while the site's agent says that it is online
}

// Replay is the recording and how it is played.
type Replay struct {
	File       string            `yaml:"file"`        // CSV or CSV.gz; empty: synthetic profiles
	MetersFile string            `yaml:"meters_file"` // table with the categories; default meters.csv beside the file
	Meters     []string          `yaml:"meters"`      // these; empty: all
	Categories []string          `yaml:"categories"`  // of these categories; empty: all
	Offset     int               `yaml:"offset"`      // leave out the first so many
	Count      int               `yaml:"count"`       // at most so many; 0: all (of synthetic ones: one of each profile)
	Profiles   []string          `yaml:"profiles"`    // synthetic buildings; empty: one of each
	Seed       uint64            `yaml:"seed"`        // of synthetic buildings
	Backfill   int               `yaml:"backfill"`    // days
	Every      time.Duration     `yaml:"every"`       // between live readings
	Register   string            `yaml:"register"`    // what the recording is: energy-import, energy-export, power-import or power-export
	Resolution time.Duration     `yaml:"resolution"`  // of the recording; 0: found by its steps (of synthetic ones: 1h)
	Points     map[string]string `yaml:"points"`      // meter → point; a meter that is not here gives its name to its point
}

// HTTP is the bridge's own interface: /healthz and /metrics.
type HTTP struct {
	Listen string `yaml:"listen"` // address:port; empty for none
}

// Log is how much is said.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// DefaultConfig returns the settings that hold unless others are given. Site has none.
func DefaultConfig() Config {
	return Config{
		MQTT:   MQTT{URL: "tcp://127.0.0.1:1883", MaxInflight: 20},
		Replay: Replay{Seed: 1, Backfill: 30, Every: 5 * time.Second, Register: string(meter.EnergyImport)},
		Log:    Log{Level: "info", Format: "text"},
	}
}

// LoadConfig reads the settings. The error names every wrong key or value with its place.
func LoadConfig(src settings.Source) (Config, error) {
	c := DefaultConfig()
	src.Prefix = EnvPrefix
	src.Known = append(src.Known, EnvConfig)
	return c, settings.Load(src, &c)
}

// Check implements settings.Checker.
func (c *Config) Check(report func(key, format string, args ...any)) {
	if err := meter.CheckName("site", c.Site); err != nil {
		report("site", "%v", err)
	}
	u, err := url.Parse(c.MQTT.URL)
	switch {
	case err != nil || u.Host == "":
		report("mqtt.url", "%q is no URL of a broker: want one as tcp://127.0.0.1:1883", c.MQTT.URL)
	case !strings.Contains(" tcp ssl ws wss ", " "+u.Scheme+" "):
		report("mqtt.url", "scheme %q: want tcp, ssl, ws or wss", u.Scheme)
	case u.User != nil:
		report("mqtt.url", "holds a user: use mqtt.username and mqtt.password_file")
	}
	if c.MQTT.MaxInflight < 1 || c.MQTT.MaxInflight > 1000 {
		report("mqtt.max_inflight", "%d: want 1 to 1000", c.MQTT.MaxInflight)
	}
	if (c.MQTT.CertFile == "") != (c.MQTT.KeyFile == "") {
		report("mqtt.cert_file", "want cert_file and key_file, or neither")
	}
	for key, path := range map[string]string{
		"mqtt.password_file": c.MQTT.PasswordFile, "mqtt.ca_file": c.MQTT.CAFile, "mqtt.cert_file": c.MQTT.CertFile, "mqtt.key_file": c.MQTT.KeyFile,
	} {
		if path == "" {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			report(key, "%v", err)
			continue
		}
		f.Close()
	}
	c.Replay.check(report)
	if c.HTTP.Listen != "" {
		if _, _, err := net.SplitHostPort(c.HTTP.Listen); err != nil {
			report("http.listen", "%q: want address:port, as 127.0.0.1:9100", c.HTTP.Listen)
		}
	}
	if err := new(slog.LevelVar).UnmarshalText([]byte(c.Log.Level)); err != nil {
		report("log.level", "%q: want debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		report("log.format", "%q: want text or json", c.Log.Format)
	}
}

func (r *Replay) check(report func(key, format string, args ...any)) {
	if _, err := meter.LookupRegister(r.Register); err != nil {
		report("replay.register", "%v", err)
	}
	if r.Backfill < 0 || r.Backfill > 4000 {
		report("replay.backfill", "%d days: want 0 to 4000", r.Backfill)
	}
	if r.Every < 100*time.Millisecond || r.Every > 24*time.Hour {
		report("replay.every", "%s: want 100ms to 24h", r.Every)
	}
	if r.Resolution != 0 && (r.Resolution < time.Minute || 24*time.Hour%r.Resolution != 0) {
		report("replay.resolution", "%s: want one minute or more, and a part of a day", r.Resolution)
	}
	if r.Offset < 0 || r.Count < 0 || r.Count > 10_000 {
		report("replay.count", "offset %d, count %d: want 0 or more, and at most 10000", r.Offset, r.Count)
	}
	if r.File != "" && len(r.Profiles) > 0 {
		report("replay.profiles", "want a file or profiles, not both")
	}
	for _, p := range r.Profiles {
		if !strings.Contains(" "+strings.Join(replay.Profiles(), " ")+" ", " "+p+" ") {
			report("replay.profiles", "%q: want one of %s", p, strings.Join(replay.Profiles(), ", "))
		}
	}
	taken := map[string]string{}
	for m, p := range r.Points {
		if err := meter.CheckName("point", p); err != nil {
			report("replay.points", "%v", err)
		}
		if other, ok := taken[p]; ok {
			report("replay.points", "meters %s and %s both go to point %s: want one meter a point", min(m, other), max(m, other), p)
		}
		taken[p] = m
	}
}

// clientID returns the name of the MQTT session.
func (c Config) clientID() string {
	if c.MQTT.ClientID != "" {
		return c.MQTT.ClientID
	}
	return fmt.Sprintf("fluxora-bridge-%s", c.Site)
}
