package main

import (
	"fmt"
	"io"

	"fluxora.dev/hub/app"
)

// siteCmd shows a site and changes what surrounds its points.
type siteCmd struct {
	Name        string             `arg:"" help:"Name of the site."`
	Zone        *string            `help:"Time zone, as Europe/Oslo; intervals are made anew."`
	Country     *string            `help:"Country, for public holidays, as NO or DE-BY."`
	Vacations   []string           `placeholder:"FROM/TO" help:"School holidays or closures, half-open, as 2024-06-22/2024-08-19; they replace those before."`
	NoVacations bool               `help:"The site has no vacations."`
	Facts       map[string]float64 `placeholder:"NAME=VALUE" help:"What does not change, as area_m2=437; they replace those before."`
}

func (c siteCmd) Run(i *invocation) error {
	if c.NoVacations {
		if c.Vacations != nil {
			return fmt.Errorf("--vacations and --no-vacations: want one of them")
		}
		c.Vacations = []string{}
	}
	return i.admin(func(a *app.Admin) error {
		v, err := a.ChangeSite(i.ctx, c.Name, app.SiteChange{Zone: c.Zone, Country: c.Country, Vacations: c.Vacations, Facts: c.Facts})
		if err != nil {
			return err
		}
		return i.print(v, func(w io.Writer) {
			fmt.Fprintf(w, "site\t%s\nzone\t%s\ncountry\t%s\nresolution\t%s\nvacations\t%v\nfacts\t%v\nrevision\t%d\n", v.Name, v.Zone, v.Country, v.Resolution, v.Vacations, v.Facts, v.Revision)
		})
	})
}
