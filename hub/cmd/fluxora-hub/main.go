// Command fluxora-hub is the centre of Fluxora: it takes in what agents send, trains models and serves what is known.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // containers and gateways lack zoneinfo

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"

	"fluxora.dev/hub/app"
)

// version is set by the linker for releases.
var version = ""

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// errUsage marks a mistake on the command line or in the settings.
var errUsage = errors.New("usage")

// run carries out one command and returns its exit code: 0 done, 1 not done, 2 a mistake on the command line or in the settings.
func run(args, env []string, stdout, stderr io.Writer) int {
	err := command(args, env, stdout, stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, strings.TrimSuffix(err.Error(), "\n"+errUsage.Error()))
		return 2
	default:
		fmt.Fprintln(stderr, "fluxora-hub:", err)
		return 1
	}
}

func command(args, env []string, stdout, stderr io.Writer) error {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("fluxora-hub"), kong.Description("The hub of Fluxora: readings in, models and forecasts out."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }), kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // help was asked for
		return nil
	}
	if err != nil {
		return errors.Join(fmt.Errorf("fluxora-hub: %w; `fluxora-hub --help` shows the commands", err), errUsage)
	}

	path, err := c.path(env)
	if err != nil {
		return err
	}
	settings, err := app.LoadConfig(path, env, c.flags())
	if err != nil {
		return errors.Join(err, errUsage)
	}
	if c.CheckConfig {
		fmt.Fprintln(stdout, "settings are sound")
		return nil
	}
	log, err := logger(settings, stderr)
	if err != nil {
		return err
	}
	if _, err := memlimit.Set(memlimit.WithLogger(slog.New(slog.DiscardHandler))); err != nil {
		log.Debug("no memory limit to keep to", "error", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // a second signal ends the process at once
		<-ctx.Done()
		stop()
	}()
	err = parsed.Run(&invocation{
		ctx: ctx, stdout: stdout, json: c.JSON,
		o: app.Options{Config: settings, Version: currentVersion(), Log: log, Out: stdout},
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

func logger(c app.Config, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}

func currentVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "dev-" + s.Value[:12]
			}
		}
	}
	return "dev"
}
