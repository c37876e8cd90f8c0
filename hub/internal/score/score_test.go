package score_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/score"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

const hour = meter.Millis(3_600_000)

var start = meter.MillisOf(time.Date(2024, 3, 28, 0, 0, 0, 0, time.UTC)) // daylight saving time begins on the 31st

// fixture is a site whose agent sends readings and forecasts.
type fixture struct {
	t     interface{ Fatal(...any) }
	s     *store.Store
	org   uuid.UUID
	site  store.Site
	agent uuid.UUID
	next  uint64
}

func newFixture(tb testing.TB, t interface{ Fatal(...any) }, s *store.Store) *fixture {
	org, site, agent := storetest.Site(tb, s, uuid.NewString()[:8], store.Site{Name: "here", Zone: "Europe/Oslo", Resolution: time.Hour})
	x := &fixture{t: t, s: s, org: org, site: site, agent: agent, next: 1}
	if _, err := s.OpenSession(context.Background(), org, agent, wire.Hello{Epoch: 1, Next: 1}); err != nil {
		t.Fatal(err)
	}
	err := s.Declare(context.Background(), org, agent, 1, []wire.Series{{ID: 1, Series: meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter}}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *fixture) commit(rs ...meter.Reading) {
	c, err := chunk.Append(nil, rs)
	if err != nil {
		x.t.Fatal(err)
	}
	b := wire.Batch{First: x.next, Count: uint64(len(rs)), Blocks: []wire.Block{{Series: 1, Chunk: c}}}
	if _, err := x.s.CommitBatch(context.Background(), x.org, x.agent, 1, b); err != nil {
		x.t.Fatal(err)
	}
	x.next += b.Count
}

func (x *fixture) forecast(r *rand.Rand, origin meter.Millis, resolution time.Duration, steps int) {
	f := forecast.Forecast{
		Point: "main", Register: meter.EnergyImport, Origin: origin, Resolution: resolution, Levels: []float64{0.1, 0.5, 0.9},
		Rung: forecast.Baseline, Completeness: 1, Issued: origin + meter.Millis(r.IntN(1000)),
	}
	if r.IntN(2) == 0 {
		f.Rung, f.Model = forecast.Active, models[r.IntN(len(models))].String()
	}
	for range steps {
		v := r.Float64() * 2000
		f.Values = append(f.Values, v, v+100, v+900)
	}
	if err := x.s.PutForecasts(context.Background(), x.org, x.agent, []forecast.Forecast{f}); err != nil {
		x.t.Fatal(err)
	}
}

var models = []uuid.UUID{uuid.MustParse("11111111-1111-4111-8111-111111111111"), uuid.MustParse("22222222-2222-4222-8222-222222222222")}

// brute holds every forecast of the database against every interval, and returns the errors by day, rung and model.
func (x *fixture) brute() map[string]forecast.Score {
	ctx := context.Background()
	actual := map[int64]float64{}
	rows, err := x.s.Pool().Query(ctx, `select (extract(epoch from start) * 1000)::bigint, wh::float8 from interval where org_id = $1 and quality < 4 and not recovered`, x.org)
	if err != nil {
		x.t.Fatal(err)
	}
	for rows.Next() {
		var at int64
		var wh float64
		if err := rows.Scan(&at, &wh); err != nil {
			x.t.Fatal(err)
		}
		actual[at] = wh
	}
	out := map[string]forecast.Score{}
	rows, err = x.s.Pool().Query(ctx, `
		select (extract(epoch from f.origin) * 1000)::bigint, f.resolution_ms, f.levels, f.wh, f.rung, coalesce(f.model_id, '00000000-0000-0000-0000-000000000000')
		from forecast f join fold d using (org_id, point_id, register, resolution_ms) where f.org_id = $1`, x.org)
	if err != nil {
		x.t.Fatal(err)
	}
	for rows.Next() {
		var origin, ms int64
		var levels, wh []float64
		var rung string
		var model uuid.UUID
		if err := rows.Scan(&origin, &ms, &levels, &wh, &rung, &model); err != nil {
			x.t.Fatal(err)
		}
		for step := 0; step < len(wh)/len(levels); step++ {
			at := origin + int64(step)*ms
			if e, ok := actual[at]; ok {
				k := fmt.Sprint(time.UnixMilli(at).UTC().Format(time.DateOnly), " ", rung, " ", model)
				s := out[k]
				s.Add(levels, wh[step*len(levels):(step+1)*len(levels)], e)
				out[k] = s
			}
		}
	}
	return out
}

// check compares the table with brute force.
func (x *fixture) check() {
	rows, err := x.s.ForecastErrors(context.Background(), x.org, uuid.Nil, time.Unix(0, 0), time.Unix(1<<32, 0))
	if err != nil {
		x.t.Fatal(err)
	}
	want := x.brute()
	if len(rows) != len(want) {
		x.t.Fatal(fmt.Sprintf("%d rows: want %d", len(rows), len(want)))
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(b)) }
	for _, r := range rows {
		k := fmt.Sprint(r.Day.Format(time.DateOnly), " ", r.Rung, " ", r.Model)
		w, ok := want[k]
		if !ok || r.Count != w.Count || r.Covered != w.Covered || !near(r.Actual, w.Actual) || !near(r.AbsErr, w.AbsErr) || !near(r.SquErr, w.SquErr) ||
			!near(r.Err, w.Err) || !near(r.Pinball, w.Pinball) || !near(r.Breadth, w.Breadth) {
			x.t.Fatal(fmt.Sprintf("%s: %+v: want %+v", k, r.Score, w))
		}
	}
}

// TestErrorsFollow is the promise: whatever readings and forecasts come, late, again, corrected or replaced, in any order, and whatever
// becomes of the site's zone and resolution, the errors are those of every forecast held against every interval.
func TestErrorsFollow(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	checks := 15
	if testing.Short() {
		checks = 4
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for n := range checks {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		x := newFixture(t, t, s)
		d, k := derive.New(s, derive.Options{StepMost: int64(1 + r.IntN(60))}), score.New(s, score.Options{})
		drain := func() {
			if err := d.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			if err := k.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			x.check()
		}
		values, now := map[meter.Millis]int64{}, start
		for range 40 {
			switch r.IntN(8) {
			case 0, 1, 2: // what is measured, with gaps
				var rs []meter.Reading
				for range 1 + r.IntN(30) {
					now += []meter.Millis{hour, hour, hour, hour / 4, 5 * hour}[r.IntN(5)]
					values[now] = int64(now-start)/int64(hour)*1_000_000 + r.Int64N(900_000)
					rs = append(rs, meter.Reading{Series: 1, At: now, Value: values[now]})
				}
				x.commit(rs...)
			case 3: // late, or corrected
				at := start + meter.Millis(r.Int64N(int64(now-start)+1))
				x.commit(meter.Reading{Series: 1, At: at, Value: int64(at-start)/int64(hour)*1_000_000 + r.Int64N(900_000)})
			case 4, 5: // a forecast, maybe of an origin that had one, late or ahead of what is measured
				origin := (start + meter.Millis(r.Int64N(int64(now-start)+24*int64(hour)))).Floor(time.Hour)
				x.forecast(r, origin, []time.Duration{time.Hour, time.Hour, 15 * time.Minute}[r.IntN(3)], 1+r.IntN(60))
			case 6:
				if r.IntN(4) == 0 {
					if _, err := s.Pool().Exec(ctx, `update site set resolution_ms = $2 where org_id = $1`, x.org, []int64{900_000, 3_600_000}[r.IntN(2)]); err != nil {
						t.Fatal(err)
					}
				}
			case 7:
				drain()
			}
		}
		drain()
		if f, err := s.Fleet(ctx); err != nil || f.Unscored != 0 {
			t.Errorf("%d days are marked still, %v", f.Unscored, err)
		}
	}
}
