// Command fluxora-demo runs Fluxora's whole path on one machine: see `make demo`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"fluxora.dev/deploy/e2e/demo"
)

type flags struct {
	Dir        string `help:"Directory of the demo's data; a later run goes on from it. With --check, a temporary one."`
	Data       string `help:"Readings to replay: a CSV or CSV.gz with meter_id, timestamp, kwh. By default ../shared/data/readings.csv.gz where it is, else synthetic sites." placeholder:"FILE"`
	Synthetic  bool   `help:"Replay synthetic sites even where recorded data is at hand."`
	Backfill   int    `help:"Days of history to replay at once." default:"365"`
	BrokerPort int    `help:"Port of the MQTT broker." default:"11883"`
	HubPort    int    `help:"Port of the hub's REST interface." default:"18420"`
	UplinkPort int    `help:"Port of the hub's uplink." default:"18421"`
	AgentPort  int    `help:"Port of the first agent's HTTP interface; the others follow." default:"18600"`
	Check      bool   `help:"Prove the promises on free ports and end."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("fluxora-demo"), kong.Description("Runs broker, hub and three sites with real meters' readings on this machine."))
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(f flags) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the programs: %w", err)
	}
	o := demo.Options{
		Dir: f.Dir, Bin: filepath.Dir(self), Data: f.Data, Backfill: f.Backfill,
		BrokerPort: f.BrokerPort, HubPort: f.HubPort, UplinkPort: f.UplinkPort, AgentPort: f.AgentPort,
		Check: f.Check, Out: os.Stdout,
	}
	if o.Data == "" && !f.Synthetic {
		o.Data = recorded()
	}
	if o.Data != "" {
		if _, err := os.Stat(o.Data); err != nil {
			return fmt.Errorf("data to replay: %w", err)
		}
	}
	if f.Check {
		o.BrokerPort, o.HubPort, o.UplinkPort, o.AgentPort = 0, 0, 0, 0
	} else {
		if o.Dir == "" {
			o.Dir = ".demo"
		}
		o.In = os.Stdin
		info, err := os.Stdout.Stat()
		o.Tty = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	err = demo.Run(ctx, o)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// recorded returns the recorded readings that lie beside a checkout, or nothing.
func recorded() string {
	const path = "../shared/data/readings.csv.gz"
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
