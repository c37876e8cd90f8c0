package jobs_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/watch"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
	liveday "fluxora.dev/shared/watch"
)

// off returns a model whose forecasts lie so many means of the point too high.
func off(t testing.TB, by float64, trainedTo time.Time) *model.Artifact {
	t.Helper()
	spec, err := feature.ParseSpec("fluxora-features 1\nlead\nweeks mean 4\n")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.NewSeasonal(2, model.Bands{Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{by - 0.1, by, by + 0.1}}, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	a := &model.Artifact{
		Family: model.FamilySeasonal, Spec: spec, Levels: m.Levels(), Resolution: time.Hour, Horizon: 48 * time.Hour,
		TrainedFrom: 0, TrainedTo: meter.MillisOf(trainedTo), Points: 1, Rows: 1, Model: m,
	}
	a.AddVectors([]float32{1, 1}, 1, 1)
	return a
}

func TestAFailingModelIsLearntAnew(t *testing.T) {
	w := open(t)
	log := slog.New(slog.DiscardHandler)
	for i := range 3 {
		w.building(t, 120, uint64(i))
	}
	schedule := jobs.NewSchedule(jobs.ScheduleOptions{Store: w.store, Asker: w.Asker, Zone: time.UTC, FirstAfter: time.Hour, CheckEvery: time.Hour, Log: log, Now: time.Now})
	trainer, err := jobs.NewTrainer(jobs.TrainerOptions{
		Store: w.store, Pool: w.store.Pool(), Registry: w.registry, Schedule: schedule, Timeout: time.Minute, Log: log, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	examined := func() (watch.Summary, string, *uuid.UUID) {
		t.Helper()
		if err := trainer.Watch(t.Context(), w.org, time.Hour); err != nil {
			t.Fatal(err)
		}
		rows, err := w.store.WatchReports(t.Context(), w.org)
		if err != nil || len(rows) != 1 || rows[0].Resolution != time.Hour {
			t.Fatalf("%+v, %v", rows, err)
		}
		var s watch.Summary
		if err := json.Unmarshal(rows[0].Report, &s); err != nil {
			t.Fatal(err)
		}
		return s, rows[0].Reason, rows[0].Run
	}
	if s, why, run := examined(); why != "" || run != nil || len(s.Points) != 3 || s.Live.Days != 0 || s.Drift.Limit == nil {
		t.Errorf("without a model: %q %v %+v", why, run, s)
	}
	put := func(by float64) {
		t.Helper()
		id, err := w.registry.Add(t.Context(), w.org, off(t, by, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)), nil, registry.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.registry.Promote(t.Context(), w.org, id, "test"); err != nil {
			t.Fatal(err)
		}
	}
	put(0)
	if s, why, run := examined(); why != "" || run != nil || s.Live.Days != 29 || s.Live.Skill == nil || len(s.Points[0].Drift) != 1+len(watch.Watched) {
		t.Errorf("a model as good as the baseline: %q %v %+v", why, run, s.Live)
	}
	put(1)
	s, why, run := examined()
	if !strings.Contains(why, "times that of the baseline") || run == nil || *s.Live.Skill > 0 {
		t.Fatalf("a model that fails: %q %v %+v", why, run, s.Live)
	}
	if r, err := w.store.TrainingRun(t.Context(), w.org, *run); err != nil || r.Cause != jobs.CauseDrift || r.State != "queued" {
		t.Errorf("its training: %+v, %v", r, err)
	}
	if _, _, again := examined(); again == nil || *again != *run {
		t.Errorf("the day after, another training %v than the unfinished %v", again, run)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

// TestWhatAgentsTellIsHeard: the hub's own figures are good, and those that the agents of the points measured are not.
func TestWhatAgentsTellIsHeard(t *testing.T) {
	w := open(t)
	site, err := w.store.EnsureSite(t.Context(), w.org, store.Site{Name: "here", Zone: "Europe/Oslo", Resolution: time.Hour, Horizon: 48})
	if err != nil {
		t.Fatal(err)
	}
	agent := uuid.New()
	if err := w.store.PutAgent(t.Context(), w.org, agent, site.ID, "test"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		id := w.building(t, 120, uint64(i))
		if _, err := w.store.Pool().Exec(t.Context(), `insert into point (org_id, point_id, site_id, name) values ($1, $2, $3, $4)`, w.org, id, site.ID, string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	id, err := w.registry.Add(t.Context(), w.org, off(t, 0, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)), nil, registry.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.registry.Promote(t.Context(), w.org, id, "test"); err != nil {
		t.Fatal(err)
	}
	e := jobs.Examiner{Store: w.store, Registry: w.registry, Asker: w.Asker, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	examined := func() (watch.Summary, string, *uuid.UUID) {
		t.Helper()
		if err := e.Examine(t.Context(), w.org, time.Hour); err != nil {
			t.Fatal(err)
		}
		rows, err := w.store.WatchReports(t.Context(), w.org)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%+v, %v", rows, err)
		}
		var s watch.Summary
		if err := json.Unmarshal(rows[0].Report, &s); err != nil {
			t.Fatal(err)
		}
		return s, rows[0].Reason, rows[0].Run
	}
	tell := func(modelErr float64, points ...string) {
		t.Helper()
		var r wire.Report
		for _, p := range points {
			for d := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); d.Before(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)); d = d.AddDate(0, 0, 1) {
				r.Live = append(r.Live, wire.LiveDay{Point: p, Register: meter.EnergyImport, Model: id.String(), Day: liveday.Day{
					Start: meter.MillisOf(d), Model: forecast.Score{Count: 24, Actual: 24_000, AbsErr: modelErr, Covered: 18}, Baseline: forecast.Score{Count: 24, Actual: 24_000, AbsErr: 2400},
				}})
			}
		}
		for range 2 { // the ack of the first was lost
			if err := w.store.PutReport(t.Context(), w.org, agent, 1, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s, why, _ := examined(); why != "" || s.Heard != 0 || s.Agents.Days != 0 || s.Live.Days == 0 {
		t.Errorf("agents of an older version: %q %+v", why, s.Agents)
	}
	tell(1200, "a", "b", "elsewhere")
	s, why, _ := examined()
	if why != "" || s.Heard != 2 || s.Agents.Days != 42 || s.Agents.Intervals != 2*42*24 || !near(*s.Agents.Error, 50) || !near(*s.Agents.Baseline, 100) || !near(*s.Agents.Skill, 0.5) || !near(*s.Agents.Coverage, 0.75) {
		t.Errorf("%q %d %+v", why, s.Heard, s.Agents)
	}
	for _, p := range s.Points {
		if told := p.Agent.Days == 42; told == (p.Agent.Days == 0) || told && !near(*p.Agent.Skill, 0.5) {
			t.Errorf("%+v", p.Agent)
		}
	}
	if figures, err := w.store.WatchFigures(t.Context(), w.org); err != nil || len(figures) != 1 || figures[0].Drifted != 0 || !strings.Contains(string(figures[0].Agents), `"days": 42`) {
		t.Errorf("figures %+v, %v", figures, err)
	}
	tell(3600, "b") // late readings changed its days
	tell(3600, "c")
	s, why, run := examined()
	if s.Heard != 3 || !near(*s.Agents.Error, 350.0/3) || why == "" || run == nil {
		t.Errorf("%d %+v %q", s.Heard, s.Agents, why)
	}
	tell(4800, "a", "b", "c")
	if s, why, again := examined(); again == nil || *again != *run || !strings.Contains(why, "as the agents of 3 points measured it, its error over the last weeks is 2.00 times") || *s.Live.Skill < -0.1 {
		t.Errorf("%q %v %+v", why, run, s.Live)
	}
}

// watchJob is the daily examination as it lies in the queue.
type watchJob struct{}

func (watchJob) Kind() string { return "watch" }

// TestDriftIsAnsweredByATraining goes the whole way through the queue: half of the points lose their habits, the daily examination
// finds it and asks, a trainer works the training and promotes what it made, and for a week no other is asked for.
func TestDriftIsAnsweredByATraining(t *testing.T) {
	w := open(t)
	log := slog.New(slog.DiscardHandler)
	for i := range 4 {
		id := w.building(t, 200, uint64(i))
		if i < 2 {
			if _, err := w.store.Pool().Exec(t.Context(), `update interval set wh = (random() * 9000)::bigint where point_id = $1 and start >= '2026-01-26'`, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	id, err := w.registry.Add(t.Context(), w.org, off(t, 0, time.Date(2026, 2, 27, 0, 0, 0, 0, time.UTC)), nil, registry.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.registry.Promote(t.Context(), w.org, id, "test"); err != nil {
		t.Fatal(err)
	}
	now := time.Now
	schedule := jobs.NewSchedule(jobs.ScheduleOptions{Store: w.store, Asker: w.Asker, Zone: time.UTC, FirstAfter: time.Hour, CheckEvery: time.Hour, Log: log, Now: now})
	trainer, err := jobs.NewTrainer(jobs.TrainerOptions{
		Store: w.store, Pool: w.store.Pool(), Registry: w.registry, Learner: better("it knows the new habits"), Schedule: schedule, Timeout: time.Minute,
		Beat: 20 * time.Millisecond, Log: log, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := trainer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := trainer.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	queue, err := river.NewClient(riverpgxv5.New(w.store.Pool()), &river.Config{Schema: "queue", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	examine := func(reports int) store.WatchReport {
		t.Helper()
		if _, err := queue.Insert(t.Context(), watchJob{}, &river.InsertOpts{Queue: "watch"}); err != nil {
			t.Fatal(err)
		}
		for look, deadline := time.NewTicker(20*time.Millisecond), time.Now().Add(2*time.Minute); ; <-look.C {
			var n int
			if err := w.store.Pool().QueryRow(t.Context(), `select count(*) from watch_report`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == reports {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d examinations: want %d", n, reports)
			}
		}
		rows, err := w.store.WatchReports(t.Context(), w.org)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%+v, %v", rows, err)
		}
		return rows[0]
	}
	found := examine(1)
	if found.Run == nil || !strings.Contains(found.Reason, "errors of all points") {
		t.Fatalf("found %q, %s", found.Reason, found.Report)
	}
	r, _ := w.end(t, *found.Run)
	if r.Cause != jobs.CauseDrift || r.Outcome != "promoted" || r.Model == nil || *r.Model == id {
		t.Errorf("run %+v", r)
	}
	if active, err := w.registry.Active(t.Context(), w.org, time.Hour); err != nil || active.ID != r.Model.String() {
		t.Errorf("active %+v, %v", active, err)
	}
	if again := examine(2); again.Run == nil || *again.Run != *found.Run {
		t.Errorf("the day after, training %v: want the one of the day before, %v", again.Run, found.Run)
	}
	if _, err := w.store.Pool().Exec(t.Context(), `update training_run set requested_at = requested_at - interval '8 days'`); err != nil {
		t.Fatal(err)
	}
	if later := examine(3); later.Run == nil || *later.Run == *found.Run {
		t.Errorf("a week later, training %v: want another than %v", later.Run, found.Run)
	}
}
