package app

import (
	"io"
	"log/slog"
	"time"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/config"
	"fluxora.dev/hub/internal/registry"
)

// Config is every setting of the hub.
type Config = config.Config

// DefaultConfig returns the settings that hold when nothing is said.
func DefaultConfig() Config { return config.Default() }

// LoadConfig returns the defaults changed by the file at path (none when empty), the environment and flags, in that order. The
// error names every wrong key and value with its place.
func LoadConfig(path string, env []string, flags map[string]string) (Config, error) {
	return config.Load(path, env, flags)
}

// EnvConfig names the environment variable that names the settings file.
const EnvConfig = config.EnvConfig

// Options is what a hub is built from.
type Options struct {
	Config  Config
	Version string           // of the software
	Log     *slog.Logger     // nil: nothing is logged
	Now     func() time.Time // nil: time.Now
	Out     io.Writer        // where the first API token is printed, once; nil: nowhere
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	return o
}

// Score is how one contender did in a backtest.
type Score = registry.Score

// apiVersion is the version of the REST interface, which the document names so that it does not change with each build.
const apiVersion = "1"

// OpenAPI returns the OpenAPI document of the REST interface.
func OpenAPI() []byte { return api.OpenAPI(apiVersion) }
