package featurestore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// foldLead is how much before a corrected reading a fold begins anew, so that it knows what the counter did.
const foldLead = 8 * 24 * time.Hour

// known answers what was known of one register of a point at instants in the past.
type known struct {
	store    *store.Store
	org      uuid.UUID
	point    uuid.UUID
	register meter.Register
	now      feature.History // as it is known now
	changed  []store.Correction
}

// at returns the history before the origin, no longer than reach, as it was known then, and whether it has been corrected since.
func (k *known) at(ctx context.Context, origin meter.Millis, reach time.Duration) (h feature.History, corrected bool, err error) {
	h = k.now.Before(origin).Since(origin.Add(-reach))
	var later []store.Correction
	first := origin
	for _, c := range k.changed {
		// A counter's reading makes the energy after it as well as before: readings shortly before the history count too.
		if c.RecordedAt.After(origin.Time()) && c.Before.At <= origin && c.Before.At >= h.Start.Add(-24*time.Hour) {
			later = append(later, c)
			first = min(first, c.Before.At)
		}
	}
	if len(later) == 0 {
		return h, false, nil
	}
	held, err := k.store.HeldReadings(ctx, k.org, k.point, k.register, first.Add(-foldLead), origin)
	if err != nil {
		return h, true, err
	}
	undo(held, later)
	intervals, from, err := fold(held, h.Resolution, first)
	if err != nil {
		return h, true, err
	}
	h.Energy = slices.Clone(h.Energy)
	then, err := feature.NewHistory(intervals, from, origin, h.Resolution, h.Zone)
	if err != nil {
		return h, true, err
	}
	for i, v := range then.Energy {
		if at := then.Start.Add(time.Duration(i) * h.Resolution); at >= h.Start && at < h.End() {
			h.Energy[h.Index(at)] = v
		}
	}
	return h, true, nil
}

// undo gives readings the values that they had before corrections, which must be in the order in which they were recorded.
func undo(held []store.HeldReading, later []store.Correction) {
	type key struct {
		register uuid.UUID
		at       meter.Millis
	}
	before := map[key]meter.Reading{}
	for _, c := range later {
		if k := (key{c.Register, c.Before.At}); before[k].At == 0 { // the first of several: what it replaced was known
			before[k] = c.Before
		}
	}
	for i, h := range held {
		if b, ok := before[key{h.Register.ID, h.Reading.At}]; ok {
			held[i].Reading.Value, held[i].Reading.Quality = b.Value, b.Quality
		}
	}
}

// fold makes intervals of readings. It returns them from the last reading before first on.
func fold(held []store.HeldReading, resolution time.Duration, first meter.Millis) ([]interval.Interval, meter.Millis, error) {
	slices.SortStableFunc(held, func(a, b store.HeldReading) int { return cmp.Compare(a.Reading.At, b.Reading.At) })
	from := first
	o := interval.Options{Resolution: resolution}
	samples := make([]interval.Sample, len(held))
	for i, h := range held {
		r, g := h.Reading, h.Register
		samples[i] = interval.Sample{At: r.At, Value: r.Value, Quality: r.Quality, Kind: g.Kind, Modulus: g.Modulus, Meter: g.Number}
		o.MaxWatts = g.MaxWatts
		if r.At < first {
			from = r.At
		}
	}
	intervals, err := interval.Rebuild(samples, o)
	if err != nil {
		return nil, 0, fmt.Errorf("fold readings as they were known: %w", err)
	}
	return intervals, from.Floor(resolution), nil
}
