package featurestore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Query says which rows are wanted.
type Query struct {
	Spec       feature.Spec
	Site       string        // name; empty: all sites
	Point      string        // name; empty: all points
	Resolution time.Duration // of the points
	From, To   time.Time     // origins are on or after From and before To
	Stride     time.Duration // between origins
	Horizon    time.Duration
}

// Check returns an error that names what is wrong.
func (q Query) Check() error {
	switch {
	case q.Spec.Len() == 0:
		return errors.New("spec: no features")
	case !q.From.Before(q.To):
		return fmt.Errorf("from %s to %s: want a time and a later one", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))
	case q.Resolution < time.Minute || q.Resolution > time.Hour || time.Hour%q.Resolution != 0:
		return fmt.Errorf("resolution %s: want 1 minute to 1 hour, dividing an hour", q.Resolution)
	case q.Stride < q.Resolution || q.Stride%q.Resolution != 0:
		return fmt.Errorf("stride %s: want a multiple of the resolution %s", q.Stride, q.Resolution)
	case q.Horizon < q.Resolution || q.Horizon > 14*24*time.Hour || q.Horizon%q.Resolution != 0:
		return fmt.Errorf("horizon %s: want a multiple of the resolution %s, 336h at most", q.Horizon, q.Resolution)
	}
	return nil
}

// Row is one materialised row. Its features are valid until the next one.
type Row struct {
	Site, Point string
	Register    meter.Register
	Origin      time.Time
	Step        int
	Start       time.Time // of the target
	Scale       float64   // Wh an interval: what energies are divided by
	Actual      float64   // Wh, as known now; NaN when it is not
	Features    []float32
}

// Counts say how many rows there were.
type Counts struct {
	Points      int `json:"points"`
	Origins     int `json:"origins"`
	Rows        int `json:"rows"`
	Corrected   int `json:"origins_before_corrections"` // at which a value was known that was corrected later
	TooLittle   int `json:"origins_without_a_day"`      // of history; they give no rows
	OutsideData int `json:"origins_outside_data"`       // the same, for there was no history yet or no more
}

// Materialize calls row for every row of q, point by point, origins ascending. It holds one point's history at a time.
func Materialize(ctx context.Context, st *store.Store, org uuid.UUID, q Query, row func(Row) error) (Counts, error) {
	var n Counts
	if err := q.Check(); err != nil {
		return n, err
	}
	names := map[uuid.UUID]store.Point{}
	points, err := st.Points(ctx, org)
	if err != nil {
		return n, err
	}
	for _, p := range points {
		names[p.ID] = p
	}
	targets, err := st.TrainingPoints(ctx, org, q.Resolution)
	if err != nil {
		return n, err
	}
	sites := map[uuid.UUID]*feature.Site{}
	b := feature.NewBuilder(q.Spec)
	for _, t := range targets {
		p, ok := names[t.Point]
		if !ok || q.Site != "" && p.SiteName != q.Site || q.Point != "" && p.Name != q.Point {
			continue
		}
		if sites[p.Site] == nil {
			site, err := st.Site(ctx, org, p.Site)
			if err != nil {
				return n, err
			}
			if sites[p.Site], err = st.Surroundings(ctx, org, site, meter.MillisOf(q.From).Add(-q.Spec.Reach()), meter.MillisOf(q.To).Add(q.Horizon), false); err != nil {
				return n, fmt.Errorf("site %s: %w", site.Name, err)
			}
		}
		n.Points++
		if err := materialize(ctx, st, org, q, t, p, sites[p.Site], b, &n, row); err != nil {
			return n, fmt.Errorf("point %s of site %s: %w", p.Name, p.SiteName, err)
		}
	}
	if n.Points == 0 {
		return n, fmt.Errorf("no point of resolution %s has a history under site %q, point %q: %w", q.Resolution, q.Site, q.Point, store.ErrNotFound)
	}
	return n, nil
}

// materialize makes the rows of one register of a point.
func materialize(ctx context.Context, st *store.Store, org uuid.UUID, q Query, t store.TrainingPoint, p store.Point, site *feature.Site, b *feature.Builder, n *Counts, row func(Row) error) error {
	register := meter.Register(t.Register)
	reach := q.Spec.Reach()
	first := meter.MillisOf(q.From).Add(q.Resolution - time.Millisecond).Floor(q.Resolution)
	from := max(t.From, first.Add(-reach)).Floor(q.Resolution)
	to := min(t.To, meter.MillisOf(q.To).Add(q.Horizon)).Floor(q.Resolution)
	zone, err := time.LoadLocation(t.Zone)
	if err != nil {
		return err
	}
	intervals, err := st.Intervals(ctx, org, t.Point, register, from, to)
	if err != nil {
		return err
	}
	k := known{store: st, org: org, point: t.Point, register: register}
	if k.now, err = feature.NewHistory(intervals, from, to, q.Resolution, zone); err != nil {
		return err
	}
	k.now.Site = site
	if k.changed, err = st.Corrections(ctx, org, t.Point, register); err != nil {
		return err
	}
	features := make([]float32, q.Spec.Len())
	day := int(24 * time.Hour / q.Resolution)
	for origin := first; origin.Time().Before(q.To); origin = origin.Add(q.Stride) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if origin <= k.now.Start || origin > k.now.End() {
			n.OutsideData++
			continue
		}
		h, corrected, err := k.at(ctx, origin, reach)
		if err != nil {
			return err
		}
		if corrected {
			n.Corrected++
		}
		if err := b.Reset(h, origin); err != nil {
			return err
		}
		if b.Known() < day {
			n.TooLittle++
			continue
		}
		n.Origins++
		for step := 1; step <= int(q.Horizon/q.Resolution); step++ {
			b.Row(step, features)
			start := origin.Add(time.Duration(step-1) * q.Resolution)
			r := Row{Site: p.SiteName, Point: p.Name, Register: register, Origin: origin.Time(), Step: step, Start: start.Time(), Scale: b.Scale(), Actual: k.now.At(start), Features: features}
			if err := row(r); err != nil {
				return err
			}
			n.Rows++
		}
	}
	return nil
}

// missing reports whether a feature is not known.
func missing(v float32) bool { return math.IsNaN(float64(v)) }
