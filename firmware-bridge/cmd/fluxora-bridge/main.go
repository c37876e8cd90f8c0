// Command fluxora-bridge publishes the readings of meters over MQTT. Its first driver replays recordings.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"fluxora.dev/firmware-bridge/app"
	"fluxora.dev/shared/settings"
)

// version is set when a release is linked.
var version = "dev"

// flags are the settings most often given by hand; each wins over the environment and the file. Those that have a key tag
// are settings of that key.
type flags struct {
	Config      string           `help:"YAML file with settings; else the variable FLUXORA_BRIDGE_CONFIG names it." placeholder:"FILE"`
	CheckConfig bool             `help:"Check settings and recording, and exit."`
	List        bool             `help:"Print the meters that would be played, and exit."`
	Version     kong.VersionFlag `help:"Print the version."`

	Site         *string `help:"Name of the site." key:"site"`
	DataDir      *string `help:"Folder that keeps the progress over restarts." key:"data_dir" placeholder:"DIR"`
	Broker       *string `help:"MQTT broker (default tcp://127.0.0.1:1883)." key:"mqtt.url" placeholder:"URL"`
	Username     *string `help:"User at the broker." key:"mqtt.username"`
	PasswordFile *string `help:"File that holds the password." key:"mqtt.password_file" placeholder:"FILE"`
	CAFile       *string `name:"ca-file" help:"PEM of the broker's authority." key:"mqtt.ca_file" placeholder:"FILE"`
	WaitForAgent *string `help:"Send only while the agent is online: true or false." key:"mqtt.wait_for_agent" placeholder:"BOOL"`
	File         *string `help:"Recording, CSV or CSV.gz with meter_id, timestamp, kwh. Without one: synthetic profiles." key:"replay.file"`
	Meters       *string `help:"Meters to play, separated by commas." key:"replay.meters" placeholder:"A,B"`
	Category     *string `help:"Categories to play, separated by commas." key:"replay.categories" placeholder:"A,B"`
	Offset       *string `help:"Leave out the first so many meters." key:"replay.offset" placeholder:"N"`
	Count        *string `help:"Play at most so many meters." key:"replay.count" placeholder:"N"`
	Profile      *string `help:"Synthetic buildings: bakery, home, home-pv, office, school." key:"replay.profiles" placeholder:"A,B"`
	Seed         *string `help:"Seed of synthetic buildings." key:"replay.seed" placeholder:"N"`
	Backfill     *string `help:"Days of history to publish first (default 30)." key:"replay.backfill" placeholder:"DAYS"`
	Every        *string `help:"Time between live readings (default 5s)." key:"replay.every" placeholder:"DURATION"`
	Register     *string `help:"What the recording is (default energy-import)." key:"replay.register"`
	Resolution   *string `help:"Step of the recording; found by itself." key:"replay.resolution" placeholder:"DURATION"`
	Listen       *string `help:"Address of /healthz and /metrics." key:"http.listen" placeholder:"HOST:PORT"`
	LogLevel     *string `help:"debug, info, warn or error." key:"log.level"`
}

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run carries out the command line and returns the exit code: 0 done, 1 not done, 2 a mistake on the command line or in the
// settings.
func run(args, env []string, stdout, stderr io.Writer) int {
	var f flags
	exited := -1
	parser, err := kong.New(&f, kong.Name("fluxora-bridge"), kong.Description("Publishes the readings of meters over MQTT."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }), kong.Vars{"version": "fluxora-bridge " + version})
	if err != nil {
		fmt.Fprintln(stderr, "fluxora-bridge:", err)
		return 1
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // help or the version was asked for
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "fluxora-bridge: %v; `fluxora-bridge --help` shows the flags\n", err)
		return 2
	}
	if f.Config == "" {
		f.Config = valueOf(env, app.EnvConfig)
	}
	set, names := given(k)
	if f.List && set["site"] == "" {
		set["site"] = "list" // a list needs no site
	}
	config, err := app.LoadConfig(settings.Source{Path: f.Config, Env: env, Flags: set, Names: names})
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if f.List || f.CheckConfig {
		var lines []string
		if lines, err = app.List(config); err == nil && f.List {
			fmt.Fprintln(stdout, strings.Join(lines, "\n"))
		} else if err == nil {
			fmt.Fprintf(stdout, "The settings are right; %d registers would be played.\n", len(lines))
		}
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = app.Run(ctx, app.Options{Config: config, Version: version, Log: logger(config.Log, stderr)})
	}
	if err != nil {
		fmt.Fprintln(stderr, "fluxora-bridge:", err)
		return 1
	}
	return 0
}

// valueOf returns the variable's value in env, empty when it is not set.
func valueOf(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// given returns the settings that stand on the command line, and the names of their flags, by key.
func given(k *kong.Context) (set, names map[string]string) {
	set, names = map[string]string{}, map[string]string{}
	for _, f := range k.Flags() {
		if v, ok := f.Target.Interface().(*string); ok && v != nil && f.Tag.Get("key") != "" {
			set[f.Tag.Get("key")], names[f.Tag.Get("key")] = *v, "--"+f.Name
		}
	}
	return set, names
}

func logger(c app.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
