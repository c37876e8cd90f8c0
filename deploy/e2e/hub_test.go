package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/meter"
)

// postgres connects to the hub's private server; the hub notes its URL beside its data while it runs.
func (w *world) postgres(ctx context.Context) (*pgx.Conn, error) {
	url, err := os.ReadFile(w.path("hub/database.url"))
	if err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, strings.TrimSpace(string(url)))
}

// query returns the rows of a query.
func query[T any](w *world, ctx context.Context, sql string, args ...any) ([]T, error) {
	c, err := w.postgres(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// exec changes something behind the hub's back.
func (w *world) exec(sql string, args ...any) {
	w.Helper()
	c, err := w.postgres(w.ctx)
	w.must("connect to Postgres", err)
	defer c.Close(w.ctx)
	_, err = c.Exec(w.ctx, sql, args...)
	w.must(sql, err)
}

// number returns the one number that a query gives.
func (w *world) number(sql string, args ...any) int64 {
	w.Helper()
	rows, err := query[struct{ N int64 }](w, w.ctx, sql, args...)
	w.must(sql, err)
	return rows[0].N
}

// drained waits until the agent has taken at least so many readings and the hub has committed all it took.
func (w *world) drained(taken int) {
	w.Helper()
	w.waitStatus(w.agent, fmt.Sprintf("the agent to take %d readings and the hub to have them", taken), func(o rest.Overview) bool {
		return o.Readings.Received >= int64(taken) && o.Readings.Pending == 0
	})
}

// wantExactly waits until everything is at the hub and proves that Postgres holds exactly the given readings, each with its
// exact value, and that none was ever committed twice.
func (w *world) wantExactly(want books) {
	w.Helper()
	w.drained(want.count())
	w.same("Postgres", w.atHub(), want)
	committed := w.number(`select coalesce(sum(a.readings), 0)::bigint from site_arrival a join site s using (org_id, site_id) where s.name = $1`, site)
	if committed != int64(want.count()) {
		w.Errorf("the hub committed %d readings: want each of %d once", committed, want.count())
	}
	if o := w.status(w.agent); o.Readings.Received != int64(want.count()) || o.Readings.Delivered != o.Readings.Received || o.Readings.Evicted != 0 {
		w.Errorf("the agent's books say %+v: want %d received and delivered", o.Readings, want.count())
	}
}

// atHub returns the readings of the site that Postgres holds, by plain SQL.
func (w *world) atHub() books {
	w.Helper()
	rows, err := query[struct {
		Point, Meter, Register string
		At, Value              int64
	}](w, w.ctx, `select p.name, m.serial, g.name, (extract(epoch from r.at) * 1000)::bigint, r.value
		from register g
		join meter m using (org_id, meter_id)
		join point p on p.org_id = g.org_id and p.point_id = g.point_id
		join site s on s.org_id = p.org_id and s.site_id = p.site_id
		cross join lateral fluxora_readings(g.org_id, g.register_id, '-infinity', 'infinity') r
		where s.name = $1`, site)
	w.must("read the hub's readings", err)
	have := books{}
	for _, r := range rows {
		s, at := series{r.Point, r.Meter, meter.Register(r.Register)}, meter.Millis(r.At)
		if have[s] == nil {
			have[s] = map[meter.Millis]int64{}
		}
		if _, twice := have[s][at]; twice {
			w.Errorf("Postgres gives %v at %s twice", s, at)
		}
		have[s][at] = r.Value
	}
	return have
}

// same reports what differs between two sets of readings.
func (w *world) same(where string, have, want books) {
	w.Helper()
	missing, wrong, more := 0, 0, 0
	var first string
	note := func(n *int, format string, args ...any) {
		if *n++; first == "" {
			first = fmt.Sprintf(format, args...)
		}
	}
	for s, rs := range want {
		for at, v := range rs {
			switch got, ok := have[s][at]; {
			case !ok:
				note(&missing, "%v at %s is missing", s, at)
			case got != v:
				note(&wrong, "%v at %s is %d: want %d", s, at, got, v)
			}
		}
	}
	for s, rs := range have {
		for at := range rs {
			if _, ok := want[s][at]; !ok {
				note(&more, "%v at %s was never sent", s, at)
			}
		}
	}
	if first != "" {
		w.Fatalf("%s: of %d readings %d are missing, %d have another value, %d are too many; one: %s", where, want.count(), missing, wrong, more, first)
	}
	w.Logf("%s holds exactly the %d readings", where, want.count())
}

// energy is an interval as the agent and the hub show it alike.
type energy struct {
	Start     time.Time
	Wh        int64
	Quality   string
	Recovered bool
}

// sameIntervals waits until the hub's intervals of each point are the agent's, and returns how many there are.
func (w *world) sameIntervals(points ...string) (n int) {
	w.Helper()
	for _, p := range points {
		w.wait("the hub's intervals of "+p+" to be the agent's", func(ctx context.Context) (bool, error) {
			here, err := agentIntervals(ctx, w.agent, p)
			if err != nil {
				return false, err
			}
			there, err := w.hubIntervals(ctx, p)
			if err != nil {
				return false, err
			}
			if reflect.DeepEqual(here, there) && len(here) > 0 {
				n += len(here)
				return true, nil
			}
			for i := range here {
				if i >= len(there) || here[i] != there[i] {
					return false, fmt.Errorf("agent has %d, hub has %d; number %d is %+v at the agent and %+v at the hub", len(here), len(there), i, here[i], there[min(i, len(there)):min(i+1, len(there))])
				}
			}
			return false, fmt.Errorf("agent has %d, hub has %d", len(here), len(there))
		})
	}
	return n
}

// span asks for everything that a test publishes of a point. A point that is called after a register has only that.
func span(point string) url.Values {
	now := time.Now().UTC().Truncate(time.Hour)
	register := meter.EnergyImport
	if info, err := meter.LookupRegister(point); err == nil {
		register = info.Name
	}
	return url.Values{"register": {string(register)}, "from": {now.AddDate(-2, 0, 0).Format(time.RFC3339)}, "to": {now.Add(2 * time.Hour).Format(time.RFC3339)}, "limit": {"10000"}}
}

func agentIntervals(ctx context.Context, a *stage.Agent, point string) ([]energy, error) {
	var answer struct {
		Intervals []struct {
			Start     time.Time `json:"start"`
			Wh        int64     `json:"wh"`
			Quality   string    `json:"quality"`
			Recovered bool      `json:"recovered"`
		} `json:"intervals"`
		Next string `json:"next"`
	}
	if err := a.API.Get(ctx, "/v1/points/"+point+"/intervals?"+span(point).Encode(), &answer); err != nil {
		return nil, err
	}
	if answer.Next != "" {
		return nil, fmt.Errorf("the agent has more intervals of %s than fit an answer", point)
	}
	out := make([]energy, len(answer.Intervals))
	for i, x := range answer.Intervals {
		out[i] = energy{x.Start.UTC(), x.Wh, x.Quality, x.Recovered}
	}
	return out, nil
}

func (w *world) hubIntervals(ctx context.Context, point string) ([]energy, error) {
	id, err := w.pointID(ctx, point)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Intervals []struct {
			Start     time.Time `json:"start"`
			Wh        int64     `json:"wh"`
			Quality   string    `json:"quality"`
			Recovered int       `json:"recovered"`
		} `json:"intervals"`
		Next string `json:"next"`
	}
	if err := w.hub.API.Get(ctx, "/v1/points/"+id+"/intervals?"+span(point).Encode(), &answer); err != nil {
		return nil, err
	}
	if answer.Next != "" {
		return nil, fmt.Errorf("the hub has more intervals of %s than fit an answer", point)
	}
	out := make([]energy, len(answer.Intervals))
	for i, x := range answer.Intervals {
		out[i] = energy{x.Start.UTC(), x.Wh, x.Quality, x.Recovered > 0}
	}
	return out, nil
}

// pointID returns the hub's id of a point.
func (w *world) pointID(ctx context.Context, name string) (string, error) {
	var ps rest.Points
	if err := w.hub.API.Get(ctx, "/v1/points", &ps); err != nil {
		return "", err
	}
	for _, p := range ps.Points {
		if p.Site == site && p.Name == name {
			return p.ID, nil
		}
	}
	return "", fmt.Errorf("the hub knows no point %s of %s", name, site)
}
