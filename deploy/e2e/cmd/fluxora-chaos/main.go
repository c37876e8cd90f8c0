// Command fluxora-chaos runs a seeded fault campaign against the real programs: see `make chaos`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"fluxora.dev/deploy/e2e/chaos"
)

type flags struct {
	Seed       uint64        `help:"Chooses the faults; printed, so that a run can be repeated. 0 chooses one."`
	Rounds     int           `help:"Rounds to run." default:"20"`
	Faults     int           `help:"Most faults a round." default:"4"`
	Load       time.Duration `help:"How long the meters publish in a round." default:"6s"`
	Only       []string      `help:"Kinds of faults to do, by part of their name." placeholder:"KIND"`
	Verbose    bool          `help:"Say of every round what happened in it." short:"v"`
	DropCaches bool          `help:"Also empty the page cache of the whole machine, which stalls all else on it for a while."`
	Dir        string        `help:"Directory of all data. By default a temporary one, which is kept only when a promise was broken."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("fluxora-chaos"), kong.Description("Does harm to every process, disk and network of a site and its hub, and proves that nothing is lost or doubled."))
	if err := run(f); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
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
	if f.Seed == 0 {
		f.Seed = chaos.Seed()
	}
	s, err := chaos.Run(ctx, chaos.Options{
		Seed: f.Seed, Rounds: f.Rounds, Faults: f.Faults, Load: f.Load, Only: f.Only, Dir: f.Dir, DropCaches: f.DropCaches, Verbose: f.Verbose, Bin: filepath.Dir(self), Out: os.Stdout,
	})
	fmt.Printf("%sseed %d: messages %d, duplicates at the hub %d, corrections %d, destroyed with files and named %d\n", s.Table(), f.Seed, s.Messages, s.Duplicates, s.Corrections, s.Named)
	fmt.Printf("highest: agent %d MB of memory and %d KB of disk, hub %d MB of memory; longest: round %s, settling %s, stop of the agent %s; all in all %s\n",
		s.AgentMemory>>20, s.AgentDisk>>10, s.HubMemory>>20, s.Longest.Round(time.Second), s.LongestSettling.Round(100*time.Millisecond),
		s.LongestStop.Round(10*time.Millisecond), s.Took.Round(time.Second))
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	fmt.Println(s)
	if err != nil {
		os.Exit(1)
	}
	return nil
}
