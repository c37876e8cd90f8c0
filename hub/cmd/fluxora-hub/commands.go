package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/app"
)

type serveCmd struct{}

func (serveCmd) Run(i *invocation) error { return app.Run(i.ctx, i.o) }

type migrateCmd struct{}

func (migrateCmd) Run(i *invocation) error {
	return i.admin(func(*app.Admin) error {
		return i.print(map[string]string{"database": "up to date"}, func(w io.Writer) { fmt.Fprintln(w, "the database is up to date") })
	})
}

type tokenCreateCmd struct {
	Site       string        `required:"" help:"Name of the site; made when there is none."`
	Zone       string        `help:"Time zone of a new site, as Europe/Oslo."`
	Resolution time.Duration `help:"Length of intervals of a new site: 5m, 10m, 15m, 30m or 1h."`
	Valid      time.Duration `default:"24h" help:"How long the token is good."`
}

func (c tokenCreateCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		t, err := a.CreateToken(i.ctx, app.SiteSettings{Name: c.Site, Zone: c.Zone, Resolution: c.Resolution}, c.Valid)
		if err != nil {
			return err
		}
		if !i.json {
			fmt.Fprintf(os.Stderr, "good for one agent at site %s until %s:\n", t.Site, t.Expires.Format(time.RFC3339))
		}
		return i.print(t, func(w io.Writer) { fmt.Fprintln(w, t.Token) })
	})
}

type importCmd struct {
	File       string        `arg:"" type:"existingfile" help:"Columns meter_id, timestamp and kwh, wh or power_w."`
	Site       string        `required:"" help:"Name of the site; made when there is none."`
	Zone       string        `help:"Time zone of a new site, as Europe/Oslo."`
	Resolution time.Duration `help:"Length of intervals of a new site; that of the table without it."`
	Register   string        `default:"energy-import" help:"What the energies are of."`
}

func (c importCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		r, err := a.Import(i.ctx, c.File, app.SiteSettings{Name: c.Site, Zone: c.Zone, Resolution: c.Resolution}, c.Register, func(points, of, readings int) {
			if !i.json {
				fmt.Fprintf(os.Stderr, "%d of %d points, %d readings\n", points, of, readings)
			}
		})
		if err != nil {
			return err
		}
		return i.print(r, func(w io.Writer) {
			fmt.Fprintf(w, "%d points, %d readings of %s are in\n", r.Points, r.Readings, r.Resolution)
		})
	})
}

type tokenListCmd struct{}

func (tokenListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		ts, err := a.Tokens(i.ctx)
		if err != nil {
			return err
		}
		return i.print(ts, func(w io.Writer) {
			fmt.Fprintln(w, "TOKEN\tSITE\tEXPIRES\tUSED")
			for _, t := range ts {
				fmt.Fprintf(w, "%s\t%s\t%s\t%t\n", t.ID, t.Site, t.Expires.Format(time.RFC3339), t.Used)
			}
		})
	})
}

type tokenRevokeCmd struct {
	ID uuid.UUID `arg:"" help:"Id of the token, as in token list."`
}

func (c tokenRevokeCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if err := a.RevokeToken(i.ctx, c.ID); err != nil {
			return err
		}
		return i.print(map[string]any{"revoked": c.ID}, func(w io.Writer) { fmt.Fprintf(w, "token %s is useless now\n", c.ID) })
	})
}

type apiTokenRotateCmd struct{}

func (apiTokenRotateCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		token, err := a.RotateAPIToken(i.ctx)
		if err != nil {
			return err
		}
		if !i.json {
			fmt.Fprintln(os.Stderr, "the new token, shown only now; the one before is useless within seconds:")
		}
		return i.print(map[string]string{"token": token}, func(w io.Writer) { fmt.Fprintln(w, token) })
	})
}

type openAPICmd struct{}

func (openAPICmd) Run(i *invocation) error {
	_, err := i.stdout.Write(app.OpenAPI())
	return err
}

type versionCmd struct{}

func (versionCmd) Run(i *invocation) error {
	return i.print(map[string]string{"version": i.o.Version}, func(w io.Writer) { fmt.Fprintln(w, "fluxora-hub", i.o.Version) })
}
