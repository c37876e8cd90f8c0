package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/shared/settings"
)

// FuzzSettings loads any file of settings: it is right or every mistake is named, and what is right stays right when it is checked
// again.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("site: home\n"))
	f.Add([]byte("site: home\nmqtt:\n  url: ssl://broker:8883\n  mappings:\n    - {preset: tasmota}\n    - {topic: 'a/{point}/#', register: 1.8.0, path: 'x[0].y', timestamp: t}\n"))
	f.Add([]byte("site: home\npoints:\n  - {name: main, resolution: 15m, max_watts: 2e4, modulus: 99999.999, registers: [1.8.0]}\nstore: {max_bytes: 48MiB, commit_window: 1s, flash_budget: 1GB}\n"))
	f.Add([]byte("site: home\nzone: Europe/Oslo\nforecast: {levels: [0.1, 0.5, 0.9], horizon: 48h}\nhttp: {listen: '127.0.0.1:0'}\n"))
	f.Add([]byte("&a [*a]"))
	path := filepath.Join(f.TempDir(), "agent.yaml")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c := config.Default()
		if settings.Load(settings.Source{Path: path, Prefix: config.Prefix}, &c) != nil {
			return
		}
		c.Check(func(key, format string, args ...any) {
			t.Errorf("%s was right when it was loaded, and then: "+format, append([]any{key}, args...)...)
		})
		c.PointOf("main")
	})
}
