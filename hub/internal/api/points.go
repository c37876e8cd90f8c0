package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
)

// Point is a place that is measured; it survives a meter exchange.
type Point struct {
	ID         string         `json:"id" format:"uuid"`
	Site       string         `json:"site" doc:"name of the site"`
	Name       string         `json:"name" doc:"unique in the site"`
	Zone       string         `json:"zone" doc:"IANA name of the site's time zone"`
	Resolution string         `json:"resolution" doc:"of its intervals, ISO 8601"`
	Registers  []Register     `json:"registers"`
	Intervals  []LastInterval `json:"last_intervals" doc:"the newest interval of each energy register"`
}

// Register is a register of one of the point's meters.
type Register struct {
	Name  string   `json:"name" example:"energy-import"`
	Kind  string   `json:"kind" enum:"counter,energy,power"`
	Meter string   `json:"meter,omitempty" doc:"serial number; absent when the publisher does not tell it"`
	Last  *Reading `json:"last_reading,omitempty" doc:"absent before the first"`
}

// Reading is the value of a register at an instant.
type Reading struct {
	At      time.Time   `json:"at"`
	Value   thousandths `json:"value" doc:"in unit, exact to a thousandth"`
	Unit    string      `json:"unit" enum:"Wh,W"`
	Quality string      `json:"quality" enum:"measured,estimated,edited,suspect,missing"`
}

// LastInterval is the newest interval of an energy register.
type LastInterval struct {
	Register  string    `json:"register"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Wh        int64     `json:"wh"`
	Quality   string    `json:"quality" enum:"measured,estimated,edited,suspect,missing"`
	Recovered bool      `json:"recovered" doc:"the energy is real, its timing is guessed"`
}

// Points is a page of points, by site and name.
type Points struct {
	Points []Point `json:"points"`
	Next   string  `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
	Total  *int    `json:"total,omitempty" doc:"how many there are in all, when it was asked for"`
}

type (
	pointsAnswer struct{ Body Points }
	pointAnswer  struct{ Body Point }
)

type pointsQuery struct {
	List
	Site string `query:"site" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"name of a site; only its points"`
}

type pointQuery struct {
	ID string `path:"id" format:"uuid" doc:"id of the point"`
}

type pointCursor struct{ Site, Name string }

func (s *server) registerPoints(r *routes) {
	register(r, access.With(access.Viewer, access.ReadReadings), get("points", "/v1/points", "Points with their newest readings and intervals, by site and name"),
		s.points)
	register(r, access.With(access.Viewer, access.ReadReadings), get("point", "/v1/points/{id}", "One point", http.StatusNotFound),
		func(ctx context.Context, in *pointQuery) (*pointAnswer, error) {
			id, err := uuid.Parse(in.ID)
			if err != nil {
				return nil, huma.Error404NotFound("no such point")
			}
			r, err := s.store.PointRow(ctx, org(ctx), id)
			if err != nil {
				return nil, s.fault(ctx, err, "no such point")
			}
			return &pointAnswer{pointOf(r)}, nil
		})
}

func (s *server) points(ctx context.Context, in *pointsQuery) (*pointsAnswer, error) {
	var after pointCursor
	if err := decodeCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	if err := checkNames(in.Cursor, after.Site, after.Name); err != nil {
		return nil, err
	}
	start, err := in.start()
	if err != nil {
		return nil, err
	}
	out := &pointsAnswer{Points{Points: []Point{}}}
	if in.Total {
		n, err := s.store.PointCount(ctx, org(ctx), in.Site)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out.Body.Total = &n
	}
	if start > 0 {
		after.Site, after.Name, err = s.store.PointAt(ctx, org(ctx), in.Site, start)
		if errors.Is(err, store.ErrNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
	}
	rows, err := s.store.PointRows(ctx, org(ctx), in.Site, after.Site, after.Name, in.Limit+1)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	rows, more := cut(rows, in.Limit)
	for _, r := range rows {
		out.Body.Points = append(out.Body.Points, pointOf(r))
	}
	if more {
		last := rows[len(rows)-1]
		out.Body.Next = encodeCursor(pointCursor{last.Site, last.Name})
	}
	return out, nil
}

func pointOf(r store.PointRow) Point {
	p := Point{
		ID: r.ID.String(), Site: r.Site, Name: r.Name, Zone: r.Zone, Resolution: iso(r.Resolution),
		Registers: make([]Register, len(r.Registers)), Intervals: make([]LastInterval, len(r.Intervals)),
	}
	for i, g := range r.Registers {
		p.Registers[i] = Register{Name: g.Name, Kind: g.Kind, Meter: g.Meter}
		if g.Last != nil {
			p.Registers[i].Last = &Reading{At: g.Last.At.Time(), Value: thousandths(g.Last.Value), Unit: unitOf(g.Name), Quality: g.Last.Quality.String()}
		}
	}
	for i, l := range r.Intervals {
		p.Intervals[i] = LastInterval{
			Register: l.Register, Start: l.Start.Time(), End: l.Start.Add(r.Resolution).Time(),
			Wh: int64(l.Energy), Quality: l.Quality.String(), Recovered: l.Recovered,
		}
	}
	return p
}

func unitOf(register string) string {
	info, err := meter.LookupRegister(register)
	if err != nil {
		return "Wh"
	}
	return info.Unit
}

// thousandths is an exact number with three decimals.
type thousandths int64

// MarshalJSON writes the number without rounding and without needless zeros.
func (v thousandths) MarshalJSON() ([]byte, error) {
	whole, part := int64(v)/1000, int64(v)%1000
	b := make([]byte, 0, 24)
	if v < 0 {
		b = append(b, '-')
		whole, part = -whole, -part
	}
	b = strconv.AppendUint(b, uint64(whole), 10)
	if part != 0 {
		b = append(b, '.', byte('0'+part/100), byte('0'+part/10%10), byte('0'+part%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b, nil
}

// Schema describes the number in the OpenAPI document.
func (thousandths) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeNumber} }
