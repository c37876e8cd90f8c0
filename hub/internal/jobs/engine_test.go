package jobs_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/store"
)

// building stores hourly intervals of a point that works on weekdays, with noise and a few recovered and missing hours.
func (w world) building(t testing.TB, days int, seed uint64) uuid.UUID {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	to := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	from := to.AddDate(0, 0, -days)
	var starts []time.Time
	var wh []int64
	var quality []int16
	var recovered []bool
	level := 0.0
	for at := from; at.Before(to); at = at.Add(time.Hour) {
		level = 0.9*level + rng.NormFloat64()*300 // what no calendar knows, but the last hours tell
		v := 2000 + level
		if d := at.Weekday(); d != time.Saturday && d != time.Sunday && at.Hour() >= 7 && at.Hour() < 17 {
			v += 5000 * math.Sin(math.Pi*float64(at.Hour()-6)/12)
		}
		q, r := int16(0), false
		switch rng.IntN(200) {
		case 0:
			q = 4
		case 1:
			r = true
		}
		starts, wh, quality, recovered = append(starts, at), append(wh, int64(max(0, v))), append(quality, q), append(recovered, r)
	}
	pool := w.store.Pool()
	if _, err := pool.Exec(t.Context(), `insert into interval select $1, $2, 'energy-import', s, w, q, r
		from unnest($3::timestamptz[], $4::bigint[], $5::smallint[], $6::bool[]) u(s, w, q, r)`, w.org, id, starts, wh, quality, recovered); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `insert into fold (org_id, point_id, register, resolution_ms, zone, first_at, last_at, state)
		values ($1, $2, 'energy-import', 3600000, 'Europe/Oslo', $3, $4, '')`, w.org, id, from.UnixMilli(), to.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestEngineTrainsOnTheStore(t *testing.T) {
	w := open(t)
	days, trees := 120, "60"
	if testing.Short() {
		days, trees = 60, "15"
	}
	for i := range 4 {
		w.building(t, days, uint64(i))
	}
	e := &jobs.Engine{Store: w.store, History: 365 * 24 * time.Hour, Threads: 2, Settings: map[string]string{"gbdt.trees": trees, "boosted.trees": trees}, Version: "test"}
	w.work(t, e)
	r, stages := w.end(t, w.ask(t))
	if r.State != "done" || r.Outcome != "promoted" || !strings.Contains(r.Reason, "beats") || int(r.Intervals) != 4*days*24 {
		t.Fatalf("%s %s: %s, %d intervals, %s", r.State, r.Outcome, r.Reason, r.Intervals, r.Scores)
	}
	if c := r.Record; c.Spec == "" || c.Code != "test" || c.From == nil || c.To.Sub(*c.From) != time.Duration(days)*24*time.Hour || !json.Valid(c.Params) || !strings.Contains(string(c.Report), "held_loss") || !strings.Contains(string(c.Params), `"linear.penalty": "0"`) {
		t.Errorf("record of the run: %+v", c)
	}
	if len(stages) < 2 {
		t.Errorf("stages seen: %v", stages)
	}
	active, err := w.registry.Active(t.Context(), w.org, time.Hour)
	if err != nil || active.Points != 4 || active.SelfTest() != nil {
		t.Fatalf("active: %+v, %v", active, err)
	}
	scores, table, err := e.Backtest(t.Context(), w.org, time.Hour, active, func(string, float64) {})
	if err != nil || len(scores) < 3 || scores[0].Contender != "active" || scores[0].Model != active.ID || !strings.Contains(table, "seasonal-naive") {
		t.Errorf("backtest: %+v, %v\n%s", scores, err, table)
	}

	if testing.Short() {
		t.Log("the second training, of four families and their ensemble, is left to the run without -short")
		return
	}
	// The same data again: nothing new was learnt, so the active model stays.
	if r, _ := w.end(t, w.ask(t)); r.Outcome != "rejected" || r.Reason == "" {
		t.Errorf("second training on the same data: %+v", r)
	}
}

func TestEngineSaysWhatIsMissing(t *testing.T) {
	w := open(t)
	e := &jobs.Engine{Store: w.store, History: 365 * 24 * time.Hour, Threads: 1, Settings: map[string]string{"gbdt.trees": "5", "boosted.trees": "5"}}
	learn := func() error {
		_, err := e.Learn(t.Context(), jobs.Task{Org: w.org, Resolution: time.Hour, Progress: func(string, float64) {}})
		return err
	}
	if err := learn(); !errors.Is(err, jobs.ErrNothing) || !strings.Contains(err.Error(), "1h") {
		t.Errorf("no history at all: %v", err)
	}
	w.building(t, 2, 1)
	if err := learn(); !errors.Is(err, jobs.ErrNothing) {
		t.Errorf("two days of history: %v", err)
	}
	w.store.Close()
	if err := learn(); err == nil || errors.Is(err, jobs.ErrNothing) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("no database: %v, want an error that is tried again", err)
	}
}
