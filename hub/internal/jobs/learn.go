package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/featurestore"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/model"
)

// Engine is the Learner that lets what selection chooses of the families compete with the active model and the baselines.
type Engine struct {
	Store    *store.Store
	History  time.Duration     // at most this much of each point is learnt from
	Threads  int               // 0: as many as processors
	Settings map[string]string // of all trainings, by name, as train.Settings lists them; an order's own come before them
	Version  string            // of this program, noted with each run
	Log      *slog.Logger      // nil: none
}

// Learn implements Learner.
func (e *Engine) Learn(ctx context.Context, t Task) (Result, error) {
	d, intervals, err := load(ctx, e.Store, t.Org, t.Resolution, e.History, t.Progress)
	res := Result{Intervals: intervals}
	if err != nil {
		return res, err
	}
	if len(d.Points) == 0 {
		return res, fmt.Errorf("%w: there are no intervals of resolution %s", ErrNothing, t.Resolution)
	}
	_, end := d.Range()
	if end, err = t.Checkpoints.Until(end); err != nil {
		return res, err
	}
	d = d.Before(end)
	params, err := e.params(ctx, t)
	if err != nil {
		return res, err
	}
	out, err := backtest.Contest(ctx, d, params, t.Active, func(stage string, share float64) { t.Progress(stage, 10+85*share) })
	if errors.Is(err, train.ErrTooLittle) || errors.Is(err, backtest.ErrNothing) {
		return res, fmt.Errorf("%w: %w", ErrNothing, err)
	}
	if err != nil {
		return res, err
	}
	res.Artifact, res.Scores, res.Better, res.Reason = out.Artifact, scoresOf(out.Report), out.Better, out.Reason
	res.Record, err = record(e.Version, d, params, t.Order.Features, out)
	return res, err
}

// params returns what a training goes by: what searches found, then the settings of all trainings, then those of its order.
func (e *Engine) params(ctx context.Context, t Task) (train.Params, error) {
	p, err := e.tuned(ctx, t.Org, t.Resolution, train.Params{Family: train.Selected, Threads: e.Threads, Checkpoint: t.Checkpoints.Of(e.Version), Earlier: t.Active})
	if err == nil {
		p, err = train.Apply(p, e.Settings)
	}
	if err == nil {
		p, err = t.Order.apply(p)
	}
	if t.Active == nil && p.Family == train.Selected && len(p.Members) == 0 { // any model is better than none, and a line is there within seconds
		p.Members = []string{model.FamilyLinear, model.FamilySeasonal}
	}
	return p, err
}

// record returns what a run was made of, as it is kept for comparing.
func record(version string, d train.Dataset, p train.Params, features string, out backtest.Outcome) (store.RunRecord, error) {
	from, to := d.Range()
	first, last := from.Time(), to.Time()
	r := store.RunRecord{Code: version, Spec: out.Artifact.Spec.HexHash(), From: &first, To: &last}
	settings := train.Values(p)
	settings["features"] = cmp.Or(features, featurestore.Default)
	var err error
	if r.Params, err = json.Marshal(settings); err != nil {
		return r, fmt.Errorf("record parameters: %w", err)
	}
	if r.Report, err = json.Marshal(map[string]any{"fit": out.Fit, "backtest": out.Report}); err != nil {
		return r, fmt.Errorf("record report: %w", err)
	}
	return r, nil
}

// FitOf returns how the fit of a run went, the zero value of one that has not ended.
func FitOf(r store.RunRecord) (train.Report, error) {
	var report struct{ Fit train.Report }
	if len(r.Report) == 0 {
		return report.Fit, nil
	}
	if err := json.Unmarshal(r.Report, &report); err != nil {
		return report.Fit, fmt.Errorf("report of a run: %w", err)
	}
	return report.Fit, nil
}

// Backtest measures the active model beside the baselines on the latest part of the history, and returns the scores and the
// table of them for people.
func (e *Engine) Backtest(ctx context.Context, org uuid.UUID, resolution time.Duration, active *model.Artifact, progress Progress) ([]registry.Score, string, error) {
	d, _, err := load(ctx, e.Store, org, resolution, e.History, progress)
	if err != nil {
		return nil, "", err
	}
	if len(d.Points) == 0 {
		return nil, "", fmt.Errorf("%w: there are no intervals of resolution %s", ErrNothing, resolution)
	}
	progress("backtest", 10)
	contenders := append([]backtest.Contender{backtest.Artifact(backtest.Active, active, active.Levels)}, backtest.Baselines(active.Levels)...)
	report, err := backtest.Run(ctx, d, contenders, backtest.Options{From: lastDays(d), Stride: originStride, Levels: active.Levels, Threads: e.Threads})
	if err != nil {
		return nil, "", err
	}
	table := report.String()
	if active.TrainedTo > report.From {
		table += fmt.Sprintf("The model has learnt from intervals up to %s, so it has seen some of what it is measured on here.\n", active.TrainedTo)
	}
	return scoresOf(report), table, nil
}

func scoresOf(r backtest.Report) []registry.Score {
	out := make([]registry.Score, len(r.Scores))
	for i, s := range r.Scores {
		out[i] = registry.Score{
			Contender: s.Name, Model: s.Model, MASE: s.MASE, NMAE: s.NMAE, NPinball: s.NPinball,
			Coverage: s.Coverage, Nominal: s.Nominal, Bias: s.Bias, Points: r.Points, Folds: r.Folds,
		}
	}
	return out
}
