package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/tune"
	"fluxora.dev/shared/model"
)

func TestTuningGoesOnAndItsSettingsAreUsed(t *testing.T) {
	w := open(t)
	for i := range 2 {
		w.building(t, 60, uint64(i))
	}
	e := &jobs.Engine{Store: w.store, History: 365 * 24 * time.Hour, Threads: 2}
	ctx, cancel := context.WithCancel(t.Context())
	tuning := jobs.Tuning{Org: w.org, Resolution: time.Hour, Family: model.FamilyGBDT, Trials: 3, Seed: 7, Watch: func(tune.Trial) { cancel() }}
	if _, _, err := e.Tune(ctx, tuning); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled after a trial: %v", err)
	}
	ended := 0
	tuning.Watch = func(tune.Trial) { ended++ }
	if _, err := w.store.Pool().Exec(t.Context(), `update trial set beat_at = now() - interval '1 hour'`); err != nil { // as long after the cancellation
		t.Fatal(err)
	}
	study, best, err := e.Tune(t.Context(), tuning)
	if err != nil || ended != 2 || best.State != tune.Done || !(best.Score > 0 && best.Score < 1) || len(study.Best) != len(study.Space) {
		t.Fatalf("gone on: %d trials ended, %+v, %v", ended, best, err)
	}
	studies, err := w.store.Studies(t.Context(), w.org, 9)
	if err != nil || len(studies) != 1 || studies[0].FinishedAt == nil || studies[0].Best["rate"] != best.Values["rate"] {
		t.Errorf("studies %+v, %v", studies, err)
	}
	r, err := e.Learn(t.Context(), jobs.Task{Org: w.org, Resolution: time.Hour, Progress: func(string, float64) {}})
	if err != nil || !containsSetting(r.Record.Params, best.Values["rate"]) {
		t.Errorf("the training after it: %s, %v", r.Record.Params, err)
	}
	if _, _, err := e.Tune(t.Context(), jobs.Tuning{Org: w.org, Resolution: time.Hour, Family: "oracle", Trials: 1}); err == nil {
		t.Error("an unknown family: no error")
	}
	if _, _, err := e.Tune(t.Context(), jobs.Tuning{Org: w.org, Resolution: time.Minute, Family: model.FamilyGBDT, Trials: 1}); !errors.Is(err, jobs.ErrNothing) {
		t.Errorf("no history: %v", err)
	}
}

func containsSetting(params json.RawMessage, rate float64) bool {
	var p struct {
		Trees struct{ LearningRate float64 }
	}
	return json.Unmarshal(params, &p) == nil && p.Trees.LearningRate == rate
}
