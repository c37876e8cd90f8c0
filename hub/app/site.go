package app

import (
	"context"
	"fmt"
	"time"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/holiday"
)

// SiteChange is what is to change of a site; nil fields stay as they are.
type SiteChange struct {
	Zone      *string
	Country   *string
	Vacations []string // as 2024-06-22/2024-08-19; empty but not nil: there are none
	Facts     map[string]float64
	Place     []float64 // latitude and longitude; empty but not nil: no more
}

// SiteView is a site and what surrounds it.
type SiteView struct {
	Name       string             `json:"name"`
	Zone       string             `json:"zone"`
	Country    string             `json:"country,omitempty"`
	Resolution string             `json:"resolution"`
	Vacations  []holiday.Range    `json:"vacations"`
	Facts      map[string]float64 `json:"facts"`
	Revision   uint64             `json:"revision"`
	Place      *store.Place       `json:"place,omitempty"`
	Weather    *WeatherView       `json:"weather,omitempty"`
}

// WeatherView is how the weather of a site does.
type WeatherView struct {
	Fetched  *time.Time `json:"fetched,omitempty"`
	Next     time.Time  `json:"next"`
	Observed *time.Time `json:"observed,omitempty"` // the newest day
	Issued   *time.Time `json:"issued,omitempty"`   // the newest forecast
	Failures int        `json:"failures"`           // since it was fetched last
	Error    string     `json:"error,omitempty"`
}

// ChangeSite changes a site and returns what it then is. Its agents are told within their session; models know of it when
// they are trained next.
func (a *Admin) ChangeSite(ctx context.Context, name string, c SiteChange) (SiteView, error) {
	site, err := a.b.store.SiteByName(ctx, a.b.org, name)
	if err != nil {
		return SiteView{}, fmt.Errorf("site %s: %w", name, err)
	}
	changed := c.Zone != nil || c.Country != nil || c.Vacations != nil || c.Facts != nil || c.Place != nil
	if c.Zone != nil {
		site.Zone = *c.Zone
	}
	if c.Country != nil {
		site.Country = *c.Country
	}
	switch len(c.Place) {
	case 2:
		site.Place = &store.Place{Latitude: c.Place[0], Longitude: c.Place[1]}
	case 0:
		if c.Place != nil {
			site.Place = nil
		}
	default:
		return SiteView{}, fmt.Errorf("place of %d numbers: want latitude,longitude, as 59.74,10.2", len(c.Place))
	}
	if c.Facts != nil {
		site.Facts = c.Facts
	}
	if c.Vacations != nil {
		site.Vacations = make([]holiday.Range, len(c.Vacations))
		for i, text := range c.Vacations {
			if err := site.Vacations[i].UnmarshalText([]byte(text)); err != nil {
				return SiteView{}, fmt.Errorf("vacation %d: %w", i+1, err)
			}
		}
	}
	if changed {
		if err := a.b.store.UpdateSite(ctx, a.b.org, site); err != nil {
			return SiteView{}, err
		}
		if site, err = a.b.store.Site(ctx, a.b.org, site.ID); err != nil {
			return SiteView{}, err
		}
	}
	v := viewOf(site)
	w, err := a.b.store.WeatherState(ctx, a.b.org, site.ID)
	if err != nil {
		return SiteView{}, err
	}
	if w != nil {
		v.Weather = &WeatherView{w.FetchedAt, w.NextAt, w.Observed, w.Issued, w.Failures, w.Error}
	}
	return v, nil
}

func viewOf(s store.Site) SiteView {
	return SiteView{Name: s.Name, Zone: s.Zone, Country: s.Country, Resolution: s.Resolution.String(), Vacations: s.Vacations, Facts: s.Facts, Revision: s.Revision, Place: s.Place}
}
