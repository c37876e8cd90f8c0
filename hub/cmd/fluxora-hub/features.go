package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"fluxora.dev/hub/app"
)

type featuresDescribeCmd struct {
	Spec string `arg:"" optional:"" help:"default, a name, name@version, or a file as ./spec.txt."`
}

func (c featuresDescribeCmd) Run(i *invocation) error {
	show := func(f app.Features, err error) error {
		if err != nil {
			return err
		}
		return i.print(f, func(w io.Writer) {
			fmt.Fprintf(w, "# %d features, reach %s, hash %s\n", len(f.Features), f.Reach, f.Hash)
			fmt.Fprintln(w, "FEATURE\tUNIT\tREACH\tMEANING")
			for _, d := range f.Features {
				fmt.Fprintf(w, "%s\t%s\t%dh\t%s\n", d.Name, d.Unit, int(d.Reach/time.Hour), d.Meaning)
			}
		})
	}
	if c.Spec == "" || c.Spec == "default" || strings.ContainsAny(c.Spec, "./\\") {
		return show(app.DescribeFeatures(i.ctx, c.Spec)) // needs no database
	}
	return i.admin(func(a *app.Admin) error { return show(a.DescribeFeatures(i.ctx, c.Spec)) })
}

type featuresListCmd struct{}

func (featuresListCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		fs, err := a.FeatureSpecs(i.ctx)
		if err != nil {
			return err
		}
		return i.print(fs, func(w io.Writer) {
			fmt.Fprintln(w, "NAME\tVERSION\tCREATED\tHASH")
			for _, f := range fs {
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", f.Name, f.Version, f.Created.UTC().Format(time.RFC3339), f.Hash)
			}
		})
	})
}

type featuresAddCmd struct {
	Name string `arg:"" help:"Name of the spec."`
	File string `arg:"" type:"existingfile" help:"Its text: fluxora-features 1, then a feature a line."`
}

func (c featuresAddCmd) Run(i *invocation) error {
	return i.admin(func(a *app.Admin) error {
		f, err := a.AddFeatures(i.ctx, c.Name, c.File)
		if err != nil {
			return err
		}
		return i.print(f, func(w io.Writer) { fmt.Fprintf(w, "%s@%d\t%s\n", f.Name, f.Version, f.Hash) })
	})
}

type featuresMaterializeCmd struct {
	Spec       string        `default:"default" help:"default, a name, name@version, or a file as ./spec.txt."`
	From       string        `required:"" placeholder:"TIME" help:"First origin, as 2024-05-01 (UTC) or 2024-05-01T06:00:00Z."`
	To         string        `required:"" placeholder:"TIME" help:"Origins are before it."`
	Out        string        `required:"" placeholder:"FILE" help:"File to write: .csv, .ndjson or .parquet."`
	Site       string        `help:"Only points of this site."`
	Point      string        `help:"Only points of this name."`
	Resolution time.Duration `help:"Resolution of the points; that of site.resolution without it."`
	Stride     time.Duration `default:"24h" help:"Time between origins."`
	Horizon    time.Duration `default:"48h" help:"How far each origin looks ahead."`
}

func (c featuresMaterializeCmd) Run(i *invocation) error {
	from, err := parseInstant("--from", c.From)
	to, err2 := parseInstant("--to", c.To)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return i.admin(func(a *app.Admin) error {
		n, err := a.Materialize(i.ctx, app.Materialization{
			Spec: c.Spec, Site: c.Site, Point: c.Point, From: from, To: to, Resolution: resolutionOr(c.Resolution, i), Stride: c.Stride, Horizon: c.Horizon, Out: c.Out,
		})
		if err != nil {
			return err
		}
		return i.print(n, func(w io.Writer) {
			fmt.Fprintf(w, "%d rows of %d origins of %d points in %s\n", n.Rows, n.Origins, n.Points, c.Out)
			fmt.Fprintf(w, "%d origins saw values that were corrected since; %d had less than a day of history, %d lay outside of the history\n", n.Corrected, n.TooLittle, n.OutsideData)
		})
	})
}

// parseInstant reads a time or a date.
func parseInstant(name, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q: want a date or a time, as 2024-05-01 or 2024-05-01T06:00:00Z", name, s)
}
