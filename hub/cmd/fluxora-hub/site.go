package main

import (
	"fmt"
	"io"
	"time"

	"fluxora.dev/hub/app"
)

// siteCmd shows a site and changes what surrounds its points.
type siteCmd struct {
	Name        string             `arg:"" help:"Name of the site."`
	Zone        *string            `help:"Time zone, as Europe/Oslo; intervals are made anew."`
	Country     *string            `help:"Country, for public holidays, as NO or DE-BY."`
	Vacations   []string           `placeholder:"FROM/TO" help:"School holidays or closures, half-open, as 2024-06-22/2024-08-19; they replace those before."`
	NoVacations bool               `help:"The site has no vacations."`
	Place       []float64          `placeholder:"LAT,LON" help:"Where the site is, as 59.74,10.2, for its weather; the provider of weather is told."`
	NoPlace     bool               `help:"Forget where the site is, and its weather."`
	Facts       map[string]float64 `placeholder:"NAME=VALUE" help:"What does not change, as area_m2=437; they replace those before."`
}

func (c siteCmd) Run(i *invocation) error {
	if c.NoVacations {
		if c.Vacations != nil {
			return fmt.Errorf("--vacations and --no-vacations: want one of them")
		}
		c.Vacations = []string{}
	}
	if c.NoPlace {
		if c.Place != nil {
			return fmt.Errorf("--place and --no-place: want one of them")
		}
		c.Place = []float64{}
	}
	return i.admin(func(a *app.Admin) error {
		v, err := a.ChangeSite(i.ctx, c.Name, app.SiteChange{Zone: c.Zone, Country: c.Country, Vacations: c.Vacations, Facts: c.Facts, Place: c.Place})
		if err != nil {
			return err
		}
		return i.print(v, func(w io.Writer) {
			fmt.Fprintf(w, "site\t%s\nzone\t%s\ncountry\t%s\nresolution\t%s\nvacations\t%v\nfacts\t%v\nrevision\t%d\n", v.Name, v.Zone, v.Country, v.Resolution, v.Vacations, v.Facts, v.Revision)
			if v.Place != nil {
				fmt.Fprintf(w, "place\t%g, %g\n", v.Place.Latitude, v.Place.Longitude)
			}
			if v.Weather != nil {
				printWeather(w, *v.Weather)
			}
		})
	})
}

// printWeather says how the weather of a site does.
func printWeather(w io.Writer, v app.WeatherView) {
	when := func(t *time.Time, layout string) string {
		if t == nil {
			return "never"
		}
		return t.UTC().Format(layout)
	}
	fmt.Fprintf(w, "weather\tfetched %s, observed to %s, forecast issued %s, next %s\n",
		when(v.Fetched, time.RFC3339), when(v.Observed, time.DateOnly), when(v.Issued, time.RFC3339), v.Next.UTC().Format(time.RFC3339))
	if v.Error != "" {
		fmt.Fprintf(w, "\tfailed %d times: %s\n", v.Failures, v.Error)
	}
}
