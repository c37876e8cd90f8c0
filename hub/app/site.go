package app

import (
	"context"
	"fmt"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/holiday"
)

// SiteChange is what is to change of a site; nil fields stay as they are.
type SiteChange struct {
	Zone      *string
	Country   *string
	Vacations []string // as 2024-06-22/2024-08-19; empty but not nil: there are none
	Facts     map[string]float64
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
}

// ChangeSite changes a site and returns what it then is. Its agents are told within their session; models know of it when
// they are trained next.
func (a *Admin) ChangeSite(ctx context.Context, name string, c SiteChange) (SiteView, error) {
	site, err := a.b.store.SiteByName(ctx, a.b.org, name)
	if err != nil {
		return SiteView{}, fmt.Errorf("site %s: %w", name, err)
	}
	changed := c.Zone != nil || c.Country != nil || c.Vacations != nil || c.Facts != nil
	if c.Zone != nil {
		site.Zone = *c.Zone
	}
	if c.Country != nil {
		site.Country = *c.Country
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
	return viewOf(site), nil
}

func viewOf(s store.Site) SiteView {
	return SiteView{Name: s.Name, Zone: s.Zone, Country: s.Country, Resolution: s.Resolution.String(), Vacations: s.Vacations, Facts: s.Facts, Revision: s.Revision}
}
