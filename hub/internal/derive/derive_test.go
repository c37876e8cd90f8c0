package derive_test

import (
	ordered "cmp"
	"context"
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// sender is an agent that commits readings, and the truth about what it sent.
type sender struct {
	t      fataler
	s      *store.Store
	org    uuid.UUID
	site   store.Site
	agent  uuid.UUID
	most   float64 // W, of every point
	series []wire.Series
	next   uint64

	held        map[meter.SeriesID]map[meter.Millis]meter.Reading
	duplicates  int64
	corrections int64
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

var kinds = []wire.Series{
	{ID: 1, Series: meter.Series{Point: "main", Meter: "old", Register: meter.EnergyImport, Kind: meter.Counter}},
	{ID: 2, Series: meter.Series{Point: "main", Meter: "new", Register: meter.EnergyImport, Kind: meter.Counter, Modulus: 1_000_000_000}},
	{ID: 3, Series: meter.Series{Point: "main", Meter: "new", Register: meter.PowerImport, Kind: meter.Power}},
	{ID: 4, Series: meter.Series{Point: "shed", Register: meter.EnergyImport, Kind: meter.Energy}},
}

func newSender(tb testing.TB, t fataler, s *store.Store, site store.Site) *sender {
	org, site, agent := storetest.Site(tb, s, uuid.NewString()[:8], site)
	x := &sender{t: t, s: s, org: org, site: site, agent: agent, series: kinds, next: 1, held: map[meter.SeriesID]map[meter.Millis]meter.Reading{}}
	ctx := context.Background()
	if _, err := s.OpenSession(ctx, org, agent, wire.Hello{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(ctx, org, agent, 1, x.series); err != nil {
		t.Fatal(err)
	}
	return x
}

// limit declares what the points can carry.
func (x *sender) limit(watts float64) {
	x.t.Helper()
	x.most, x.series = watts, slices.Clone(x.series)
	for i := range x.series {
		x.series[i].MaxWatts = watts
	}
	if err := x.s.Declare(context.Background(), x.org, x.agent, 1, x.series); err != nil {
		x.t.Fatal(err)
	}
}

// commit sends readings as one batch.
func (x *sender) commit(rs []meter.Reading) {
	x.t.Helper()
	b := wire.Batch{First: x.next, Count: uint64(len(rs))}
	x.next += b.Count
	by := map[meter.SeriesID][]meter.Reading{}
	for _, r := range rs {
		by[r.Series] = append(by[r.Series], r)
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		for _, r := range by[id] {
			x.note(r)
		}
		c, err := chunk.Append(nil, by[id])
		if err != nil {
			x.t.Fatal(err)
		}
		b.Blocks = append(b.Blocks, wire.Block{Series: id, Chunk: c})
	}
	if _, err := x.s.CommitBatch(context.Background(), x.org, x.agent, 1, b); err != nil {
		x.t.Fatal(err)
	}
}

func (x *sender) note(r meter.Reading) {
	if x.held[r.Series] == nil {
		x.held[r.Series] = map[meter.Millis]meter.Reading{}
	}
	switch before, ok := x.held[r.Series][r.At]; {
	case ok && before == r:
		x.duplicates++
	case ok:
		x.corrections++
	}
	x.held[r.Series][r.At] = r
}

// effective returns what should be held of a series, in time order.
func (x *sender) effective(id meter.SeriesID) []meter.Reading {
	return slices.SortedFunc(maps.Values(x.held[id]), func(a, b meter.Reading) int { return int(a.At - b.At) })
}

// checkReadings compares what SQL reads with the truth.
func (x *sender) checkReadings() {
	x.t.Helper()
	for _, d := range x.series {
		rows, err := x.s.Pool().Query(context.Background(), `
			select (extract(epoch from r.at) * 1000)::bigint, r.value, r.quality
			from point p join register g using (org_id, point_id) join meter m using (org_id, meter_id),
			     fluxora_readings(g.org_id, g.register_id, '-infinity', 'infinity') r
			where p.org_id = $1 and p.name = $2 and m.serial = $3 and g.name = $4 order by 1`, x.org, d.Point, d.Meter, d.Register)
		if err != nil {
			x.t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (meter.Reading, error) {
			r := meter.Reading{Series: d.ID}
			err := row.Scan(&r.At, &r.Value, &r.Quality)
			return r, err
		})
		if err != nil {
			x.t.Fatal(err)
		}
		if diff := cmp.Diff(x.effective(d.ID), got, cmpopts.EquateEmpty()); diff != "" {
			x.t.Fatalf("readings of %v: %s", d.Series, diff)
		}
	}
}

// checkDerived compares intervals and rollups with those made from scratch.
func (x *sender) checkDerived() {
	x.t.Helper()
	ctx := context.Background()
	points, err := x.s.Points(ctx, x.org)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, p := range points {
		for _, reg := range p.Registers {
			var samples []interval.Sample
			number := map[string]uint32{}
			for _, d := range x.series {
				if d.Point != p.Name {
					continue
				}
				number[d.Point]++
				if d.Register != reg {
					continue
				}
				for _, r := range x.effective(d.ID) {
					samples = append(samples, interval.Sample{At: r.At, Value: r.Value, Quality: r.Quality, Kind: d.Kind, Modulus: d.Modulus, Meter: number[d.Point]})
				}
			}
			slices.SortStableFunc(samples, func(a, b interval.Sample) int { return int(a.At - b.At) })
			o := interval.Options{Resolution: x.site.Resolution, MaxWatts: x.most}
			want, err := interval.Rebuild(samples, o)
			if err != nil {
				x.t.Fatal(err)
			}
			x.checkEvents(p.ID, reg, samples, o)
			got, err := x.s.Intervals(ctx, x.org, p.ID, reg, 0, 7_258_118_400_000)
			if err != nil {
				x.t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				x.t.Fatalf("intervals of %s %s: %s", p.Name, reg, diff)
			}
			for _, unit := range []string{store.Hour, store.Day, store.Month} {
				rows, err := x.s.EnergyRows(ctx, x.org, p.ID, string(reg), unit, time.UnixMilli(0), time.UnixMilli(7_258_118_400_000), 1_000_000)
				if err != nil {
					x.t.Fatal(err)
				}
				for i := range rows {
					rows[i].Start = rows[i].Start.UTC()
				}
				if diff := cmp.Diff(x.rollups(want, unit), rows, cmpopts.EquateEmpty()); diff != "" {
					x.t.Fatalf("%s rollups of %s %s: %s", unit, p.Name, reg, diff)
				}
			}
		}
	}
}

// checkEvents compares events with those of a fold from scratch. Of one instant and kind the table keeps the first.
func (x *sender) checkEvents(point uuid.UUID, register meter.Register, samples []interval.Sample, o interval.Options) {
	x.t.Helper()
	var want []interval.Event
	var state interval.State
	for _, n := range samples {
		err := state.Add(n, o, nil, func(e interval.Event) {
			same := func(o interval.Event) bool { return o.At == e.At && o.Kind == e.Kind }
			if e.Kind != interval.Duplicate && !slices.ContainsFunc(want, same) {
				want = append(want, e)
			}
		})
		if err != nil {
			x.t.Fatal(err)
		}
	}
	rows, err := x.s.Pool().Query(context.Background(), `
		select kind, (extract(epoch from at) * 1000)::bigint, (extract(epoch from before) * 1000)::bigint, from_value, to_value, energy
		from event where org_id = $1 and point_id = $2 and register = $3`, x.org, point, register)
	if err != nil {
		x.t.Fatal(err)
	}
	words := map[string]interval.EventKind{}
	for k := interval.Dip; k <= interval.Stuck; k++ {
		words[k.String()] = k
	}
	got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e interval.Event, err error) {
		var kind string
		err = row.Scan(&kind, &e.At, &e.Before, &e.From, &e.To, &e.Energy)
		e.Kind = words[kind]
		return e, err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	order := func(a, b interval.Event) int {
		return ordered.Or(ordered.Compare(a.At, b.At), ordered.Compare(a.Kind, b.Kind))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		x.t.Fatalf("events of %s: %s", register, diff)
	}
}

// rollups sums intervals with Go's calendar.
func (x *sender) rollups(is []interval.Interval, unit string) []store.EnergyRow {
	loc, err := time.LoadLocation(x.site.Zone)
	if err != nil {
		x.t.Fatal(err)
	}
	cal := interval.Calendar{Location: loc}
	var out []store.EnergyRow
	for _, v := range is {
		_, offset := v.Start.Time().In(loc).Zone() // of whole hours mostly, but not in Kathmandu
		local := time.Duration(offset) * time.Second
		start := v.Start.Add(local).Floor(time.Hour).Add(-local)
		switch unit {
		case store.Day:
			start, _ = cal.DayBounds(v.Start)
		case store.Month:
			start, _ = cal.MonthBounds(v.Start)
		}
		if len(out) == 0 || !out[len(out)-1].Start.Equal(start.Time()) {
			out = append(out, store.EnergyRow{Start: start.Time(), Quality: meter.Missing})
		}
		r := &out[len(out)-1]
		r.Energy += v.Energy
		r.Intervals++
		if v.Recovered {
			r.Recovered++
		}
		switch {
		case v.Quality == meter.Missing:
			r.Missing++
		case r.Quality == meter.Missing:
			r.Quality = v.Quality
		default:
			r.Quality = max(r.Quality, v.Quality)
		}
	}
	return out
}

func (x *sender) checkCounts() {
	x.t.Helper()
	var derived, merged, arrived, duplicates, corrections, readings, unmerged, level0, kept int64
	err := x.s.Pool().QueryRow(context.Background(), `
		select d.derived, d.merged, a.arrived, d.duplicates, d.corrections, d.readings, d.unmerged,
			(select count(*) from batch b where b.org_id = d.org_id), (select count(*) from correction c where c.org_id = d.org_id)
		from site_derived d join site_arrival a using (org_id, site_id) where d.org_id = $1`, x.org).
		Scan(&derived, &merged, &arrived, &duplicates, &corrections, &readings, &unmerged, &level0, &kept)
	if err != nil {
		x.t.Fatal(err)
	}
	if derived != arrived || merged != arrived || unmerged != 0 || level0 != 0 || readings != int64(x.next-1) {
		x.t.Fatalf("of %d arrivals %d derived, %d merged, %d batches left; %d of %d readings, %d unmerged", arrived, derived, merged, level0, readings, x.next-1, unmerged)
	}
	if duplicates != x.duplicates || corrections != x.corrections || kept != x.corrections {
		x.t.Fatalf("%d duplicates and %d corrections (%d kept), want %d and %d", duplicates, corrections, kept, x.duplicates, x.corrections)
	}
	var overlapping int
	err = x.s.Pool().QueryRow(context.Background(), `
		select count(*) from chunk a join chunk b using (org_id, register_id)
		where org_id = $1 and a.t_min < b.t_min and a.t_max >= b.t_min`, x.org).Scan(&overlapping)
	if err != nil || overlapping != 0 {
		x.t.Fatalf("%d chunks overlap (%v)", overlapping, err)
	}
}

var errCrash = errors.New("crash")

// TestAnyOrder is the promise of the package: whatever the order of arrival, the duplicates, the corrections, the cuts into
// batches and steps, and the crashes, what is derived equals what one fold over the effective readings gives.
func TestAnyOrder(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	fewer(t, 25)
	rapid.Check(t, func(rt *rapid.T) {
		// One seed drives everything, so that rapid can replay it and the stream of choices stays short.
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		site := store.Site{
			Name: "here", Zone: []string{"Europe/Oslo", "Asia/Kathmandu", "America/New_York", "Australia/Sydney"}[r.IntN(4)],
			Resolution: []time.Duration{15 * time.Minute, time.Hour}[r.IntN(2)],
		}
		if site.Zone == "Asia/Kathmandu" {
			site.Resolution = 15 * time.Minute
		}
		x := newSender(t, rt, s, site)
		d := derive.New(s, derive.Options{StepMost: int64(1 + r.IntN(200)), ChunkMost: 1 + r.IntN(100)})
		crash := false
		d.SetFault(func(string) error {
			if crash && r.IntN(3) == 0 {
				return errCrash
			}
			return nil
		})

		if r.IntN(2) == 0 {
			x.limit(20_000)
		}
		arrivals := story(r)
		for len(arrivals) > 0 {
			n := min(len(arrivals), 1+r.IntN(60))
			x.commit(arrivals[:n])
			arrivals = arrivals[n:]
			if r.IntN(20) == 0 { // somebody changes the settings of the agent
				x.limit([]float64{0, 10_000, 20_000}[r.IntN(3)])
			}
			for range r.IntN(3) {
				// Without due readings a step waits for its clock; zero means now.
				crash = r.IntN(3) == 0
				if _, err := d.StepDue(ctx, store.Due{MergeReadings: int64(r.IntN(3)) * 100, MergeAge: time.Hour}); err != nil && !errors.Is(err, errCrash) {
					rt.Fatal(err)
				}
				forgive(rt, s)
			}
		}
		crash = false
		x.checkReadings()
		if r.IntN(4) == 0 { // the site turns out to lie elsewhere
			x.site.Zone, x.site.Resolution = "America/Santiago", 30*time.Minute
			if err := s.UpdateSite(ctx, x.org, x.site); err != nil {
				rt.Fatal(err)
			}
		}
		if err := d.Drain(ctx); err != nil {
			rt.Fatal(err)
		}
		x.checkReadings()
		x.checkDerived()
		x.checkCounts()
		x.checkLedger(int64(x.next - 1))
	})
}

// fewer lowers rapid's default of 100 checks, each of which here talks to Postgres some hundred times; -rapid.checks raises it.
func fewer(t *testing.T, n int) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// forgive lets a site that crashed be tried again at once.
func forgive(t fataler, s *store.Store) {
	if _, err := s.Pool().Exec(context.Background(), `update site_derived set failures = 0 where failures > 0`); err != nil {
		t.Fatal(err)
	}
}

// story returns readings of all series in an order of arrival: mostly as meters send them, with everything that goes wrong.
func story(r *rand.Rand) []meter.Reading {
	// Around the ends of daylight saving time, and of months.
	start := []time.Time{
		time.Date(2024, 3, 28, 0, 0, 0, 0, time.UTC), time.Date(2024, 10, 25, 0, 0, 0, 0, time.UTC), time.Date(2024, 11, 1, 0, 0, 0, 0, time.UTC),
	}[r.IntN(3)].UnixMilli()
	var out []meter.Reading
	for _, d := range kinds {
		at, value := start+r.Int64N(3_600_000), int64(900_000_000)
		step := []int64{600_000, 900_000, 3_600_000}[r.IntN(3)]
		exact := r.IntN(2) == 0
		if exact {
			at = start
		}
		for range r.IntN(120) {
			rise := r.Int64N(3_000_000)
			switch r.IntN(40) {
			case 0:
				at += r.Int64N(5 * 86_400_000) // a gap
			case 1:
				value = r.Int64N(1000) // a reset or a dropout
			case 2:
				rise = -r.Int64N(500_000) // a dip
			case 3:
				value += 1_000_000_000_000 // a jump
			case 4: // garbage that agrees with itself, and back
				g := []int64{0, value * 1000, value / 1000, 0xffff_ffff_000, 1 << 42}[r.IntN(5)]
				for range 1 + r.IntN(3) {
					at += step
					out = append(out, meter.Reading{Series: d.ID, At: meter.Millis(at), Value: g})
				}
			case 5:
				at += 86_400_000
				rise = 0
			}
			at += step
			if !exact {
				at += r.Int64N(1000)
			}
			value = max(0, value+rise)
			v := value
			if d.Kind != meter.Counter {
				v = r.Int64N(2_000_000)
			}
			q := meter.Measured
			if r.IntN(20) == 0 {
				q = meter.Quality(r.IntN(5))
			}
			out = append(out, meter.Reading{Series: d.ID, At: meter.Millis(at), Value: v, Quality: q})
		}
	}
	switch r.IntN(3) {
	case 0: // in order over all series
		slices.SortStableFunc(out, func(a, b meter.Reading) int { return int(a.At - b.At) })
	case 1: // a stretch comes late
		slices.SortStableFunc(out, func(a, b meter.Reading) int { return int(a.At - b.At) })
		if len(out) > 10 {
			i := r.IntN(len(out) / 2)
			j := i + r.IntN(len(out)/2)
			late := slices.Clone(out[i:j])
			out = append(slices.Delete(out, i, j), late...)
		}
	case 2:
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	for range r.IntN(10) { // duplicates and corrections
		if len(out) == 0 {
			break
		}
		again := out[r.IntN(len(out))]
		if r.IntN(2) == 0 {
			again.Value += r.Int64N(1000)
		}
		out = slices.Insert(out, r.IntN(len(out)+1), again)
	}
	return out
}
