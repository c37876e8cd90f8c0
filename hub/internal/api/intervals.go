package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
)

// Intervals is a page of the energy of a point.
type Intervals struct {
	Point      string     `json:"point" format:"uuid"`
	Register   string     `json:"register"`
	Unit       string     `json:"unit" enum:"Wh"`
	Zone       string     `json:"zone" doc:"IANA name of the zone that hours, days and months are of"`
	Resolution string     `json:"resolution" doc:"ISO 8601" example:"P1D"`
	From       time.Time  `json:"from" doc:"intervals of the page start at or after it"`
	To         time.Time  `json:"to" doc:"and before it"`
	Intervals  []Interval `json:"intervals" doc:"by time; where nothing is known there is none"`
	Next       string     `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

// Interval is the energy used in [start, end).
type Interval struct {
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Wh        int64     `json:"wh"`
	Quality   string    `json:"quality" enum:"measured,estimated,edited,suspect,missing" doc:"the worst of what was summed, missing aside"`
	Recovered int       `json:"recovered" doc:"intervals summed whose energy is real but whose timing is guessed"`
	Missing   int       `json:"missing" doc:"intervals summed of which nothing is known"`
	Summed    int       `json:"summed" doc:"intervals summed, missing ones included"`
}

type intervalsAnswer struct{ Body Intervals }

type intervalsQuery struct {
	ID         string    `path:"id" format:"uuid" doc:"id of the point"`
	From       time.Time `query:"from" doc:"RFC 3339; seven days before to without it"`
	To         time.Time `query:"to" doc:"RFC 3339, exclusive; now without it"`
	Resolution string    `query:"resolution" enum:"raw,hour,day,month" default:"raw" doc:"raw: intervals as they are kept; else sums in the site's time zone"`
	Register   string    `query:"register" default:"energy-import" doc:"name or OBIS code; the energy of a power register is that of its power over time"`
	Zoned
	Limit  int    `query:"limit" default:"1000" minimum:"1" maximum:"10000" doc:"how many at most"`
	Cursor string `query:"cursor" maxLength:"400" doc:"the member next of the page before; empty for the first page"`
}

// span is where the next page starts and where the list ends, in Unix seconds.
type span struct{ From, To int64 }

const defaultSpan = 7 * 24 * time.Hour

// The instants that may be asked for.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (s *server) registerIntervals(r *routes) {
	register(r, access.With(access.Viewer, access.ReadReadings), get("intervals", "/v1/points/{id}/intervals", "Energy of a point within [from, to), page by page", http.StatusNotFound), s.intervals)
}

func (s *server) intervals(ctx context.Context, in *intervalsQuery) (*intervalsAnswer, error) {
	reg, err := meter.LookupRegister(in.Register)
	if err != nil {
		return nil, invalid("register", in.Register, err.Error())
	}
	from, to, err := s.span(in)
	if err != nil {
		return nil, err
	}
	id, err := uuid.Parse(in.ID)
	if err != nil {
		return nil, huma.Error404NotFound("no such point")
	}
	name, resolution, err := s.store.PointZone(ctx, org(ctx), id)
	if err != nil {
		return nil, s.fault(ctx, err, "no such point")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	shown, err := in.in(name)
	if err != nil {
		return nil, err
	}
	unit := in.Resolution
	if unit == "raw" {
		unit = ""
	}
	rows, err := s.store.EnergyRows(ctx, org(ctx), id, string(reg.Name), unit, from, to, in.Limit+1)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	rows, more := cut(rows, in.Limit)
	out := &intervalsAnswer{Intervals{
		Point: id.String(), Register: string(reg.Name), Unit: "Wh", Zone: name, Resolution: isoUnit(unit, resolution),
		From: from.In(shown), To: to.In(shown), Intervals: make([]Interval, len(rows)),
	}}
	for i, r := range rows {
		out.Body.Intervals[i] = Interval{
			Start: r.Start.In(shown), End: endOf(unit, r.Start, resolution, zone).In(shown), Wh: int64(r.Energy), Quality: r.Quality.String(),
			Recovered: r.Recovered, Missing: r.Missing, Summed: r.Intervals,
		}
	}
	if more {
		out.Body.Next = encodeCursor(span{rows[len(rows)-1].Start.Unix() + 1, to.Unix()})
	}
	return out, nil
}

// span returns what is asked for: what the cursor says, else from and to with their defaults.
func (s *server) span(in *intervalsQuery) (from, to time.Time, err error) {
	if in.Cursor != "" {
		if !in.From.IsZero() || !in.To.IsZero() {
			return from, to, invalid("cursor", in.Cursor, "knows its own range: want either a cursor or from and to")
		}
		var at span
		if err := decodeCursor(in.Cursor, &at); err != nil {
			return from, to, err
		}
		from, to = time.Unix(at.From, 0), time.Unix(at.To, 0)
		if from.Before(earliest) || to.After(latest) || !from.Before(to) {
			return from, to, notOurs(in.Cursor)
		}
		return from, to, nil
	}
	if from, to = in.From, in.To; to.IsZero() {
		to = s.now().Truncate(time.Second).Add(time.Second)
	}
	if from.IsZero() {
		from = to.Add(-defaultSpan)
	}
	switch {
	case to.Before(earliest) || to.After(latest):
		err = invalid("to", to, "want an instant from 1970 to 2200")
	case from.Before(earliest) || from.After(latest):
		err = invalid("from", from, "want an instant from 1970 to 2200")
	case !from.Before(to):
		err = invalid("to", to, "want an instant after from, which is "+from.Format(time.RFC3339))
	}
	return from, to, err
}

func endOf(unit string, start time.Time, resolution time.Duration, zone *time.Location) time.Time {
	local := start.In(zone)
	switch unit {
	case store.Hour:
		return start.UTC().Add(time.Hour)
	case store.Day:
		return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone).UTC()
	case store.Month:
		return time.Date(local.Year(), local.Month()+1, 1, 0, 0, 0, 0, zone).UTC()
	default:
		return start.UTC().Add(resolution)
	}
}

func isoUnit(unit string, resolution time.Duration) string {
	switch unit {
	case store.Hour:
		return "PT1H"
	case store.Day:
		return "P1D"
	case store.Month:
		return "P1M"
	default:
		return iso(resolution)
	}
}
