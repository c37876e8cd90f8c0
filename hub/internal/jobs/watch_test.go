package jobs_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/watch"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
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
