package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Site is a place with an agent, a time zone and points.
type Site struct {
	ID         string    `json:"id" format:"uuid"`
	Name       string    `json:"name"`
	Zone       string    `json:"zone" doc:"IANA name of the time zone" example:"Europe/Oslo"`
	Country    string    `json:"country,omitempty" doc:"ISO 3166-1 alpha-2"`
	Resolution string    `json:"resolution" doc:"length of intervals, ISO 8601" example:"PT1H"`
	Horizon    int       `json:"horizon" doc:"intervals that are forecast"`
	Levels     []float64 `json:"levels" doc:"quantile levels that are forecast"`
	Points     int       `json:"points" doc:"how many points it has"`
	Agents     int       `json:"agents" doc:"how many agents that are not revoked"`
}

// Sites is a page of sites, by name.
type Sites struct {
	Sites []Site `json:"sites"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
	Total *int   `json:"total,omitempty" doc:"how many there are in all, when it was asked for"`
}

type sitesAnswer struct{ Body Sites }

func (s *server) registerSites(r *routes) {
	register(r, access.With(access.Viewer, access.ReadReadings), get("sites", "/v1/sites", "Sites, by name"), s.sites)
}

func (s *server) sites(ctx context.Context, in *List) (*sitesAnswer, error) {
	var after string
	if err := decodeCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	if err := checkNames(in.Cursor, after); err != nil {
		return nil, err
	}
	start, err := in.start()
	if err != nil {
		return nil, err
	}
	out := &sitesAnswer{Sites{Sites: []Site{}}}
	if in.Total {
		n, err := s.store.SiteCount(ctx, org(ctx))
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out.Body.Total = &n
	}
	if start > 0 {
		after, err = s.store.SiteAt(ctx, org(ctx), start)
		if errors.Is(err, store.ErrNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
	}
	rows, err := s.store.SiteRows(ctx, org(ctx), after, in.Limit+1)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	rows, more := cut(rows, in.Limit)
	for _, r := range rows {
		out.Body.Sites = append(out.Body.Sites, Site{
			ID: r.ID.String(), Name: r.Name, Zone: r.Zone, Country: r.Country, Resolution: iso(r.Resolution),
			Horizon: r.Horizon, Levels: r.Levels, Points: r.Points, Agents: r.Agents,
		})
	}
	if more {
		out.Body.Next = encodeCursor(rows[len(rows)-1].Name)
	}
	return out, nil
}

// iso returns a resolution as an ISO 8601 duration.
func iso(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("PT%dH", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("PT%dM", d/time.Minute)
	default:
		return fmt.Sprintf("PT%dS", d/time.Second)
	}
}
