package app

import (
	"io"
	"log/slog"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/shared/settings"
)

// Config is every setting of an agent.
type Config = config.Config

// LoadConfig returns the defaults changed by the file at path (none when empty), the environment and flags. The error is
// settings.Problems, which names every wrong key and value with its place.
func LoadConfig(path string, env []string, flags map[string]string) (Config, error) {
	c := config.Default()
	err := settings.Load(settings.Source{
		Path: path, Env: env, Known: []string{config.Prefix + "CONFIG"}, Flags: flags, Prefix: config.Prefix,
	}, &c)
	return c, err
}

// NewLogger returns the logger that the settings ask for.
func NewLogger(c Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // checked when the settings were loaded
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
