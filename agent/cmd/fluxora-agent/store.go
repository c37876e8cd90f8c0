package main

import (
	"io"

	"fluxora.dev/agent/app"
)

type storeCommand struct {
	Check     storeCheck     `cmd:"" help:"Read all files of the store and say what is in them, what is damaged and what can be read all the same. Changes nothing; the agent may be running."`
	Downgrade storeDowngrade `cmd:"" help:"Make the store readable by an older agent, which is to be installed then. The agent must be stopped."`
}

type storeCheck struct {
	JSON bool `help:"As JSON." name:"json"`
}

type storeDowngrade struct {
	To uint64 `help:"The format that the older agent knows; default the one before this agent's." placeholder:"FORMAT"`
}

// run carries out one of the commands, by name.
func (s storeCommand) run(command string, c app.Config, out io.Writer) error {
	if command == "downgrade" {
		return app.DowngradeStore(c, s.Downgrade.To, out)
	}
	return app.CheckStore(c, out, s.Check.JSON)
}
