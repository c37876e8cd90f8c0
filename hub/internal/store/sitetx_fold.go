package store

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// Fold is where the fold of a stream stands.
type Fold struct {
	First, Last meter.Millis // of the readings held
	State       interval.State
}

// Folds returns the folds of the site's streams. A stream without readings has none.
func (t *SiteTx) Folds() (map[Stream]Fold, error) {
	rows, err := t.tx.Query(t.ctx, `
		select f.point_id, f.register, f.first_at, f.last_at, f.state
		from point p join fold f on f.org_id = p.org_id and f.point_id = p.point_id
		where p.org_id = $1 and p.site_id = $2`, t.Org, t.Site)
	if err != nil {
		return nil, fmt.Errorf("read folds: %w", err)
	}
	out := map[Stream]Fold{}
	var k Stream
	var f Fold
	var state []byte
	_, err = pgx.ForEachRow(rows, []any{&k.Point, &k.Register, &f.First, &f.Last, &state}, func() error {
		if err := f.State.UnmarshalBinary(state); err != nil {
			return fmt.Errorf("point %s: %w", k.Point, err)
		}
		out[k] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read folds: %w", err)
	}
	return out, nil
}

// PutFold keeps where the fold of a stream stands.
func (t *SiteTx) PutFold(k Stream, f Fold) error {
	state, err := f.State.MarshalBinary()
	if err != nil {
		return err
	}
	_, err = t.tx.Exec(t.ctx, `
		insert into fold (org_id, point_id, register, resolution_ms, zone, first_at, last_at, state)
		values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (org_id, point_id, register) do update
		set resolution_ms = excluded.resolution_ms, zone = excluded.zone, first_at = excluded.first_at, last_at = excluded.last_at, state = excluded.state`,
		t.Org, k.Point, string(k.Register), t.Resolution.Milliseconds(), t.Zone, int64(f.First), int64(f.Last), state)
	if err != nil {
		return fmt.Errorf("put fold: %w", err)
	}
	return nil
}

// Rewrite is a stretch of a stream's intervals and events as it now is.
type Rewrite struct {
	From, To   meter.Millis // intervals that start in [From, To) are replaced
	Intervals  []interval.Interval
	After, Til meter.Millis // events in (After, Til] are replaced
	Events     []interval.Event
}

// Rewrite replaces a stretch of a stream's intervals and events and brings the rollups it touches up to date.
func (t *SiteTx) Rewrite(k Stream, w Rewrite) error {
	if err := t.rewriteEvents(k, w); err != nil {
		return fmt.Errorf("rewrite events: %w", err)
	}
	n := len(w.Intervals)
	start, wh := make([]time.Time, n), make([]int64, n)
	quality, recovered := make([]int16, n), make([]bool, n)
	for i, v := range w.Intervals {
		start[i], wh[i], quality[i], recovered[i] = v.Start.Time(), int64(v.Energy), int16(v.Quality), v.Recovered
	}
	var low, high *time.Time // touched
	if n > 0 {
		low, high = &start[0], &start[n-1]
	}
	ask := &pgx.Batch{}
	ask.Queue(`
		with gone as (
			delete from interval where org_id = $1 and point_id = $2 and register = $3 and start >= $4 and start < $5 returning start)
		select least(min(start), $6), greatest(max(start), $7) from gone`,
		t.Org, k.Point, string(k.Register), clamp(w.From), clamp(w.To), low, high).
		QueryRow(func(row pgx.Row) error { return row.Scan(&low, &high) })
	if n > 0 {
		ask.Queue(`
			insert into interval (org_id, point_id, register, start, wh, quality, recovered)
			select $1, $2, $3, * from unnest($4::timestamptz[], $5::bigint[], $6::smallint[], $7::boolean[])`,
			t.Org, k.Point, string(k.Register), start, wh, quality, recovered)
	}
	if err := t.tx.SendBatch(t.ctx, ask).Close(); err != nil {
		return fmt.Errorf("rewrite intervals: %w", err)
	}
	if low == nil {
		return nil
	}
	return t.rollUp(k, *low, *high)
}

// rollUp makes the rollups anew whose hours, days and months touch [low, high], and marks the errors of forecasts there. Those of
// months are summed from days.
func (t *SiteTx) rollUp(k Stream, low, high time.Time) error {
	ask := &pgx.Batch{}
	for _, unit := range []string{Hour, Day, Month} {
		source, sums := `interval where`, `count(*), count(*) filter (where quality = 4), count(*) filter (where recovered)`
		if unit == Month {
			source, sums = `rollup where unit = 'day' and`, `sum(intervals), sum(missing), sum(recovered)`
		}
		// Where the unit ends that holds high is reckoned in local time, except for hours, which may come twice.
		end := `(date_trunc($4, $7::timestamptz at time zone $5) + ('1 ' || $4)::interval) at time zone $5`
		if unit == Hour {
			end = `date_trunc($4, $7::timestamptz, $5) + interval '1 hour'`
		}
		args := []any{t.Org, k.Point, string(k.Register), unit, t.Zone, low, high}
		ask.Queue(`
			delete from rollup where org_id = $1 and point_id = $2 and register = $3 and unit = $4
			and start >= date_trunc($4, $6::timestamptz, $5) and start <= $7`, args...)
		ask.Queue(`
			insert into rollup (org_id, point_id, register, unit, start, wh, intervals, missing, recovered, quality)
			select $1, $2, $3, $4, date_trunc($4, start, $5), sum(wh), `+sums+`, coalesce(max(quality) filter (where quality < 4), 4)
			from `+source+` org_id = $1 and point_id = $2 and register = $3
			and start >= date_trunc($4, $6::timestamptz, $5) and start < `+end+`
			group by date_trunc($4, start, $5)`, args...)
	}
	markErrors(ask, t.Org, k, low, high)
	if err := t.tx.SendBatch(t.ctx, ask).Close(); err != nil {
		return fmt.Errorf("roll up: %w", err)
	}
	return nil
}

func (t *SiteTx) rewriteEvents(k Stream, w Rewrite) error {
	_, err := t.tx.Exec(t.ctx, `delete from event where org_id = $1 and point_id = $2 and register = $3 and at > $4 and at <= $5`,
		t.Org, k.Point, string(k.Register), clamp(w.After), clamp(w.Til))
	if err != nil || len(w.Events) == 0 {
		return err
	}
	ask := &pgx.Batch{}
	for _, e := range w.Events {
		ask.Queue(`
			insert into event (org_id, point_id, register, at, kind, before, from_value, to_value, energy)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing`,
			t.Org, k.Point, string(k.Register), clamp(e.At), e.Kind.String(), clamp(e.Before), e.From, e.To, e.Energy)
	}
	return t.tx.SendBatch(t.ctx, ask).Close()
}

// Forget removes every interval, rollup, event and fold of a stream.
func (t *SiteTx) Forget(k Stream) error {
	var low, high *time.Time
	err := t.tx.QueryRow(t.ctx, `select min(start), max(start) from interval where org_id = $1 and point_id = $2 and register = $3`,
		t.Org, k.Point, string(k.Register)).Scan(&low, &high)
	if err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	if low != nil {
		ask := &pgx.Batch{}
		markErrors(ask, t.Org, k, *low, *high)
		if err := t.tx.SendBatch(t.ctx, ask).Close(); err != nil {
			return fmt.Errorf("forget: %w", err)
		}
	}
	for _, table := range []string{"interval", "rollup", "event", "fold"} {
		if _, err := t.tx.Exec(t.ctx, `delete from `+table+` where org_id = $1 and point_id = $2 and register = $3`, t.Org, k.Point, string(k.Register)); err != nil {
			return fmt.Errorf("forget %s: %w", table, err)
		}
	}
	return nil
}

// clamp returns the instant m, brought within what Postgres can hold.
func clamp(m meter.Millis) time.Time {
	const far = 10_000_000_000_000 // year 2286
	return min(max(m, -far), far).Time()
}
