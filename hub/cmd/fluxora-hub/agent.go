package main

import (
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/app"
)

type agentListCmd struct{}

func (agentListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		agents, err := a.Agents(i.ctx)
		if err != nil {
			return err
		}
		return i.print(agents, func(w io.Writer) {
			fmt.Fprintln(w, "AGENT\tSITE\tVERSION\tSEEN\tBACKLOG\tNOTE")
			for _, g := range agents {
				seen := "never"
				if g.Seen != nil {
					seen = g.Seen.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", g.ID, g.Site, g.Version, seen, g.Backlog, note(g))
			}
		})
	})
}

// note says what is out of the ordinary about an agent.
func note(g app.Agent) string {
	switch {
	case g.Revoked != nil:
		return "revoked"
	case g.Readmit:
		return "the next copy is let in"
	case g.Doubled != nil:
		return fmt.Sprintf("a copy of it was refused %d times, last at %s from %s", g.Doubled.Refused, g.Doubled.Last.Format(time.RFC3339), g.Doubled.From)
	}
	return ""
}

type agentRevokeCmd struct {
	ID uuid.UUID `arg:"" help:"Id of the agent."`
}

func (c agentRevokeCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if err := a.RevokeAgent(i.ctx, c.ID); err != nil {
			return err
		}
		return i.print(map[string]any{"revoked": c.ID}, func(w io.Writer) { fmt.Fprintf(w, "agent %s is shut out\n", c.ID) })
	})
}

type agentReadmitCmd struct {
	ID uuid.UUID `arg:"" help:"Id of the agent, as in agent list."`
}

func (c agentReadmitCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if err := a.ReadmitAgent(i.ctx, c.ID); err != nil {
			return err
		}
		return i.print(map[string]any{"readmitted": c.ID}, func(w io.Writer) {
			fmt.Fprintf(w, "the next agent %s that is refused as a copy is let in, within a minute or so of its next attempt; it sends all that it holds again.\n"+
				"The one that is in force now is refused from then on: stop it.\n", c.ID)
		})
	})
}
