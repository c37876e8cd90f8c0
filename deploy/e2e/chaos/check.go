package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// findings is what the checks of a round found wrong.
type findings struct {
	lost, doubled, unbalanced, named int
	problems                         []string
}

func (f *findings) problem(format string, args ...any) {
	if len(f.problems) < 20 {
		f.problems = append(f.problems, fmt.Sprintf(format, args...))
	}
}

// ok reports whether nothing was wrong.
func (f *findings) ok() bool { return f.lost+f.doubled+f.unbalanced+len(f.problems) == 0 }

// check proves the invariants. The earliest instants that may have changed are in since; nil checks everything.
func (c *campaign) check(ctx context.Context, began time.Time, since map[series]int64) (*findings, error) {
	f := new(findings)
	for _, check := range []func(context.Context, *findings, time.Time, map[series]int64) error{
		c.checkReadings, c.checkNames, c.checkBooks, c.checkIntervals, c.checkForecasts, c.checkBounds,
	} {
		if err := check(ctx, f, began, since); err != nil {
			return f, err
		}
	}
	return f, nil
}

// checkReadings proves invariants 1 and 4. What is missing must have been in a file that a fault destroyed, and no more may be
// missing than the agent names.
func (c *campaign) checkReadings(ctx context.Context, f *findings, _ time.Time, since map[series]int64) error {
	var gone []func() // what to believe once the agent has named what it lost
	destroyed, evicted := c.world.takeDestroyed(), make(map[account]int)
	for s, want := range c.truth {
		from := meter.Millis(0)
		if since != nil {
			at, changed := since[s]
			if !changed {
				continue
			}
			from = meter.Millis(at)
		}
		have, twice, err := c.world.readings(ctx, s, from)
		if err != nil {
			return err
		}
		if f.doubled += twice; twice > 0 {
			f.problem("%d instants of %s come twice out of Postgres", twice, s.Point)
		}
		earlier, err := c.world.earlier(ctx, s)
		if err != nil {
			return err
		}
		var absent []meter.Millis
		for at, vs := range want {
			if at < from {
				continue
			}
			got, ok := have[at]
			held, missing := split(vs, got, ok, earlier[at])
			lost := slices.DeleteFunc(slices.Clone(vs), func(v value) bool { return slices.Contains(held, v) || !destroyed[instant{s, at, v}] })
			if missing > 0 && len(lost) == missing && len(held) > 0 == ok { // of what was published, what is not there was destroyed
				f.named += missing
				gone = append(gone, func() { c.truth.amend(s, at, held) })
				continue
			}
			if missing > 0 && c.fresh.cramped && len(held) > 0 == ok { // the agent may have had no room for it
				f.named += missing
				evicted[accountOf(s, at)] += missing
				gone = append(gone, func() { c.truth.amend(s, at, held) })
				continue
			}
			switch {
			case !ok:
				f.lost++
				absent = append(absent, at)
			case got != vs[len(vs)-1]:
				f.problem("%s at %s is %v in Postgres: want %v, of %v", s.Point, at, got, vs[len(vs)-1], vs)
			case missing > 0:
				f.problem("%s at %s: of %v, corrected later, not all are in the history", s.Point, at, vs)
			}
		}
		if len(absent) > 0 {
			f.problem("%d readings of %s, from %s to %s, were acknowledged and are not in Postgres", len(absent), s.Point, slices.Min(absent), slices.Max(absent))
		}
		for at, got := range have {
			if _, ok := want[at]; !ok {
				f.problem("%s at %s, %v, is in Postgres and was never published", s.Point, at, got)
			}
		}
	}
	if c.fresh.damaged || c.fresh.cramped {
		for s, rs := range c.truth {
			newest := slices.Max(slices.Collect(maps.Keys(rs)))
			c.world.agentBlind[s] = newest.Floor(24 * time.Hour).Add(24 * time.Hour)
		}
	}
	c.fresh.spared = int64(len(destroyed) - f.named)
	if f.named == 0 {
		return nil
	}
	if len(evicted) > 0 && !c.fresh.damaged {
		if err := c.checkEvicted(ctx, f, evicted); err != nil {
			return err
		}
	}
	books, err := c.world.agent.Books(ctx)
	if err != nil {
		return err
	}
	most := books.Received - books.Delivered - books.Pending - c.fresh.evicted
	if most += c.world.passedOver(ctx, c.spans); int64(f.named) > most {
		f.lost += f.named
		f.problem("%d acknowledged readings are gone, but the agent names only %d: %+v", f.named, most, books)
		return nil
	}
	for _, amend := range gone {
		amend()
	}
	return nil
}

// split tells which of the values published for an instant the hub has, and how many it lacks.
func split(vs []value, got value, ok bool, earlier map[int64]bool) (held []value, missing int) {
	for _, v := range vs {
		if ok && (v == got || earlier[v.Value]) {
			held = append(held, v)
			continue
		}
		missing++
	}
	return held, missing
}

// checkBooks proves invariants 2 and 3.
func (c *campaign) checkBooks(ctx context.Context, f *findings, _ time.Time, _ map[series]int64) error {
	here, err := c.world.agent.Books(ctx)
	if err != nil {
		return err
	}
	var b struct{ Received, Delivered, Quarantined, Evicted, Thinned, Pending, Unbalanced int64 }
	if err := c.world.agent.API.Get(ctx, "/v1/ledger/balance", &b); err != nil {
		return err
	}
	if b.Received != b.Delivered+b.Quarantined+b.Evicted+b.Thinned+b.Pending || b.Unbalanced != 0 {
		f.unbalanced++
		f.problem("the agent's books do not balance: %+v, by its sequences %+v", b, here)
	}
	there, err := c.world.atHub(ctx)
	if err != nil {
		return err
	}
	instants, _ := c.truth.count()
	if held := there.readings - there.duplicates - there.corrections + there.restored; held != int64(instants) {
		f.unbalanced++
		f.problem("the hub's books do not balance: %+v make %d instants: want %d", there, held, instants)
	}
	return nil
}

// checkIntervals proves invariant 5.
func (c *campaign) checkIntervals(ctx context.Context, f *findings, _ time.Time, since map[series]int64) error {
	for s := range c.truth {
		if since != nil && since[s] == 0 {
			continue
		}
		want, err := c.truth.intervals(s, interval.Options{Resolution: resolution})
		if err != nil {
			return fmt.Errorf("fold %s: %w", s.Point, err)
		}
		for name, of := range map[string]func(context.Context, series) ([]interval.Interval, error){"agent": c.world.agentIntervals, "hub": c.world.hubIntervals} {
			var blind meter.Millis
			if name == "agent" {
				blind = c.world.agentBlind[s]
			}
			if err := sameIntervals(ctx, s, want, blind, of); err != nil {
				f.problem("%s's intervals of %s: %v", name, s.Point, err)
			}
		}
	}
	return nil
}

// sameIntervals asks until the intervals are those wanted: the agent closes them in its own time.
func sameIntervals(ctx context.Context, s series, want []interval.Interval, blind meter.Millis, of func(context.Context, series) ([]interval.Interval, error)) error {
	until := time.Now().Add(20 * time.Second)
	for {
		have, err := of(ctx, s)
		if err == nil {
			err = differ(have, want, blind)
		}
		if err == nil || time.Now().After(until) {
			return err
		}
		pause(ctx, 300*time.Millisecond)
	}
}

func differ(have, want []interval.Interval, blind meter.Millis) error {
	at := make(map[meter.Millis]interval.Interval, len(have))
	for _, i := range have {
		at[i.Start] = i
	}
	n, first := 0, ""
	for _, w := range want {
		h, ok := at[w.Start]
		delete(at, w.Start)
		if w.Start < blind || ok && h == w {
			continue
		}
		if n++; first == "" {
			first = fmt.Sprintf("%s is %+v (there: %t): want %+v", w.Start, h, ok, w)
		}
	}
	for start, h := range at {
		if start < blind {
			continue
		}
		if n++; first == "" {
			first = fmt.Sprintf("%s is %+v: want none", start, h)
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d differ from a fold from scratch; one: %s", n, len(want), first)
	}
	return nil
}

func (w *world) hubIntervals(ctx context.Context, s series) ([]interval.Interval, error) {
	type row struct {
		Start, Wh int64
		Quality   int16
		Recovered bool
	}
	rows, err := query[row](ctx, w, `select (extract(epoch from i.start) * 1000)::bigint, i.wh, i.quality, i.recovered
		from interval i join point p using (org_id, point_id) join site s using (org_id, site_id)
		where s.name = $1 and p.name = $2 and i.register = $3`, site, s.Point, string(s.Register))
	if err != nil {
		return nil, err
	}
	out := make([]interval.Interval, 0, len(rows))
	for _, r := range rows {
		out = append(out, interval.Interval{Start: meter.Millis(r.Start), Energy: meter.WattHours(r.Wh), Quality: meter.Quality(r.Quality), Recovered: r.Recovered})
	}
	return out, nil
}

// checkForecasts proves invariant 6.
func (c *campaign) checkForecasts(ctx context.Context, f *findings, began time.Time, _ map[series]int64) error {
	var made []series
	for _, d := range c.devices {
		s := d.series
		if !c.truth.has(s) {
			continue // it has a new name and has said nothing under it yet
		}
		var forecast struct {
			Issued time.Time `json:"issued"`
		}
		if err := c.world.agent.API.Post(ctx, "/v1/points/"+s.Point+"/forecast", &forecast); err != nil {
			// Where a fault destroyed all that the agent knew of a point, there is honestly nothing to forecast from.
			if is, e := c.world.agentIntervals(ctx, s); e == nil && len(is) == 0 && c.world.damaged.Load() > 0 {
				continue
			}
			f.problem("the agent makes no forecast of %s: %v", s.Point, err)
			continue
		}
		if forecast.Issued.Before(began.Truncate(time.Second)) {
			f.problem("the agent's forecast of %s is of %s, before the round began", s.Point, forecast.Issued)
		}
		made = append(made, s)
	}
	for _, s := range made { // the agent reports them together, every few seconds
		if err := c.forecastAtHub(ctx, s, began); err != nil {
			f.problem("forecast of %s: %v", s.Point, err)
		}
	}
	return nil
}

// forecastAtHub waits until the hub has a forecast that was issued since the round began.
func (c *campaign) forecastAtHub(ctx context.Context, s series, began time.Time) error {
	until := time.Now().Add(30 * time.Second)
	for {
		type row struct{ Issued *time.Time }
		rows, err := query[row](ctx, c.world, `select max(f.issued_at) from forecast f join point p using (org_id, point_id) join site s using (org_id, site_id)
			where s.name = $1 and p.name = $2`, site, s.Point)
		if err != nil {
			return err
		}
		if len(rows) == 1 && rows[0].Issued != nil && !rows[0].Issued.Before(began.Truncate(time.Second)) {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the newest at the hub is of %v, before the round began", rows)
		}
		pause(ctx, 300*time.Millisecond)
	}
}
