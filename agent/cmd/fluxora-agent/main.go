// Command fluxora-agent takes meter readings over MQTT on a site's gateway, keeps them safe, forecasts, and syncs to the hub.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // gateways lack zoneinfo

	"github.com/alecthomas/kong"

	"fluxora.dev/agent/app"
)

// version is set by the linker.
var version = "dev"

type flags struct {
	Config string            `help:"Settings, a YAML file. Environment variables FLUXORA_AGENT_… and --set win over it." type:"path" env:"FLUXORA_AGENT_CONFIG" placeholder:"FILE"`
	Set    map[string]string `help:"One setting, as --set mqtt.url=tcp://broker:1883; may be repeated." mapsep:"none"`

	CheckConfig bool `help:"Check the settings, name everything that is wrong with its place, and exit."`

	Run     struct{} `cmd:"" default:"1" help:"Run the agent (the default)."`
	Enroll  enroll   `cmd:"" help:"Give this agent its identity at a hub, with a one-time token from 'fluxora-hub token create'."`
	Version struct{} `cmd:"" help:"Print the version."`
}

type enroll struct {
	Hub       string `help:"The hub's uplink address, host:port; default hub.address of the settings." placeholder:"HOST:PORT"`
	Token     string `help:"The token. Others on this machine may see it; --token-file or standard input (-) hide it." xor:"token" placeholder:"TOKEN"`
	TokenFile string `help:"A file that holds the token; - for standard input." xor:"token" default:"-"`
}

func main() {
	var f flags
	k := kong.Parse(&f, kong.Name("fluxora-agent"), kong.UsageOnError(),
		kong.Description("Takes meter readings over MQTT, keeps them safe, forecasts, and syncs to the Fluxora hub."))
	if err := run(k.Command(), f); err != nil {
		fmt.Fprintln(os.Stderr, "fluxora-agent:", err)
		os.Exit(1)
	}
}

func run(command string, f flags) error {
	if command == "version" {
		fmt.Println(version)
		return nil
	}
	c, err := app.LoadConfig(f.Config, os.Environ(), f.Set)
	if err != nil {
		return fmt.Errorf("settings:\n%w", err)
	}
	if f.CheckConfig {
		fmt.Println("settings are in order")
		return nil
	}
	log := app.NewLogger(c, os.Stderr)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if command == "enroll" {
		return f.Enroll.run(ctx, c, log)
	}
	// A second signal ends the program at once: readings are safe, the broker keeps what is not acked.
	context.AfterFunc(ctx, stop)
	return app.Run(ctx, app.Options{Config: c, Log: log, Version: version})
}

func (e enroll) run(ctx context.Context, c app.Config, log *slog.Logger) error {
	hub := e.Hub
	if hub == "" {
		hub = c.Hub.Address
	}
	if hub == "" {
		return errors.New("enroll: no hub: give --hub HOST:PORT or set hub.address")
	}
	token := e.Token
	if token == "" {
		b, err := readToken(e.TokenFile)
		if err != nil {
			return err
		}
		token = strings.TrimSpace(string(b))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	id, err := app.Enrol(ctx, c, hub, token, version)
	if err != nil {
		return err
	}
	fmt.Printf("enrolled as agent %s of site %s at %s\n", id.Agent, id.Site, hub)
	log.Debug("enrolled", "agent", id.Agent, "site", id.Site)
	return nil
}

func readToken(path string) ([]byte, error) {
	var in io.Reader = os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("enroll: read token: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 16<<10))
	if err != nil {
		return nil, fmt.Errorf("enroll: read token: %w", err)
	}
	return b, nil
}
