// Command fluxora-bridge publishes the readings of meters over MQTT. Its first driver replays recordings.
package main

import (
	"context"
	"errors"
	"fmt"
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
	Config      string           `help:"YAML file with settings." env:"FLUXORA_BRIDGE_CONFIG" placeholder:"FILE"`
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
	var f flags
	k := kong.Parse(&f, kong.Name("fluxora-bridge"), kong.Description("Publishes the readings of meters over MQTT."),
		kong.Vars{"version": version})
	set, names := given(k)
	if f.List && set["site"] == "" {
		set["site"] = "list" // a list needs no site
	}
	config, err := app.LoadConfig(settings.Source{Path: f.Config, Env: os.Environ(), Flags: set})
	var wrong settings.Problems
	if errors.As(err, &wrong) { // settings names flags after their keys
		for i, p := range wrong {
			if name, ok := names[p.Key]; ok {
				wrong[i].Place = "flag --" + name
			}
		}
	}
	if err == nil && (f.List || f.CheckConfig) {
		var lines []string
		if lines, err = app.List(config); err == nil && f.List {
			fmt.Println(strings.Join(lines, "\n"))
		} else if err == nil {
			fmt.Printf("The settings are right; %d registers would be played.\n", len(lines))
		}
	} else if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = app.Run(ctx, app.Options{Config: config, Version: version, Log: logger(config.Log)})
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "fluxora-bridge: %v\n", err)
		os.Exit(1)
	}
}

// given returns the settings that stand on the command line, and the names of their flags, by key.
func given(k *kong.Context) (set, names map[string]string) {
	set, names = map[string]string{}, map[string]string{}
	for _, f := range k.Flags() {
		if v, ok := f.Target.Interface().(*string); ok && v != nil && f.Tag.Get("key") != "" {
			set[f.Tag.Get("key")], names[f.Tag.Get("key")] = *v, f.Name
		}
	}
	return set, names
}

func logger(c app.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}
