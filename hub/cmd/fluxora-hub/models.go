package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/app"
)

type modelListCmd struct {
	Limit int `default:"20" help:"How many at most."`
}

func (c modelListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		models, err := a.Models(i.ctx, c.Limit)
		if err != nil {
			return err
		}
		return i.print(models, func(w io.Writer) {
			fmt.Fprintln(w, "MODEL\tFAMILY\tSTATE\tCREATED\tMASE\tBYTES\tALIASES")
			for _, m := range models {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", m.ID, m.Family, m.State, m.Created.Format(time.RFC3339), firstMASE(m.Scores), m.Size, strings.Join(m.Aliases, " "))
			}
		})
	})
}

type modelShowCmd struct {
	Model string `arg:"" help:"Id or alias."`
}

func (c modelShowCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		m, err := a.Model(i.ctx, c.Model)
		if err != nil {
			return err
		}
		return i.print(m, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s, %s %s\n", m.ID, m.Family, m.State, strings.Join(m.Aliases, " "))
			if m.Run != uuid.Nil {
				fmt.Fprintf(w, "made by training %s\n", m.Run)
			}
			if m.Parent != uuid.Nil {
				fmt.Fprintf(w, "measured against %s, active then\n", m.Parent)
			}
			scores(w, m.Scores)
			for _, c := range m.Changes {
				fmt.Fprintf(w, "%s\t%s\t%s\n", c.At.UTC().Format(time.RFC3339), c.State, c.Reason)
			}
			for _, u := range m.Uses {
				to := "now"
				if u.To != nil {
					to = u.To.UTC().Format(time.RFC3339)
				}
				fmt.Fprintf(w, "agent %s at %s\t%s\t%s to %s %s\n", u.Agent, u.Site, u.State, u.From.UTC().Format(time.RFC3339), to, u.Detail)
			}
		})
	})
}

type modelExportCmd struct {
	Model string `arg:"" help:"Id or alias."`
	Out   string `required:"" placeholder:"FILE" help:"File that is written."`
}

func (c modelExportCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		m, err := a.Model(i.ctx, c.Model)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.Out, m.Artifact, 0o644); err != nil {
			return err
		}
		return i.print(map[string]any{"file": c.Out, "bytes": m.Size}, func(w io.Writer) { fmt.Fprintf(w, "%d bytes in %s\n", m.Size, c.Out) })
	})
}

type promoteCmd struct {
	Model  string `arg:"" help:"Id or alias."`
	Reason string `default:"promoted by hand" help:"Kept with the model."`
}

func (c promoteCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		id, err := a.Promote(i.ctx, c.Model, c.Reason)
		if err != nil {
			return err
		}
		return i.print(map[string]uuid.UUID{"active": id}, func(w io.Writer) { fmt.Fprintf(w, "model %s is active\n", id) })
	})
}

type modelAliasCmd struct {
	Alias string `arg:"" help:"The name, as winter."`
	Model string `arg:"" help:"Id or another alias."`
}

func (c modelAliasCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		id, err := a.Alias(i.ctx, c.Alias, c.Model)
		if err != nil {
			return err
		}
		return i.print(map[string]uuid.UUID{c.Alias: id}, func(w io.Writer) { fmt.Fprintf(w, "%s is model %s\n", c.Alias, id) })
	})
}

type modelUnaliasCmd struct {
	Alias string `arg:"" help:"The name."`
}

func (c modelUnaliasCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if err := a.Unalias(i.ctx, c.Alias); err != nil {
			return err
		}
		return i.print(map[string]string{"taken_away": c.Alias}, func(w io.Writer) { fmt.Fprintf(w, "nothing is called %s now\n", c.Alias) })
	})
}
