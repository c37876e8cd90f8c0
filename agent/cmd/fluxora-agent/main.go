// Command fluxora-agent takes meter readings over MQTT on a site's gateway, keeps them safe, forecasts, and syncs to the hub.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // gateways lack zoneinfo

	"github.com/alecthomas/kong"

	"fluxora.dev/agent/app"
)

// memoryLimit is the heap above which the collector works harder, so that a burst of large messages does not stay for long
// in the memory of a small gateway. GOMEMLIMIT sets another.
const memoryLimit = 30 << 20

// version is set by the linker.
var version = "dev"

type flags struct {
	Config string            `help:"Settings, a YAML file; else the variable FLUXORA_AGENT_CONFIG names it. Environment variables FLUXORA_AGENT_… and --set win over it." type:"path" placeholder:"FILE"`
	Set    map[string]string `help:"One setting, as --set mqtt.url=tcp://broker:1883; may be repeated." mapsep:"none"`

	CheckConfig bool `help:"Check the settings, name everything that is wrong with its place, and exit."`

	Run     struct{} `cmd:"" default:"1" help:"Run the agent (the default)."`
	Enroll  enroll   `cmd:"" help:"Give this agent its identity at a hub, with a one-time token from 'fluxora-hub token create'."`
	Version struct{} `cmd:"" help:"Print the version."`

	Ledger     ledger       `cmd:"" help:"What became of every reading, by point, register and day."`
	Quarantine quarantine   `cmd:"" help:"Look into what the running agent did not take, and decide on it."`
	Store      storeCommand `cmd:"" help:"Look into the files that keep the readings, or prepare them for an older agent."`
}

type enroll struct {
	Hub       string `help:"The hub's uplink address, host:port; default hub.address of the settings." placeholder:"HOST:PORT"`
	Token     string `help:"The token. Others on this machine may see it; --token-file or standard input (-) hide it." xor:"token" placeholder:"TOKEN"`
	TokenFile string `help:"A file that holds the token; - or nothing for standard input." xor:"token" placeholder:"FILE"`
}

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run carries out one command and returns its exit code: 0 done, 1 not done, 2 a mistake on the command line or in the settings.
func run(args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var f flags
	exited := -1
	parser, err := kong.New(&f, kong.Name("fluxora-agent"), kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.Description("Takes meter readings over MQTT, keeps them safe, forecasts, and syncs to the Fluxora hub."))
	if err != nil {
		fmt.Fprintln(stderr, "fluxora-agent:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // help was asked for
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "fluxora-agent: %v; `fluxora-agent --help` shows commands and flags\n", err)
		return 2
	}
	if parsed.Command() == "version" {
		fmt.Fprintln(stdout, "fluxora-agent", version)
		return 0
	}
	if f.Config == "" {
		f.Config = valueOf(env, "FLUXORA_AGENT_CONFIG")
	}
	c, err := app.LoadConfig(f.Config, env, f.Set)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if f.CheckConfig {
		fmt.Fprintln(stdout, "settings are in order")
		return 0
	}
	log := app.NewLogger(c, stderr)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if command, ok := strings.CutPrefix(parsed.Command(), "quarantine "); ok {
		err = f.Quarantine.run(ctx, command, c, stdout)
	} else if command, ok := strings.CutPrefix(parsed.Command(), "store "); ok {
		err = f.Store.run(command, c, stdout)
	} else if parsed.Command() == "ledger" {
		err = f.Ledger.run(ctx, c, stdout)
	} else if parsed.Command() == "enroll" {
		err = f.Enroll.run(ctx, c, stdin, stdout)
	} else {
		// A second signal ends the program at once: readings are safe, the broker keeps what is not acked.
		context.AfterFunc(ctx, stop)
		err = app.Run(ctx, app.Options{Config: c, Log: log, Version: version})
	}
	if err != nil {
		fmt.Fprintln(stderr, "fluxora-agent:", err)
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

func (e enroll) run(ctx context.Context, c app.Config, stdin io.Reader, stdout io.Writer) error {
	hub := e.Hub
	if hub == "" {
		hub = c.Hub.Address
	}
	if hub == "" {
		return errors.New("enroll: no hub: give --hub HOST:PORT or set hub.address")
	}
	token := e.Token
	if token == "" {
		b, err := readToken(e.TokenFile, stdin)
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
	fmt.Fprintf(stdout, "enrolled as agent %s of site %s at %s\n", id.Agent, id.Site, hub)
	return nil
}

func readToken(path string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if path != "-" && path != "" {
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
