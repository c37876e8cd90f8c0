// Package config knows every setting of the agent, its default and its bounds.
//
// It must not know how settings are read (package settings does: one YAML file, then environment variables with the prefix
// FLUXORA_AGENT_, then flags) nor what is done with them. The zero Config is not usable; begin with Default.
package config

import (
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/settings"
)

// Prefix is what the agent's environment variables begin with.
const Prefix = "FLUXORA_AGENT_"

// Config is every setting of an agent.
type Config struct {
	Site       string             `yaml:"site"`       // the site's name, as in its topics; required
	DataDir    string             `yaml:"data_dir"`   // where readings and identity are kept; one agent each
	Zone       string             `yaml:"zone"`       // IANA time zone that people at the site follow
	Country    string             `yaml:"country"`    // ISO 3166-1, as NO or DE-BY, for public holidays; what the hub says counts
	Vacations  []holiday.Range    `yaml:"vacations"`  // school holidays or closures, half-open and in order: 2024-06-22/2024-08-19
	Facts      map[string]float64 `yaml:"facts"`      // what does not change, as area_m2: 437
	Resolution time.Duration      `yaml:"resolution"` // length of intervals: 5m, 10m, 15m, 30m or 1h
	MQTT       MQTT               `yaml:"mqtt"`
	Store      Store              `yaml:"store"`
	Limits     Limits             `yaml:"limits"`
	Points     []Point            `yaml:"points"` // only points that differ from the defaults need an entry
	Forecast   Forecast           `yaml:"forecast"`
	Hub        Hub                `yaml:"hub"`
	Clock      Clock              `yaml:"clock"`
	HTTP       HTTP               `yaml:"http"`
	Log        Log                `yaml:"log"`
}

// MQTT is the broker and what is read from it.
type MQTT struct {
	URL          string    `yaml:"url"`           // tcp://, ssl://, ws:// or wss://
	ClientID     string    `yaml:"client_id"`     // names the persistent session; default fluxora-agent-<site>
	Username     string    `yaml:"username"`      //
	PasswordFile string    `yaml:"password_file"` // a file that holds the password; never the password itself
	CAFile       string    `yaml:"ca_file"`       // PEM of the authority that signed the broker's certificate
	CertFile     string    `yaml:"cert_file"`     // PEM of the client's certificate, for brokers that ask for one
	KeyFile      string    `yaml:"key_file"`      // PEM of its key
	MaxInflight  int       `yaml:"max_inflight"`  // messages the broker sends unacked; Mosquitto's max_inflight_messages
	Mappings     []Mapping `yaml:"mappings"`      // readings of publishers that do not speak Fluxora's payload
}

// Mapping says how messages of a third-party publisher become readings. Package ingest documents it.
type Mapping struct {
	Preset    string `yaml:"preset"`    // tasmota, shelly-gen2, zigbee2mqtt or plain; the fields below win over it
	Topic     string `yaml:"topic"`     // "tele/{point}/SENSOR": {point} and {register} take one level, + and # as in MQTT
	Point     string `yaml:"point"`     // when the topic has no {point}
	Register  string `yaml:"register"`  // when the topic has no {register}
	Path      string `yaml:"path"`      // of the value, as "ENERGY.Total" or "meters[0].total"; empty when the payload is the number
	Unit      string `yaml:"unit"`      // of the value; default the register's base unit
	Kind      string `yaml:"kind"`      // counter, energy or power; default the register's
	Timestamp string `yaml:"timestamp"` // path of the instant, RFC 3339 or Unix seconds or ms; default the time of arrival
	Meter     string `yaml:"meter"`     // serial number, fixed
	MeterPath string `yaml:"meter_path"`
}

// Store is how readings are kept.
type Store struct {
	MaxBytes     settings.Bytes `yaml:"max_bytes"`     // cap over all files of the store
	Retention    time.Duration  `yaml:"retention"`     // of raw readings that the hub has; late readings within it are put right
	Intervals    time.Duration  `yaml:"intervals"`     // retention of intervals, which forecasts are made from
	CommitWindow time.Duration  `yaml:"commit_window"` // the longest that a reading waits for others before it is synced
	MinFree      settings.Bytes `yaml:"min_free"`      // left free on the file system; 0 for the larger of 200 MiB and a tenth of it
	FlashBudget  settings.Bytes `yaml:"flash_budget"`  // to write a day: readings wait as short as it allows, within commit_window; 0: they wait for commit_window
	StateWindow  time.Duration  `yaml:"state_window"`  // how often derived state is written; a crash costs a replay of this much
}

// Limits is what readings are believed.
type Limits struct {
	Future   time.Duration `yaml:"future"`    // how far ahead of the agent's clock a reading may be
	Oldest   time.Duration `yaml:"oldest"`    // how far back
	MaxWatts float64       `yaml:"max_watts"` // the most that any point can carry; a power above it is absurd
	MaxKWh   float64       `yaml:"max_kwh"`   // the highest that any counter can show
	Series   int           `yaml:"series"`    // how many series the agent may number
}

// Point is what is particular about one point.
type Point struct {
	Name       string        `yaml:"name"`
	Resolution time.Duration `yaml:"resolution"` // default the site's
	MaxWatts   float64       `yaml:"max_watts"`  // the most the connection can carry; faster rises are spikes; 0 when unknown
	Modulus    float64       `yaml:"modulus"`    // kWh at which the counter wraps, for publishers that do not say; 0 when unknown
	Registers  []string      `yaml:"registers"`  // the only ones taken; empty for all
}

// Forecast is what is forecast.
type Forecast struct {
	Horizon time.Duration `yaml:"horizon"` // how far ahead
	Levels  []float64     `yaml:"levels"`  // quantile levels, ascending in (0,1)
}

// Hub is where readings go.
type Hub struct {
	Address string `yaml:"address"` // host:port; empty to run without a hub
}

// Clock is for tests of whole agents; nobody else needs it.
type Clock struct {
	// OffsetFile holds a duration, as "-48h", by which the wall clock is made to stand off. It is read over and over, so that
	// a test can make the clock jump.
	OffsetFile string `yaml:"offset_file"`
}

// HTTP is the agent's local interface.
type HTTP struct {
	Listen    string `yaml:"listen"`     // address:port; empty for none
	TokenFile string `yaml:"token_file"` // a file that holds the bearer token; needed to listen beyond loopback
}

// Log is how much is said.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Default returns the settings that hold unless others are given. Site has none.
//
// The commit window of 5 s bounds what a power cut can take from a broker that keeps its queue in memory, as Mosquitto
// does between its saves. A shorter one writes more flash: each commit writes one page of 4 KiB, or two, however little it
// holds, so a steady trickle costs about 80 MB a day at 5 s, 40 MB at 10 s and 390 MB at 1 s. Under load the window does not
// matter, since a full pipe is committed at once.
func Default() Config {
	return Config{
		DataDir:    "/var/lib/fluxora-agent",
		Zone:       "UTC",
		Resolution: 15 * time.Minute,
		MQTT:       MQTT{URL: "tcp://127.0.0.1:1883", MaxInflight: 20},
		Store: Store{
			MaxBytes: 256 << 20, Retention: 35 * 24 * time.Hour, Intervals: 400 * 24 * time.Hour,
			CommitWindow: 5 * time.Second, StateWindow: 5 * time.Minute,
		},
		Limits:   Limits{Future: 5 * time.Minute, Oldest: 400 * 24 * time.Hour, MaxWatts: 1e9, MaxKWh: 1e9, Series: 1000},
		Forecast: Forecast{Horizon: 48 * time.Hour, Levels: forecast.DefaultLevels()},
		HTTP:     HTTP{Listen: "127.0.0.1:8090"},
		Log:      Log{Level: "info", Format: "text"},
	}
}

// Client returns the client id of the MQTT session.
func (c Config) Client() string {
	if c.MQTT.ClientID != "" {
		return c.MQTT.ClientID
	}
	return "fluxora-agent-" + c.Site
}

// PointOf returns what holds for a point.
func (c Config) PointOf(name string) Point {
	p := Point{Name: name}
	for _, q := range c.Points {
		if q.Name == name {
			p = q
		}
	}
	if p.Resolution == 0 {
		p.Resolution = c.Resolution
	}
	return p
}

// Around returns what surrounds the points of the site.
func (c Config) Around() *feature.Site {
	return &feature.Site{Country: c.Country, Vacations: c.Vacations, Facts: c.Facts}
}
