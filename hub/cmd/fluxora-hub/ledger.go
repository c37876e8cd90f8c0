package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"fluxora.dev/hub/app"
	"fluxora.dev/shared/meter"
)

type ledgerCmd struct {
	Site  string `required:"" help:"Name of the site."`
	Point string `help:"Only this point."`
	From  string `placeholder:"DAY" help:"First day, UTC, as 2026-01-31."`
	To    string `placeholder:"DAY" help:"The day behind the last."`
}

func (c ledgerCmd) Run(i *invocation) error {
	from, err := day("from", c.From)
	if err != nil {
		return err
	}
	to, err := day("to", c.To)
	if err != nil {
		return err
	}
	return i.admin(func(a *app.Admin) error {
		rows, totals, err := a.Accounts(i.ctx, c.Site, c.Point, from, to)
		if err != nil {
			return err
		}
		return i.print(map[string]any{"totals": totals, "accounts": rows}, func(w io.Writer) {
			fmt.Fprintln(w, "DAY\tPOINT\tREGISTER\tRECEIVED\tDUPLICATES\tCORRECTIONS\tRESTORED\tLOST\tSURPLUS\tAGENT DELIVERED\tQUARANTINED\tEVICTED\tTHINNED\tPENDING\tUNBALANCED")
			line := func(day, point, register string, n app.Account) {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", day, point, register, n.Received, n.Duplicates, n.Corrections,
					n.Restored, n.Lost, n.Surplus, n.Claimed.Delivered, n.Claimed.Quarantined, n.Claimed.Evicted, n.Claimed.Thinned, n.Claimed.Pending, n.Unbalanced)
			}
			for _, r := range rows {
				line(r.Day.Format(time.DateOnly), orDash(r.Point), orDash(r.Register), r)
			}
			line("sum", "-", "-", app.Account{LedgerCounts: totals.LedgerCounts})
		})
	})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func day(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("--%s %s: want a day as 2026-01-31", name, s)
	}
	return t, nil
}

// instant reads an instant, or a day, which begins at midnight UTC.
func instant(name, s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("--%s %s: want a time as 2026-01-31T13:00:00Z, or a day as 2026-01-31", name, s)
	}
	return t, nil
}

type completenessCmd struct {
	Site string `required:"" help:"Name of the site."`
	From string `required:"" placeholder:"TIME" help:"RFC 3339, or a day."`
	To   string `required:"" placeholder:"TIME" help:"RFC 3339, or a day; exclusive."`
}

func (c completenessCmd) Run(i *invocation) error {
	from, err := instant("from", c.From)
	if err != nil {
		return err
	}
	to, err := instant("to", c.To)
	if err != nil {
		return err
	}
	return i.admin(func(a *app.Admin) error {
		g, err := a.Completeness(i.ctx, c.Site, from, to)
		if err != nil {
			return err
		}
		return i.print(g, func(w io.Writer) {
			fmt.Fprintln(w, "AGENT\tNEXT\tMISSING SEQUENCES")
			for _, x := range g.Agents {
				fmt.Fprintf(w, "%s\t%d\t%v\n", x.Agent, x.Next, x.Missing)
			}
			fmt.Fprintln(w, "\nPOINT\tREGISTER\tMISSING FROM\tTO")
			for _, p := range g.Points {
				for _, m := range p.Missing {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Point, p.Register, m.From.Format(time.RFC3339), m.To.Format(time.RFC3339))
				}
			}
		})
	})
}

type resyncCmd struct {
	Point    string `required:"" placeholder:"SITE/POINT" help:"The point."`
	Register string `help:"Only this register."`
	From     string `required:"" placeholder:"TIME" help:"RFC 3339, or a day."`
	To       string `required:"" placeholder:"TIME" help:"RFC 3339, or a day; exclusive."`
}

func (c resyncCmd) Run(i *invocation) error {
	site, point, ok := strings.Cut(c.Point, "/")
	if !ok {
		return fmt.Errorf("--point %s: want SITE/POINT", c.Point)
	}
	from, err := instant("from", c.From)
	if err != nil {
		return err
	}
	to, err := instant("to", c.To)
	if err != nil {
		return err
	}
	register := meter.Register("")
	if c.Register != "" {
		info, err := meter.LookupRegister(c.Register)
		if err != nil {
			return err
		}
		register = info.Name
	}
	return i.admin(func(a *app.Admin) error {
		last := ""
		rs, err := a.Resync(i.ctx, site, point, register, from, to, func(rs []app.Resend) {
			text := ""
			for _, r := range rs {
				text += fmt.Sprintf("agent %s: up to %s, %d readings, %d of them were missing or different\n", r.Agent, r.Next, r.Readings, r.Restored)
			}
			if !i.json && text != last {
				fmt.Fprint(os.Stderr, text)
			}
			last = text
		})
		if err != nil {
			return err
		}
		return i.print(rs, func(w io.Writer) {
			for _, r := range rs {
				fmt.Fprintf(w, "agent %s sent %d readings again; %d were missing or different\n", r.Agent, r.Readings, r.Restored)
			}
		})
	})
}
