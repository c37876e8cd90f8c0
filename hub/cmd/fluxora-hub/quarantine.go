package main

import (
	"cmp"
	"fmt"
	"io"
	"os/user"
	"time"

	"fluxora.dev/hub/app"
)

type quarantineListCmd struct {
	Site  string `help:"Only this site's."`
	After string `help:"Only those after this one." placeholder:"ID"`
	Limit int    `default:"100" help:"At most so many."`
}

func (c quarantineListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		qs, err := a.Quarantined(i.ctx, c.Site, c.After, c.Limit)
		if err != nil {
			return err
		}
		return i.print(qs, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tSITE\tPOINT\tRECEIVED\tREASON\tSETTLED\tDETAIL")
			for _, q := range qs {
				settled := "-"
				if q.Settled != nil {
					settled = q.Settled.How + " by " + q.Settled.By
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.80s\n", q.ID, q.Site, cmp.Or(q.Point, "-"), q.Received.Format(time.RFC3339), q.Reason, settled, q.Detail)
			}
		})
	})
}

type settling struct {
	ID  string `arg:"" help:"Which, as the list shows it."`
	By  string `placeholder:"NAME" help:"Who decides; default the user's name."`
	Why string `required:"" placeholder:"TEXT" help:"Why, for the record."`
}

func (s settling) of() app.Settling {
	by := s.By
	if u, err := user.Current(); by == "" && err == nil {
		by = u.Username
	}
	return app.Settling{ID: s.ID, By: by, Why: s.Why}
}

type quarantineReleaseCmd struct {
	settling
	As           string    `placeholder:"POINT/REGISTER" help:"The point, or point/register, that it is of."`
	At           time.Time `placeholder:"TIME" format:"2006-01-02T15:04:05Z07:00" help:"The instant of its first reading, RFC 3339; the others keep their distances."`
	AcceptAbsurd bool      `help:"Take values that no meter shows."`
}

func (c quarantineReleaseCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		s := c.of()
		s.As, s.At, s.AcceptAbsurd = c.As, c.At, c.AcceptAbsurd
		n, err := a.Release(i.ctx, s)
		if err != nil {
			return err
		}
		return i.print(map[string]any{"released": c.ID, "readings": n}, func(w io.Writer) {
			fmt.Fprintf(w, "%s is released: %d readings, intervals made anew\n", c.ID, n)
		})
	})
}

type quarantineDropCmd struct{ settling }

func (c quarantineDropCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if err := a.Drop(i.ctx, c.of()); err != nil {
			return err
		}
		return i.print(map[string]any{"dropped": c.ID}, func(w io.Writer) { fmt.Fprintf(w, "%s is dropped, and stays on record\n", c.ID) })
	})
}
