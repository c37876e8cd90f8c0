package derive_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// resend answers every request that the hub has for the agent, in parts of a few hours, now and then sending a part twice.
func (x *sender) resend(r *rand.Rand) {
	x.t.Helper()
	ctx := context.Background()
	for {
		q, ok, err := x.s.NextResend(ctx, x.org, x.agent)
		if err != nil {
			x.t.Fatal(err)
		}
		if !ok {
			return
		}
		for from := q.From; from < q.To; {
			to := min(from+meter.Millis(1+r.Int64N([]int64{86_400_000, 90 * 86_400_000}[r.IntN(2)])), q.To)
			p := wire.Resent{ID: q.ID, From: from, To: to, Done: to == q.To}
			for _, d := range x.series {
				if d.Point != q.Point || q.Register != "" && d.Register != q.Register {
					continue
				}
				var rs []meter.Reading
				for _, v := range x.effective(d.ID) {
					if v.At >= from && v.At < to {
						rs = append(rs, v)
					}
				}
				if len(rs) == 0 {
					continue
				}
				b, err := chunk.Append(nil, rs)
				if err != nil {
					x.t.Fatal(err)
				}
				p.Blocks = append(p.Blocks, wire.Block{Series: d.ID, Chunk: b})
				p.Held += uint64(len(rs))
			}
			for range 1 + r.IntN(2) {
				if err := x.s.CommitResent(ctx, x.org, x.agent, 1, p); err != nil {
					x.t.Fatal(err)
				}
			}
			from = to
		}
	}
}

func (x *sender) exec(sql string, args ...any) int64 {
	x.t.Helper()
	tag, err := x.s.Pool().Exec(context.Background(), sql, args...)
	if err != nil {
		x.t.Fatal(err)
	}
	return tag.RowsAffected()
}

// TestResync is the promise that an operator relies on: whatever rows of readings, intervals or rollups somebody deleted, sending the
// time again restores exactly those, and all that is derived equals a fold from scratch.
func TestResync(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	fewer(t, 12)
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
		x := newSender(t, rt, s, store.Site{Name: "here", Zone: "Europe/Oslo", Resolution: 15 * time.Minute})
		d := derive.New(s, derive.Options{StepMost: int64(1 + r.IntN(500)), ChunkMost: 1 + r.IntN(60)})
		arrivals := story(r)
		for len(arrivals) > 0 {
			n := min(len(arrivals), 1+r.IntN(80))
			x.commit(arrivals[:n])
			arrivals = arrivals[n:]
			if r.IntN(2) == 0 {
				if _, err := d.StepDue(ctx, store.Due{MergeReadings: int64(r.IntN(3)) * 100, MergeAge: time.Hour}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if r.IntN(3) > 0 {
			if err := d.Drain(ctx); err != nil {
				rt.Fatal(err)
			}
		} else { // leave some in batches
			for {
				more, err := d.StepDue(ctx, store.Due{MergeReadings: 1 << 40, MergeAge: 1000 * time.Hour})
				if err != nil {
					rt.Fatal(err)
				}
				if !more {
					break
				}
			}
		}

		for range 1 + r.IntN(3) {
			switch r.IntN(4) {
			case 0:
				x.exec(`delete from chunk where org_id = $1 and t_min % 3 = $2`, x.org, r.IntN(3))
			case 1:
				x.exec(`delete from batch b using site_derived d where b.org_id = $1 and d.org_id = $1 and b.arrival <= d.derived and b.arrival % 3 = $2`, x.org, r.IntN(3))
			case 2:
				x.exec(`delete from interval where org_id = $1 and extract(hour from start) < $2`, x.org, r.IntN(25))
			case 3:
				for _, table := range []string{"chunk", "batch", "interval", "rollup", "event", "fold"} {
					x.exec(`delete from ` + table + ` where org_id = '` + x.org.String() + `'`)
				}
			}
		}
		for _, point := range []string{"main", "shed"} {
			if _, err := s.PutResend(ctx, x.org, x.site.Name, point, "", 1_711_000_000_000, 1_741_000_000_000); err != nil {
				rt.Fatal(err)
			}
		}
		x.resend(r)
		if err := d.Drain(ctx); err != nil {
			rt.Fatal(err)
		}
		x.checkReadings()
		x.checkDerived()
		x.checkLedger(int64(x.next - 1))
		for _, v := range mustResends(rt, s, x.org) {
			if !v.Done {
				rt.Fatalf("%+v is not done", v)
			}
		}
	})
}

func mustResends(t fataler, s *store.Store, org uuid.UUID) []store.Resend {
	t.Helper()
	rs, err := s.Resends(context.Background(), org, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// checkLedger checks that every reading which came under a sequence is in one account, duplicates and corrections counted apart.
func (x *sender) checkLedger(received int64) {
	x.t.Helper()
	sum, err := x.s.LedgerTotals(context.Background(), x.org, store.LedgerQuery{})
	if err != nil {
		x.t.Fatal(err)
	}
	if sum.Received != received || sum.Duplicates != x.duplicates || sum.Corrections != x.corrections {
		x.t.Fatalf("ledger %+v: want %d received, %d duplicates, %d corrections", sum, received, x.duplicates, x.corrections)
	}
}

// TestReconcile takes a hub that lost readings, and its account of them, through alarm, resend and the end of the alarm.
func TestReconcile(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	r := rand.New(rand.NewPCG(1, 1))
	for _, tc := range []struct {
		name          string
		trimmed       bool // the agent's log no longer holds the day
		settled, lost int64
	}{{"agent holds it", false, 96, 0}, {"agent holds it no more", true, 0, 96}} {
		t.Run(tc.name, func(t *testing.T) {
			x := newSender(t, t, s, store.Site{Name: "here", Resolution: 15 * time.Minute})
			d := derive.New(s, derive.Options{})
			day := int32(20_000)
			var rs []meter.Reading
			for i := range 3 * 96 {
				rs = append(rs, meter.Reading{Series: 4, At: meter.Millis(int64(day)*86_400_000 + int64(i)*900_000), Value: int64(i) * 1000})
			}
			x.commit(rs[:200])
			if err := d.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			x.commit(rs[200:]) // committed, not derived

			claim := wire.Ledger{ID: 1, Since: 1}
			for i := range int32(3) {
				claim.Entries = append(claim.Entries, wire.LedgerEntry{Point: "shed", Register: meter.EnergyImport, Day: day + i, Received: 97, Delivered: 96, Pending: 1})
			}
			claim.Entries = append(claim.Entries, wire.LedgerEntry{Day: day, Received: 2, Quarantined: 2})
			reconcile := func(want int) {
				t.Helper()
				ds, compared, err := s.Reconcile(ctx, x.org, x.agent, 1, claim)
				if err != nil || !compared || len(ds) != want {
					t.Fatalf("%+v, %t, %v: want %d differences", ds, compared, err, want)
				}
				f, err := s.Fleet(ctx)
				if err != nil || (f.Unbalanced > 0) != (want > 0) {
					t.Fatalf("metric says %d (%v): want an alarm, %t", f.Unbalanced, err, want > 0)
				}
			}
			reconcile(0)
			if err := d.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			reconcile(0)

			x.exec(`delete from ledger where org_id = $1 and day = date '1970-01-01' + $2::int`, x.org, day+1)
			from := int64(day+1) * 86_400_000
			x.exec(`delete from chunk where org_id = $1`, x.org)
			for _, v := range rs {
				if int64(v.At) < from || int64(v.At) >= from+86_400_000 {
					x.exec(`delete from interval where org_id = $1 and start = $2`, x.org, v.At.Time())
				}
			}
			reconcile(1)
			reconcile(1) // asks once
			if n := len(mustResends(t, s, x.org)); n != 1 {
				t.Fatalf("%d requests", n)
			}
			held := x.held
			if tc.trimmed {
				x.held = nil
			}
			x.resend(r)
			x.held = held
			if err := d.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			reconcile(0)
			sum, err := s.LedgerTotals(ctx, x.org, store.LedgerQuery{Site: "here", Point: "shed"})
			if err != nil || sum.Settled != tc.settled || sum.Lost != tc.lost || sum.Differing != 0 || sum.Claimed.Delivered != 3*96 {
				t.Errorf("%+v, %v: want %d settled, %d lost", sum, err, tc.settled, tc.lost)
			}
			rows, err := s.LedgerRows(ctx, x.org, store.LedgerQuery{Site: "here"}, store.LedgerAfter{}, 2)
			if err != nil || len(rows) != 2 {
				t.Fatalf("%+v, %v", rows, err)
			}
			rest, err := s.LedgerRows(ctx, x.org, store.LedgerQuery{Site: "here"}, rows[1].After(), 10)
			if err != nil || len(rest) != 2 || rest[0].Day.Before(rows[1].Day) {
				t.Errorf("second page %+v, %v", rest, err)
			}
		})
	}
}

// TestSurplus takes accounts of which more is here than the agent calls delivered through a difference: one that is named, when what the
// agent wrote off explains it, and one that stays, when nothing does.
func TestSurplus(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	x := newSender(t, t, s, store.Site{Name: "here", Resolution: 15 * time.Minute})
	d := derive.New(s, derive.Options{})
	const day = int32(20_000)
	var rs []meter.Reading
	for i := range 96 {
		rs = append(rs, meter.Reading{Series: 4, At: meter.Millis(int64(day)*86_400_000 + int64(i)*900_000), Value: int64(i) * 1000})
	}
	x.commit(rs)
	if err := d.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name                      string
		delivered, evicted, since uint64
		differs, left, sum        int64 // told now, told the next time, surplus then
	}{
		{"balanced", 96, 0, 1, 0, 0, 0},
		{"some were written off on their way", 90, 6, 1, -6, 0, 6},
		{"more of them", 88, 8, 1, -2, 0, 8},
		{"the agent learnt that they arrived", 96, 0, 1, 0, 0, 0},
		{"fewer are known to the agent than are here", 90, 2, 1, -6, -6, 0},
		{"the agent lost its books", 10, 0, 500, -86, 0, 86},
	} {
		claim := wire.Ledger{ID: 1, Since: step.since, Entries: []wire.LedgerEntry{
			{Point: "shed", Register: meter.EnergyImport, Day: day, Received: step.delivered + step.evicted, Delivered: step.delivered, Evicted: step.evicted},
		}}
		for i, want := range []int64{step.differs, step.left} {
			ds, compared, err := s.Reconcile(ctx, x.org, x.agent, 1, claim)
			if err != nil || !compared || (want == 0) != (len(ds) == 0) || want != 0 && (ds[0].Readings != want || ds[0].Surplus != (step.left == 0)) {
				t.Fatalf("%s, comparison %d: %+v, %t, %v: want a difference of %d", step.name, i+1, ds, compared, err, want)
			}
		}
		sum, err := s.LedgerTotals(ctx, x.org, store.LedgerQuery{})
		if err != nil || sum.Surplus != step.sum || sum.Settled != 0 || sum.Resends != 0 {
			t.Errorf("%s: %+v, %v: want a surplus of %d", step.name, sum, err, step.sum)
		}
		if f, err := s.Fleet(ctx); err != nil || f.Surplus != step.sum || f.Unbalanced != -step.left {
			t.Errorf("%s: the metrics say %d and %d (%v)", step.name, f.Surplus, f.Unbalanced, err)
		}
	}
}

// TestEdgesOfTime derives readings at the edges that clocks and their formats have: every quarter of an hour has its energy, and days
// and months add up.
func TestEdgesOfTime(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	for name, at := range map[string]time.Time{
		"1970":                            time.Date(1970, 2, 2, 0, 0, 0, 0, time.UTC),
		"a leap second":                   time.Date(2016, 12, 31, 12, 0, 0, 0, time.UTC),
		"an hour that is skipped":         time.Date(2026, 3, 28, 18, 0, 0, 0, time.UTC),
		"an hour that comes twice":        time.Date(2026, 10, 24, 18, 0, 0, 0, time.UTC),
		"a leap day":                      time.Date(2028, 2, 28, 18, 0, 0, 0, time.UTC),
		"what signed 32 bits cannot hold": time.Date(2038, 1, 18, 21, 0, 0, 0, time.UTC),
		"a year that is no leap year":     time.Date(2100, 2, 28, 6, 0, 0, 0, time.UTC),
		"what 32 bits cannot hold":        time.Date(2106, 2, 6, 21, 0, 0, 0, time.UTC),
		"the last that is taken":          time.Date(2199, 12, 30, 18, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			x := newSender(t, t, s, store.Site{Name: "here", Zone: "Europe/Oslo", Resolution: 15 * time.Minute})
			var rs []meter.Reading
			for i := range 24*4 + 1 {
				rs = append(rs, meter.Reading{Series: 1, At: meter.MillisOf(at).Add(time.Duration(i) * 15 * time.Minute), Value: 1_000_000_000 + int64(i)*250_000})
			}
			x.commit(rs)
			if err := derive.New(s, derive.Options{}).Drain(ctx); err != nil {
				t.Fatal(err)
			}
			for table, want := range map[string]string{"interval": "", "rollup": " and unit = 'hour'", "rollup ": " and unit = 'day'", "rollup  ": " and unit = 'month'"} {
				var sum int64
				err := s.Pool().QueryRow(ctx, `select coalesce(sum(wh), 0)::bigint from `+table+` where org_id = $1`+want, x.org).Scan(&sum)
				if err != nil || sum != 24_000 {
					t.Errorf("the sum of %s%s is %d Wh, %v: want 24,000", table, want, sum, err)
				}
			}
			x.checkDerived()
		})
	}
}

// TestCompleteness names what is missing.
func TestCompleteness(t *testing.T) {
	s := storetest.Open(t)
	ctx := t.Context()
	x := newSender(t, t, s, store.Site{Name: "here", Resolution: time.Hour})
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, h := range []int{0, 1, 2, 6, 7, 12} {
		x.commit([]meter.Reading{{Series: 4, At: meter.MillisOf(start.Add(time.Duration(h) * time.Hour)), Value: 1000}})
		x.next++ // one never comes
	}
	if err := derive.New(s, derive.Options{}).Drain(ctx); err != nil {
		t.Fatal(err)
	}
	x.exec(`delete from interval where org_id = $1 and start >= $2 and start < $3`, x.org, start.Add(3*time.Hour), start.Add(5*time.Hour))
	gaps, err := s.Gaps(ctx, x.org, "here")
	if err != nil || len(gaps) != 1 || len(gaps[0].Missing) != 5 || gaps[0].Missing[0] != (wire.Range{First: 2, End: 3}) {
		t.Errorf("sequences %+v, %v", gaps, err)
	}
	points, err := s.MissingIntervals(ctx, x.org, "here", start, start.Add(24*time.Hour), 100)
	if err != nil || len(points) != 1 {
		t.Fatalf("intervals %+v, %v", points, err)
	}
	var last store.TimeRange
	found := false
	for _, m := range points[0].Missing {
		found = found || !m.From.After(start.Add(3*time.Hour)) && !m.To.Before(start.Add(5*time.Hour))
		last = m
	}
	if !found || !last.To.Equal(start.Add(24*time.Hour)) {
		t.Errorf("missing %+v: want three to five o'clock, and the end of the day", points[0].Missing)
	}
}
