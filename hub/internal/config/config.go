// Package config knows the hub's settings: their names, defaults and what values make sense.
//
// It only holds and checks them. It opens nothing, so that `--check-config` has no effects.
package config

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
	"fluxora.dev/shared/settings"
)

// EnvPrefix begins the name of every environment variable that is a setting.
const EnvPrefix = "FLUXORA_HUB_"

// EnvConfig names the settings file when no flag does.
const EnvConfig = EnvPrefix + "CONFIG"

// Config is every setting of the hub.
type Config struct {
	DataDir      string        `yaml:"data_dir"`     // private Postgres, and what the hub keeps beside it
	Organisation string        `yaml:"organisation"` // whose rows this hub's commands work on
	Site         Site          `yaml:"site"`
	Database     Database      `yaml:"database"`
	HTTP         HTTP          `yaml:"http"`
	Accounts     Accounts      `yaml:"accounts"`
	Uplink       Uplink        `yaml:"uplink"`
	Training     Training      `yaml:"training"`
	Weather      Weather       `yaml:"weather"`
	StopWithin   time.Duration `yaml:"stop_within"` // bound on an orderly stop
	Log          Log           `yaml:"log"`
}

// Site is what a new site gets when nothing else is said.
type Site struct {
	Zone       string        `yaml:"zone"` // IANA name
	Resolution time.Duration `yaml:"resolution"`
	Horizon    int           `yaml:"horizon"` // intervals
}

// Database says where the rows are.
type Database struct {
	URL         string `yaml:"url"`         // empty: a private Postgres in data_dir
	Connections int    `yaml:"connections"` // at most; half of them for requests
	BinDir      string `yaml:"bin_dir"`     // of the private server's binaries; empty: search
}

// HTTP is the REST interface.
type HTTP struct {
	Listen      string         `yaml:"listen"`
	MetricsOpen bool           `yaml:"metrics_open"` // serve /metrics without a token
	Timeout     time.Duration  `yaml:"timeout"`      // of one request
	MaxBody     settings.Bytes `yaml:"max_body"`
	Concurrency int            `yaml:"concurrency"` // requests at once; others wait
	Origins     []string       `yaml:"origins"`     // of pages that may read answers, scheme://host:port
	Proxies     []string       `yaml:"proxies"`     // addresses whose X-Forwarded-For is believed, as 10.0.0.0/8
	Limits      Limits         `yaml:"limits"`
}

// Limits is how often callers may ask, by the tier of their organisation. Each replica of the hub counts for itself.
type Limits struct {
	Free      Rate `yaml:"free"`
	Standard  Rate `yaml:"standard"`
	Premium   Rate `yaml:"premium"`
	Strangers Rate `yaml:"strangers"` // of one address, on routes that need no credential, as logging in
}

// Rate is how often one caller may ask.
type Rate struct {
	PerHour int `yaml:"per_hour"` // in the long run; 0: without limit
	Burst   int `yaml:"burst"`    // at once, after a pause
}

// Uplink is where agents connect.
type Uplink struct {
	Listen string   `yaml:"listen"`
	Names  []string `yaml:"names"` // host names and addresses that the server certificate is valid for
	// RenewWithin is for how long an agent whose certificate expired while it was away may have another; 0: never.
	RenewWithin time.Duration `yaml:"renew_within"`
}

// Training says when models are trained, and with how much.
type Training struct {
	Enabled    bool              `yaml:"enabled"`     // false: this process works no training jobs
	At         string            `yaml:"at"`          // time of day of the daily training, in the zone of site.zone
	FirstAfter time.Duration     `yaml:"first_after"` // history that the first training waits for
	CheckEvery time.Duration     `yaml:"check_every"` // how often the first training is considered
	History    time.Duration     `yaml:"history"`     // at most this much is learnt from
	Timeout    time.Duration     `yaml:"timeout"`     // of one training
	Threads    int               `yaml:"threads"`     // 0: as many as processors
	Rounds     int               `yaml:"rounds"`      // boosting rounds; 0: the engine's default
	Settings   map[string]string `yaml:"settings"`    // of all trainings, by name, as fluxora-hub run settings lists them
	MLflow     MLflow            `yaml:"mlflow"`
}

// MLflow is a tracking server that runs are copied to.
type MLflow struct {
	URL        string        `yaml:"url"`        // empty: nowhere
	Experiment string        `yaml:"experiment"` // made when there is none of that name
	Token      string        `yaml:"token"`      // bearer token; better in FLUXORA_HUB_TRAINING_MLFLOW_TOKEN than in a file
	Timeout    time.Duration `yaml:"timeout"`    // of one request
}

// Weather says where the weather of sites comes from. Only sites that were given a place have any, and their places are all that a
// provider is told.
type Weather struct {
	Provider string        `yaml:"provider"` // open-meteo, or none
	URL      string        `yaml:"url"`      // of its forecasts
	Archive  string        `yaml:"archive"`  // of what was observed long ago
	Key      string        `yaml:"key"`      // of a customer; better in FLUXORA_HUB_WEATHER_KEY than in a file
	Every    time.Duration `yaml:"every"`    // a site
	Quota    int           `yaml:"quota"`    // requests a day, of all hubs on the database together
	Timeout  time.Duration `yaml:"timeout"`  // of one request
}

// Log is what is written to standard error.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"` // text or json
}

// Default returns the settings that hold when nothing is said.
func Default() Config {
	return Config{
		DataDir:      "/var/lib/fluxora-hub",
		Organisation: "default",
		Site:         Site{Zone: "UTC", Resolution: time.Hour, Horizon: 48},
		Database:     Database{Connections: 16},
		HTTP: HTTP{
			Listen: "127.0.0.1:8420", Timeout: 10 * time.Second, MaxBody: 1 << 20, Concurrency: 64,
			Limits: Limits{Free: Rate{100, 10}, Standard: Rate{1000, 50}, Premium: Rate{10_000, 200}, Strangers: Rate{600, 60}},
		},
		Accounts: Accounts{Registration: "closed", Issuer: "fluxora-hub", AccessLife: 15 * time.Minute, SessionLife: 30 * 24 * time.Hour, OIDC: OIDC{Role: "viewer"}},
		Uplink:   Uplink{Listen: "127.0.0.1:8421", Names: []string{"localhost", "127.0.0.1", "::1"}, RenewWithin: 365 * 24 * time.Hour},
		Training: Training{
			Enabled: true, At: "02:30", FirstAfter: 14 * 24 * time.Hour, CheckEvery: 30 * time.Second,
			History: 2 * 365 * 24 * time.Hour, Timeout: time.Hour,
			MLflow: MLflow{Experiment: "fluxora", Timeout: 30 * time.Second},
		},
		Weather: Weather{
			Provider: "open-meteo", URL: "https://api.open-meteo.com", Archive: "https://archive-api.open-meteo.com",
			Every: 3 * time.Hour, Quota: 9000, Timeout: 30 * time.Second,
		},
		StopWithin: 15 * time.Second,
		Log:        Log{Level: "info", Format: "text"},
	}
}

// Load returns the defaults changed by the file at path (none when empty), the environment and flags.
func Load(path string, env []string, flags map[string]string) (Config, error) {
	c := Default()
	err := settings.Load(settings.Source{Path: path, Env: env, Known: []string{EnvConfig}, Flags: flags, Prefix: EnvPrefix}, &c)
	return c, err
}

// Check reports what is wrong with c.
func (c *Config) Check(report func(key, format string, args ...any)) {
	if c.DataDir == "" {
		report("data_dir", "is empty: want the directory that holds the hub's data")
	} else if !filepath.IsAbs(c.DataDir) {
		if abs, err := filepath.Abs(c.DataDir); err != nil {
			report("data_dir", "%q cannot be made absolute: %s", c.DataDir, err)
		} else {
			c.DataDir = abs
		}
	}
	if err := meter.CheckName("organisation", c.Organisation); err != nil {
		report("organisation", "%s", err)
	}
	c.Site.check(report)
	c.Training.check(report)
	c.Weather.check(report)

	if c.Database.URL != "" {
		if u, err := url.Parse(c.Database.URL); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			report("database.url", "is no Postgres URL: want postgres://user@host/database, or nothing for a private server")
		}
	}
	between(report, "database.connections", c.Database.Connections, 4, 1000)
	checkListen(report, "http.listen", c.HTTP.Listen)
	checkListen(report, "uplink.listen", c.Uplink.Listen)
	between(report, "http.timeout", c.HTTP.Timeout, 100*time.Millisecond, 10*time.Minute)
	between(report, "http.max_body", c.HTTP.MaxBody, 1<<10, 1<<30)
	c.HTTP.check(report)
	c.Accounts.check(report)
	if len(c.Uplink.Names) == 0 {
		report("uplink.names", "is empty: want the names and addresses under which agents reach this hub")
	}
	between(report, "uplink.renew_within", c.Uplink.RenewWithin, 0, 10*365*24*time.Hour)
	between(report, "stop_within", c.StopWithin, time.Second, 10*time.Minute)
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		report("log.level", "is %q: want debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		report("log.format", "is %q: want text or json", c.Log.Format)
	}
}

func (s Site) check(report func(key, format string, args ...any)) {
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "" || s.Zone == "Local" {
		report("site.zone", "%q is no time zone: want an IANA name, as Europe/Oslo", s.Zone)
	}
	switch s.Resolution {
	case 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour:
	default:
		report("site.resolution", "is %s: want 5m, 10m, 15m, 30m or 1h", s.Resolution)
	}
	between(report, "site.horizon", s.Horizon, 1, 1000)
}

func (t Training) check(report func(key, format string, args ...any)) {
	if _, err := time.Parse("15:04", t.At); err != nil {
		report("training.at", "is %q: want a time of day, as 02:30", t.At)
	}
	between(report, "training.first_after", t.FirstAfter, 24*time.Hour, 400*24*time.Hour)
	between(report, "training.check_every", t.CheckEvery, 100*time.Millisecond, 24*time.Hour)
	between(report, "training.history", t.History, 24*time.Hour, 20*365*24*time.Hour)
	between(report, "training.timeout", t.Timeout, time.Minute, 7*24*time.Hour)
	between(report, "training.threads", t.Threads, 0, 1024)
	between(report, "training.rounds", t.Rounds, 0, 10_000)
	if _, err := train.Apply(train.Params{}, t.Settings); err != nil {
		report("training.settings", "%s", err)
	}
	if u, err := url.Parse(t.MLflow.URL); t.MLflow.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		report("training.mlflow.url", "is no URL of a server: want http(s)://host:port without a user, or nothing")
	}
	if t.MLflow.Experiment == "" {
		report("training.mlflow.experiment", "is empty: want the name that runs are filed under")
	}
	between(report, "training.mlflow.timeout", t.MLflow.Timeout, 100*time.Millisecond, 10*time.Minute)
}

func (w Weather) check(report func(key, format string, args ...any)) {
	if w.Provider != "open-meteo" && w.Provider != "none" {
		report("weather.provider", "is %q: want open-meteo or none", w.Provider)
	}
	for key, address := range map[string]string{"weather.url": w.URL, "weather.archive": w.Archive} {
		if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			report(key, "is no URL of a server: want http(s)://host without a user")
		}
	}
	between(report, "weather.every", w.Every, 10*time.Minute, 48*time.Hour)
	between(report, "weather.quota", w.Quota, 1, 10_000_000)
	between(report, "weather.timeout", w.Timeout, 100*time.Millisecond, 10*time.Minute)
}

// All returns the settings of all trainings, those of Rounds among them.
func (t Training) All() map[string]string {
	out := map[string]string{}
	if t.Rounds > 0 {
		for _, family := range []string{model.FamilyGBDT, model.FamilyBoosted, model.FamilyQuantiles} {
			out[family+".trees"] = strconv.Itoa(t.Rounds)
		}
	}
	maps.Copy(out, t.Settings)
	return out
}

// TimeOfDay returns At as hours and minutes.
func (t Training) TimeOfDay() (hour, minute int) {
	at, err := time.Parse("15:04", t.At)
	if err != nil {
		return 2, 30
	}
	return at.Hour(), at.Minute()
}

// Zone returns the location of site.zone.
func (c Config) Zone() (*time.Location, error) {
	zone, err := time.LoadLocation(c.Site.Zone)
	if err != nil {
		return nil, fmt.Errorf("site.zone: %w", err)
	}
	return zone, nil
}

func checkListen(report func(key, format string, args ...any), key, addr string) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		report(key, "is %q: want host:port, as 127.0.0.1:8420", addr)
	}
}

func between[T ~int | ~int64](report func(key, format string, args ...any), key string, v, low, high T) {
	if v < low || v > high {
		report(key, "is %v: want %v to %v", v, low, high)
	}
}
