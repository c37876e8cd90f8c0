package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// mostIntervals bounds the histories held in memory at once: 16 million take 128 MB.
const mostIntervals = 16 << 20

// load reads the histories of an organisation at a resolution, of each point the latest part that is no longer than most. When
// they are more than fit, every second, third… point is left out, the same ones each time. It also returns how many
// intervals there are in the store.
func load(ctx context.Context, st *store.Store, org uuid.UUID, resolution, most time.Duration, progress Progress) (train.Dataset, int64, error) {
	points, err := st.TrainingPoints(ctx, org, resolution)
	if err != nil {
		return train.Dataset{}, 0, err
	}
	var all, wanted int64
	var first, last meter.Millis
	for i, p := range points {
		all += int64(p.To.Sub(p.From) / resolution)
		points[i].From = max(p.From, p.To.Add(-most))
		wanted += int64(p.To.Sub(points[i].From) / resolution)
		if last = max(last, p.To); i == 0 || points[i].From < first {
			first = points[i].From
		}
	}
	named, err := st.Points(ctx, org)
	if err != nil {
		return train.Dataset{}, 0, err
	}
	names := map[uuid.UUID]store.Point{}
	for _, p := range named {
		names[p.ID] = p
	}
	every := 1 + int(wanted/mostIntervals)
	var d train.Dataset
	l := newLoader(st, org, resolution, first, last)
	for i := 0; i < len(points); i += every {
		p := points[i]
		h, intervals, err := l.load(ctx, p, p.From, p.To)
		if err != nil {
			return d, all, fmt.Errorf("load history of point %s: %w", p.Point, err)
		}
		if len(h.Energy) > 0 {
			d.Points = append(d.Points, train.Point{ID: p.Point.String(), Site: names[p.Point].SiteName, Name: names[p.Point].Name, Register: meter.Register(p.Register), History: h, Loaded: loaded(intervals)})
		}
		progress("reading history", 10*float64(i+1)/float64(len(points)))
	}
	return d, all, nil
}

// loader reads histories.
type loader struct {
	st         *store.Store
	org        uuid.UUID
	resolution time.Duration
	first      meter.Millis // of weather that is read
	last       meter.Millis
	zones      map[string]*time.Location
	sites      map[uuid.UUID]*feature.Site
}

func newLoader(st *store.Store, org uuid.UUID, resolution time.Duration, first, last meter.Millis) *loader {
	return &loader{st: st, org: org, resolution: resolution, first: first, last: last, zones: map[string]*time.Location{}, sites: map[uuid.UUID]*feature.Site{}}
}

// load reads what there is of a register of a point within [from, to), with what surrounds it.
func (l *loader) load(ctx context.Context, p store.TrainingPoint, from, to meter.Millis) (feature.History, []interval.Interval, error) {
	if l.zones[p.Zone] == nil {
		zone, err := time.LoadLocation(p.Zone)
		if err != nil {
			return feature.History{}, nil, err
		}
		l.zones[p.Zone] = zone
	}
	if p.Site != uuid.Nil && l.sites[p.Site] == nil {
		site, err := l.st.Site(ctx, l.org, p.Site)
		if err != nil {
			return feature.History{}, nil, err
		}
		// Forecasts count where there were any; before, observations stand in, or nothing could be learnt of a year's weather.
		if l.sites[p.Site], err = l.st.Surroundings(ctx, l.org, site, l.first, l.last, true); err != nil {
			return feature.History{}, nil, fmt.Errorf("weather of site %s: %w", site.Name, err)
		}
	}
	from, to = from.Floor(l.resolution), to.Floor(l.resolution)
	intervals, err := l.st.Intervals(ctx, l.org, p.Point, meter.Register(p.Register), from, to)
	if err != nil {
		return feature.History{}, nil, err
	}
	h, err := feature.NewHistory(intervals, from, to, l.resolution, l.zones[p.Zone])
	h.Site = l.sites[p.Site]
	return h, intervals, err
}

// loaded counts what of some intervals is not learnt from.
func loaded(intervals []interval.Interval) (n train.Loaded) {
	for _, iv := range intervals {
		switch {
		case iv.Recovered:
			n.Recovered++
		case iv.Quality == meter.Suspect || iv.Quality == meter.Estimated:
			n.Unmeasured++
		}
	}
	return n
}

// originStride is a day and an hour, so that origins fall on all hours of the day.
const originStride = 25 * time.Hour

// lastDays returns where the last days begin that an active model is measured on.
func lastDays(d train.Dataset) meter.Millis {
	from, to := d.Range()
	return to.Add(-min(14*24*time.Hour, to.Sub(from)/4)).Floor(time.Hour)
}
