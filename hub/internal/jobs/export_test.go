package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/mlflow"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/model"
)

type exporter chan mlflow.Run

func (e exporter) Export(_ context.Context, r mlflow.Run) (string, error) {
	e <- r
	return "there", nil
}

func TestRunsAreCopiedWhenTheyAreDone(t *testing.T) {
	w := open(t)
	to := make(exporter, 9)
	l := learner(func(ctx context.Context, a *model.Artifact, p jobs.Progress) (jobs.Result, error) {
		r, err := better("good")(ctx, a, p)
		now := time.Now()
		r.Record = store.RunRecord{
			Code: "v1", Spec: "abc", From: &now, To: &now, Params: json.RawMessage(`{"Trees":{"Leaves":31},"Family":"gbdt"}`),
			Report: json.RawMessage(`{"fit":{"held_loss":0.25,"curve":[3,2,1]},"backtest":{"scores":[{"name":"candidate","mase":0.7,"bands":[{"mase":0.6},{"mase":0.8}]}]}}`),
		}
		return r, err
	})
	trainer, err := jobs.NewTrainer(jobs.TrainerOptions{
		Store: w.store, Pool: w.store.Pool(), Registry: w.registry, Learner: l, Timeout: time.Minute, Exporter: to, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := trainer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := w.ask(t)
	got := <-to
	metrics := map[string][]float64{}
	for _, m := range got.Metrics {
		if int(m.Step) != len(metrics[m.Name]) {
			t.Errorf("%s: step %d after %d", m.Name, m.Step, len(metrics[m.Name]))
		}
		metrics[m.Name] = append(metrics[m.Name], m.Value)
	}
	if got.ID != run.String() || got.Status != "FINISHED" || got.Params["Trees.Leaves"] != "31" || got.Params["family"] != model.FamilySeasonal || len(got.Artifact) == 0 {
		t.Errorf("copied %+v", got)
	}
	if len(metrics["fit.curve"]) != 3 || metrics["backtest.scores.candidate.mase"][0] != 0.7 || metrics["backtest.scores.candidate.bands.1.mase"][0] != 0.8 {
		t.Errorf("metrics %v", metrics)
	}
	if err := trainer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Export(t.Context(), w.store, to, w.org, w.ask(t)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a run that has not ended: %v", err)
	}
}
