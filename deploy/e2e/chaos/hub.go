package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/meter"
)

// atHub is what Postgres says of the site.
type atHub struct {
	arrived, derived                  int64 // batches
	readings, duplicates, corrections int64 // derived
	restored                          int64 // came again because the hub had asked, and were missing or different: readings does not count them
}

// postgres connects to the hub's private server; the hub notes its URL beside its data while it runs.
func (w *world) postgres(ctx context.Context) (*pgx.Conn, error) {
	url, err := os.ReadFile(w.path("hub/database.url"))
	if err != nil {
		return nil, fmt.Errorf("find the hub's Postgres: %w", err)
	}
	c, err := pgx.Connect(ctx, strings.TrimSpace(string(url)))
	if err != nil {
		return nil, fmt.Errorf("ask the hub's Postgres: %w", err)
	}
	return c, nil
}

// query returns the rows of a query.
func query[T any](ctx context.Context, w *world, sql string, args ...any) ([]T, error) {
	c, err := w.postgres(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

func (w *world) atHub(ctx context.Context) (atHub, error) {
	type row struct{ Arrived, Derived, Readings, Duplicates, Corrections, Restored int64 }
	rows, err := query[row](ctx, w, `select a.arrived, coalesce(d.derived, 0), coalesce(d.readings, 0), coalesce(d.duplicates, 0), coalesce(d.corrections, 0),
			(select coalesce(sum(l.restored), 0)::bigint from ledger l join agent g using (org_id, agent_id) where g.org_id = s.org_id and g.site_id = s.site_id)
		from site s join site_arrival a using (org_id, site_id) left join site_derived d using (org_id, site_id) where s.name = $1`, site)
	if err != nil || len(rows) == 0 {
		return atHub{}, err
	}
	r := rows[0]
	return atHub{r.Arrived, r.Derived, r.Readings, r.Duplicates, r.Corrections, r.Restored}, nil
}

// readings returns the effective readings of a series since an instant, by plain SQL, and how many instants came twice.
func (w *world) readings(ctx context.Context, s series, from meter.Millis) (map[meter.Millis]value, int, error) {
	type row struct {
		At, Value int64
		Quality   int16
	}
	rows, err := query[row](ctx, w, `select (extract(epoch from r.at) * 1000)::bigint, r.value, r.quality
		from register g
		join meter m using (org_id, meter_id)
		join point p on p.org_id = g.org_id and p.point_id = g.point_id
		join site s on s.org_id = p.org_id and s.site_id = p.site_id
		cross join lateral fluxora_readings(g.org_id, g.register_id, $4, 'infinity') r
		where s.name = $1 and p.name = $2 and g.name = $3`, site, s.Point, string(s.Register), from.Time())
	if err != nil {
		return nil, 0, fmt.Errorf("read %s of %s at the hub: %w", s.Register, s.Point, err)
	}
	out, twice := make(map[meter.Millis]value, len(rows)), 0
	for _, r := range rows {
		if _, ok := out[meter.Millis(r.At)]; ok {
			twice++
		}
		out[meter.Millis(r.At)] = value{r.Value, meter.Quality(r.Quality)}
	}
	return out, twice, nil
}

// earlier returns the values that were replaced by later ones, by instant.
func (w *world) earlier(ctx context.Context, s series) (map[meter.Millis]map[int64]bool, error) {
	type row struct{ At, Value int64 }
	rows, err := query[row](ctx, w, `select (extract(epoch from c.at) * 1000)::bigint, c.before_value
		from correction c
		join register g using (org_id, register_id)
		join point p on p.org_id = g.org_id and p.point_id = g.point_id
		join site s on s.org_id = p.org_id and s.site_id = p.site_id
		where s.name = $1 and p.name = $2 and g.name = $3`, site, s.Point, string(s.Register))
	if err != nil {
		return nil, fmt.Errorf("read corrections of %s at the hub: %w", s.Point, err)
	}
	out := make(map[meter.Millis]map[int64]bool)
	for _, r := range rows {
		if out[meter.Millis(r.At)] == nil {
			out[meter.Millis(r.At)] = make(map[int64]bool)
		}
		out[meter.Millis(r.At)][r.Value] = true
	}
	return out, nil
}

// holds reports whether the hub has a reading.
func (w *world) holds(ctx context.Context, s series, at meter.Millis) (bool, error) {
	rs, _, err := w.readings(ctx, s, at)
	_, ok := rs[at]
	return ok, err
}

// settle waits until the mark is at the hub, nothing is pending and everything is derived. The limit is on the time without
// progress.
func (w *world) settle(ctx context.Context, mark series, at meter.Millis) error {
	const patience = 90 * time.Second
	last, progress := "", time.Now()
	for {
		// In this order: what the agent took before the mark is pending once the mark is at the hub, and derived later still.
		held, err := w.holds(ctx, mark, at)
		here, err2 := w.agent.Books(ctx)
		there, err3 := w.atHub(ctx)
		err = errors.Join(err, err2, err3)
		state := fmt.Sprintf("mark %t, agent %+v, hub %+v (%v)", held, here, there, err)
		if err == nil && held && here.Pending == 0 && there.arrived == there.derived {
			return nil
		}
		for _, p := range w.processes() {
			if !p.Running() {
				return fmt.Errorf("%s %w; the end of its log:\n%s", p.Name, stage.ErrEnded, p.Tail(10))
			}
		}
		if state != last {
			last, progress = state, time.Now()
		}
		if time.Since(progress) > patience {
			return fmt.Errorf("does not settle: nothing moved for %s: %s", patience, state)
		}
		pause(ctx, 250*time.Millisecond)
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
}
