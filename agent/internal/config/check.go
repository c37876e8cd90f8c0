package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/settings"
	"fluxora.dev/shared/topic"
)

// Check reports every value that is wrong by itself, with its key. It opens no connection.
func (c *Config) Check(report func(key, format string, args ...any)) {
	if err := meter.CheckName("site", c.Site); err != nil {
		report("site", "%v", err)
	}
	if c.DataDir == "" {
		report("data_dir", "is empty: want a directory")
	}
	if _, err := time.LoadLocation(c.Zone); err != nil || c.Zone == "Local" || c.Zone == "" {
		report("zone", "%q is no time zone: want an IANA name, as Europe/Oslo", c.Zone)
	}
	if err := (&feature.Site{Country: c.Country}).Check(); err != nil {
		report("country", "%v", err)
	}
	if err := (&feature.Site{Vacations: c.Vacations}).Check(); err != nil {
		report("vacations", "%v", err)
	}
	if err := (&feature.Site{Facts: c.Facts}).Check(); err != nil {
		report("facts", "%v", err)
	}
	checkResolution(report, "resolution", c.Resolution)
	c.MQTT.check(report)
	c.Store.check(report)
	c.Limits.check(report)
	c.checkPoints(report)
	if h := c.Forecast.Horizon; h < c.Resolution || h > 14*24*time.Hour {
		report("forecast.horizon", "%s: want the resolution to 336h", h)
	} else if c.Resolution > 0 && h%c.Resolution != 0 {
		report("forecast.horizon", "%s: want a multiple of the resolution %s", h, c.Resolution)
	}
	if err := forecast.CheckLevels(c.Forecast.Levels); err != nil {
		report("forecast.levels", "%v", err)
	}
	if c.Hub.Address != "" {
		checkAddress(report, "hub.address", c.Hub.Address)
	}
	if c.HTTP.Listen != "" {
		checkAddress(report, "http.listen", c.HTTP.Listen)
		if host, _, err := net.SplitHostPort(c.HTTP.Listen); err == nil && c.HTTP.TokenFile == "" && !loopback(host) {
			report("http.listen", "%q can be reached from elsewhere: set http.token_file, or listen on 127.0.0.1", c.HTTP.Listen)
		}
	}
	checkFile(report, "http.token_file", c.HTTP.TokenFile)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		report("log.level", "%q: want debug, info, warn or error", c.Log.Level)
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		report("log.format", "%q: want text or json", c.Log.Format)
	}
}

func checkResolution(report func(key, format string, args ...any), key string, r time.Duration) {
	if !slices.Contains([]time.Duration{5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}, r) {
		report(key, "%s: want 5m, 10m, 15m, 30m or 1h", r)
	}
}

func checkAddress(report func(key, format string, args ...any), key, address string) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		report(key, "%q: want host:port", address)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkFile(report func(key, format string, args ...any), key, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		report(key, "%v", err)
		return
	}
	_ = f.Close()
}

func (m MQTT) check(report func(key, format string, args ...any)) {
	u, err := url.Parse(m.URL)
	if err != nil || u.Host == "" || !slices.Contains([]string{"tcp", "mqtt", "ssl", "tls", "mqtts", "ws", "wss"}, u.Scheme) {
		report("mqtt.url", "%q: want tcp://host:port, or ssl, ws, wss", m.URL)
	} else if u.User != nil {
		report("mqtt.url", "holds a user: want mqtt.username and mqtt.password_file")
	}
	if m.MaxInflight < 1 || m.MaxInflight > 65535 {
		report("mqtt.max_inflight", "%d: want 1 to 65535, the broker's limit", m.MaxInflight)
	}
	if strings.ContainsAny(m.ClientID, "/+# ") || len(m.ClientID) > 128 {
		report("mqtt.client_id", "%q: want at most 128 characters without space, '/', '+' or '#'", m.ClientID)
	}
	checkFile(report, "mqtt.password_file", m.PasswordFile)
	checkFile(report, "mqtt.ca_file", m.CAFile)
	checkFile(report, "mqtt.cert_file", m.CertFile)
	checkFile(report, "mqtt.key_file", m.KeyFile)
	if (m.CertFile == "") != (m.KeyFile == "") {
		report("mqtt.cert_file", "want cert_file and key_file together")
	}
	for i, x := range m.Mappings {
		x.check(report, fmt.Sprintf("mqtt.mappings[%d]", i))
	}
}

// Presets names the publishers whose messages are known.
func Presets() []string { return []string{"tasmota", "shelly-gen2", "zigbee2mqtt", "plain"} }

func (x Mapping) check(report func(key, format string, args ...any), key string) {
	if x.Preset != "" && !slices.Contains(Presets(), x.Preset) {
		report(key+".preset", "%q: want one of %s", x.Preset, strings.Join(Presets(), ", "))
	}
	if x.Topic == "" && (x.Preset == "" || x.Preset == "plain") {
		report(key+".topic", "is empty: want a pattern, as tele/{point}/SENSOR")
	}
	if i := strings.Index(x.Topic, "#"); i >= 0 && (i != len(x.Topic)-1 || i > 0 && x.Topic[i-1] != '/') {
		report(key+".topic", "%q: '#' must be the last level", x.Topic)
	}
	for _, level := range strings.Split(x.Topic, "/") {
		if level != "{point}" && level != "{register}" && level != "+" && level != "#" && strings.ContainsAny(level, "{}+#") {
			report(key+".topic", "level %q: want {point}, {register}, + or # alone, or plain text", level)
		}
	}
	if x.Point != "" {
		if err := meter.CheckName("point", x.Point); err != nil {
			report(key+".point", "%v", err)
		}
	} else if x.Topic != "" && !strings.Contains(x.Topic, "{point}") {
		report(key+".point", "is empty: want a point, or {point} in the topic")
	}
	for name, p := range map[string]string{".path": x.Path, ".timestamp": x.Timestamp, ".meter_path": x.MeterPath} {
		if _, err := ParsePath(p); err != nil {
			report(key+name, "%v", err)
		}
	}
	info, err := meter.LookupRegister(x.Register)
	fits := func(r meter.RegisterInfo) bool { _, err := topic.Exponent(x.Unit, r); return err == nil }
	if err != nil && !slices.ContainsFunc(meter.Registers(), fits) {
		report(key+".unit", "%q: want mWh, Wh, kWh, MWh, mW, W, kW or MW", x.Unit)
	}
	switch {
	case x.Register == "":
		if (x.Preset == "" || x.Preset == "plain") && !strings.Contains(x.Topic, "{register}") {
			report(key+".register", "is empty: want a register, or {register} in the topic")
		}
	case err != nil:
		report(key+".register", "%v", err)
	default:
		if _, err := topic.Exponent(x.Unit, info); err != nil {
			report(key+".unit", "%v", err)
		}
	}
	if x.Kind != "" {
		if k, err := meter.ParseKind(x.Kind); err != nil {
			report(key+".kind", "%v", err)
		} else if x.Register != "" && info.Name != "" && topic.CheckKind(k, info) != nil {
			report(key+".kind", "%s does not fit register %s", k, info.Name)
		}
	}
	if x.Meter != "" {
		if err := meter.CheckName("meter", x.Meter); err != nil {
			report(key+".meter", "%v", err)
		}
	}
}

// commitBytes is what a commit of a few readings writes: a page in the journal, and its share of what is carried from there.
const commitBytes = 4600

func (s Store) check(report func(key, format string, args ...any)) {
	if s.MaxBytes < 1<<20 || s.MaxBytes > 64<<30 {
		report("store.max_bytes", "%s: want 1MiB to 64GiB", s.MaxBytes)
	}
	if s.Retention < time.Hour {
		report("store.retention", "%s: want 1h or more", s.Retention)
	}
	if s.Intervals < 24*time.Hour || s.Intervals > 10*366*24*time.Hour {
		report("store.intervals", "%s: want 24h to ten years", s.Intervals)
	}
	if s.CommitWindow < 0 || s.CommitWindow > time.Minute {
		report("store.commit_window", "%s: want 0s to 1m", s.CommitWindow)
	}
	if s.MinFree < 0 || s.MinFree > 1<<40 {
		report("store.min_free", "%s: want 0 (the larger of 200MiB and a tenth) to 1TiB", s.MinFree)
	}
	s.checkBudget(report)
	if s.StateWindow < time.Second || s.StateWindow > time.Hour {
		report("store.state_window", "%s: want 1s to 1h", s.StateWindow)
	}
}

// checkBudget wants a flash budget that commits alone keep when each waits for the whole commit window.
func (s Store) checkBudget(report func(key, format string, args ...any)) {
	const day = int64(24 * time.Hour)
	if s.FlashBudget == 0 || s.CommitWindow < 0 || s.CommitWindow > time.Minute {
		return
	}
	if s.FlashBudget < 8<<20 || s.FlashBudget > 1<<40 {
		report("store.flash_budget", "%s: want 0 (no limit), or 8MiB to 1TiB a day", s.FlashBudget)
		return
	}
	least := settings.Bytes(day / max(int64(s.CommitWindow), int64(time.Millisecond)) * commitBytes)
	if least > s.FlashBudget {
		wait := time.Duration(day/int64(s.FlashBudget)*commitBytes).Truncate(time.Second) + time.Second
		report("store.flash_budget", "%s: commits alone write %dMiB a day at store.commit_window %s: want as much, or a commit_window of %s", s.FlashBudget, least>>20+1, s.CommitWindow, wait)
	}
}

func (l Limits) check(report func(key, format string, args ...any)) {
	if l.Future < 0 || l.Future > 24*time.Hour {
		report("limits.future", "%s: want 0s to 24h", l.Future)
	}
	if l.Oldest < time.Hour {
		report("limits.oldest", "%s: want 1h or more", l.Oldest)
	}
	if !(l.MaxWatts > 0 && l.MaxWatts <= 1e12) {
		report("limits.max_watts", "%g: want above 0, to 1e12", l.MaxWatts)
	}
	if !(l.MaxKWh > 0 && l.MaxKWh <= 1e9) {
		report("limits.max_kwh", "%g: want above 0, to 1e9", l.MaxKWh)
	}
	if l.Series < 1 || l.Series > 100_000 {
		report("limits.series", "%d: want 1 to 100000", l.Series)
	}
}

func (c *Config) checkPoints(report func(key, format string, args ...any)) {
	seen := make(map[string]bool)
	for i, p := range c.Points {
		key := fmt.Sprintf("points[%d]", i)
		if err := meter.CheckName("point", p.Name); err != nil {
			report(key+".name", "%v", err)
		}
		if seen[p.Name] {
			report(key+".name", "%q is there twice", p.Name)
		}
		seen[p.Name] = true
		if p.Resolution != 0 {
			checkResolution(report, key+".resolution", p.Resolution)
		}
		if !(p.MaxWatts >= 0 && p.MaxWatts <= 1e12) {
			report(key+".max_watts", "%g: want 0 (unknown) to 1e12", p.MaxWatts)
		}
		if !(p.Modulus >= 0 && p.Modulus <= 1e9) {
			report(key+".modulus", "%g kWh: want 0 (unknown) to 1e9", p.Modulus)
		}
		for j, r := range p.Registers {
			if _, err := meter.LookupRegister(r); err != nil {
				report(fmt.Sprintf("%s.registers[%d]", key, j), "%v", err)
			}
		}
	}
}
