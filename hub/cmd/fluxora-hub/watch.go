package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"fluxora.dev/hub/app"
)

type watchCmd struct {
	Now        bool          `help:"Examine first, instead of showing what the last daily examination found."`
	Resolution time.Duration `help:"With --now, the resolution to examine; that of site.resolution without it."`
}

func (c watchCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		if c.Now {
			if err := a.Examine(i.ctx, resolutionOr(c.Resolution, i)); err != nil {
				return err
			}
		}
		es, err := a.Examinations(i.ctx)
		if err != nil {
			return err
		}
		return i.print(es, func(w io.Writer) {
			if len(es) == 0 {
				fmt.Fprintln(w, "nothing has been examined yet: that is done once a day, twelve hours after training.at, or with --now")
			}
			for _, e := range es {
				examination(w, e)
			}
		})
	})
}

// examination shows how the model does on all points and on each: by the hub's forecasts made again, and by what agents told.
func examination(w io.Writer, e app.Examination) {
	fmt.Fprintf(w, "%s, examined %s", e.Resolution, e.At.Format(time.RFC3339))
	if e.Model != nil {
		fmt.Fprintf(w, ", model %s", e.Model)
	}
	fmt.Fprintln(w)
	if e.Run != nil {
		fmt.Fprintf(w, "training %s was asked for: %s\n", e.Run, e.Reason)
	}
	fmt.Fprintln(w, "POINT\tREGISTER\tDAYS\tERROR WH\tBASELINE WH\tSKILL\tCOVERS\tAGENT: DAYS\tERROR WH\tSKILL\tDRIFTED\t")
	row := func(name, register string, hub, agent app.Live, drifted string) {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t\n", name, register, hub.Days, number(hub.Error, "%.0f", 1), number(hub.Baseline, "%.0f", 1),
			number(hub.Skill, "%.0f %%", 100), number(hub.Coverage, "%.0f %%", 100), agent.Days, number(agent.Error, "%.0f", 1), number(agent.Skill, "%.0f %%", 100), drifted)
	}
	all := ""
	if e.Drift.Drifted {
		all = e.Drift.Of
	}
	row("all", "", e.Live, e.Agents, all)
	for _, p := range e.Points {
		var drifted []string
		for _, d := range p.Drift {
			if d.Drifted {
				drifted = append(drifted, d.Of)
			}
		}
		row(cmp.Or(e.Names[p.Point], p.Point), p.Register, p.Live, p.Agent, strings.Join(drifted, ", "))
	}
}

// number shows a figure times a factor, and nothing when it is not known.
func number(v *float64, format string, times float64) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(format, times**v)
}
