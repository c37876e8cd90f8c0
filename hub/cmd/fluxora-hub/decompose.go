package main

import (
	"fmt"
	"io"
	"time"

	"fluxora.dev/hub/app"
	"fluxora.dev/shared/model"
)

type modelDecomposeCmd struct {
	Point    string        `arg:"" help:"The point, as site/point, or its id."`
	Model    string        `help:"Id or alias of a model version; the active one without it."`
	Register string        `default:"energy-import" help:"Name or OBIS code of the register."`
	Origin   string        `placeholder:"TIME" help:"Instant to forecast from, as 2024-05-01T06:00:00Z; the end of the history without it."`
	Horizon  time.Duration `default:"24h" help:"How far ahead."`
}

func (c modelDecomposeCmd) Run(i *invocation) error {
	var origin time.Time
	if c.Origin != "" {
		var err error
		if origin, err = parseInstant("--origin", c.Origin); err != nil {
			return err
		}
	}
	return i.admin(func(a *app.Admin) error {
		d, err := a.Decompose(i.ctx, app.DecompositionQuery{Point: c.Point, Register: c.Register, Model: c.Model, Origin: origin, Horizon: c.Horizon})
		if err != nil {
			return err
		}
		return i.print(d, func(w io.Writer) {
			fmt.Fprintf(w, "%s %s, Wh, model %s\nSTART\t", d.Name, d.Register, d.Model)
			for _, p := range model.AllParts() {
				fmt.Fprintf(w, "%s\t", p)
			}
			fmt.Fprintln(w, "sum\tshare %\t")
			for _, s := range d.Steps {
				fmt.Fprintf(w, "%s\t", s.Start.Format(time.RFC3339))
				for _, p := range model.AllParts() {
					fmt.Fprintf(w, "%.0f\t", s.Parts[p.String()])
				}
				fmt.Fprintf(w, "%.0f\t%.0f\t\n", s.Sum, 100*s.Share)
			}
		})
	})
}
