package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/mlflow"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/tune"
)

// exportRetries is how often a request to MLflow is tried again before the whole export is, later.
const exportRetries = 3

// TrainingRun is a training with all that is known of it.
type TrainingRun struct {
	Training
	Resolution time.Duration   `json:"resolution_ns"`
	Cause      string          `json:"cause"`
	Requested  time.Time       `json:"requested"`
	Finished   *time.Time      `json:"finished,omitempty"`
	Code       string          `json:"code,omitempty"`
	Spec       string          `json:"spec,omitempty"`
	From       *time.Time      `json:"from,omitempty"`
	To         *time.Time      `json:"to,omitempty"`
	Params     json.RawMessage `json:"params"`
	Report     json.RawMessage `json:"report"`
	Importance []Importance    `json:"importance,omitempty"` // of features for trees, most important first
	WarmStart  *WarmStart      `json:"warm_start,omitempty"` // where one was asked for
}

// Importance is how much the splits of a feature did, WarmStart whether trees went on from those of an earlier model.
type (
	Importance = train.Importance
	WarmStart  = train.WarmStart
)

// TrainingRuns returns the newest trainings, at most limit.
func (a *Admin) TrainingRuns(ctx context.Context, limit int) ([]TrainingRun, error) {
	rows, err := a.b.store.TrainingRuns(ctx, a.b.org, limit)
	if err != nil {
		return nil, err
	}
	out := make([]TrainingRun, len(rows))
	for i, r := range rows {
		if out[i], err = runOf(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// TrainingRun returns one training.
func (a *Admin) TrainingRun(ctx context.Context, id uuid.UUID) (TrainingRun, error) {
	r, err := a.b.store.TrainingRun(ctx, a.b.org, id)
	if err != nil {
		return TrainingRun{}, noRun(id, err)
	}
	return runOf(r)
}

func runOf(r store.TrainingRun) (TrainingRun, error) {
	t, err := trainingOf(r)
	c := r.Record
	fit, wrong := jobs.FitOf(c)
	return TrainingRun{
		Training: t, Resolution: r.Resolution, Cause: r.Cause, Requested: r.RequestedAt.UTC(), Finished: r.FinishedAt,
		Code: c.Code, Spec: c.Spec, From: c.From, To: c.To, Params: c.Params, Report: c.Report,
		Importance: fit.Importance, WarmStart: fit.WarmStart,
	}, errors.Join(err, wrong)
}

// CancelRun ends an unfinished training.
func (a *Admin) CancelRun(ctx context.Context, id uuid.UUID, reason string) error {
	return noRun(id, a.b.asker.Cancel(ctx, a.b.org, id, reason))
}

// ExportRun copies a run to the configured MLflow server and returns its id there.
func (a *Admin) ExportRun(ctx context.Context, id uuid.UUID) (string, error) {
	to := newExporter(a.b)
	if to == nil {
		return "", errors.New("training.mlflow.url is empty: want the MLflow server that runs are copied to")
	}
	at, err := jobs.Export(ctx, a.b.store, to, a.b.org, id)
	return at, noRun(id, err)
}

func noRun(id uuid.UUID, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no training run %s: `fluxora-hub run list` shows them", id)
	}
	return err
}

// newExporter returns where runs are copied to, nil when nothing is configured.
func newExporter(b *base) jobs.Exporter {
	c := b.o.Config.Training.MLflow
	if c.URL == "" {
		return nil
	}
	return mlflow.New(mlflow.Options{
		URL: c.URL, Experiment: c.Experiment, Token: c.Token, Timeout: c.Timeout, Retries: exportRetries, Log: b.o.Log.With("component", "mlflow"),
	})
}

// Work works trainings until ctx ends, on this machine, for the hubs that share the database.
func (a *Admin) Work(ctx context.Context) error {
	trainer, err := newTrainer(a.b, nil, nil)
	if err != nil {
		return err
	}
	if err := trainer.Start(ctx); err != nil {
		return err
	}
	a.b.o.Log.Info("this process works trainings; an interrupt puts the one in hand back into the queue")
	<-ctx.Done()
	late, end := context.WithTimeout(context.WithoutCancel(ctx), a.b.o.Config.StopWithin)
	defer end()
	return trainer.Stop(late)
}

// ModelVersion is a model version with where it came from and what became of it.
type ModelVersion struct {
	ID       uuid.UUID        `json:"id"`
	Aliases  []string         `json:"aliases"`
	Family   string           `json:"family"`
	State    string           `json:"state"`
	Reason   string           `json:"reason,omitempty"`
	Spec     string           `json:"spec"`
	Size     int64            `json:"size"`
	Created  time.Time        `json:"created"`
	Run      uuid.UUID        `json:"run"`    // zero: unknown
	Parent   uuid.UUID        `json:"parent"` // zero: it was the first
	Scores   []registry.Score `json:"scores"`
	Changes  []ModelChange    `json:"changes,omitempty"`
	Uses     []ModelUse       `json:"uses,omitempty"`
	Artifact []byte           `json:"-"`
}

// ModelChange is a step in the life of a model version, ModelUse a stretch of time in which an agent held it.
type (
	ModelChange = store.ModelChange
	ModelUse    = store.ModelUse
)

const mostUses = 10_000

// Models returns the newest model versions, at most limit.
func (a *Admin) Models(ctx context.Context, limit int) ([]ModelVersion, error) {
	rows, err := a.b.store.ModelRows(ctx, a.b.org, limit)
	if err != nil {
		return nil, err
	}
	out := make([]ModelVersion, len(rows))
	for i, r := range rows {
		if out[i], err = versionOf(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Model returns a model version by id or alias, with its history.
func (a *Admin) Model(ctx context.Context, name string) (ModelVersion, error) {
	row, artifact, err := a.b.store.Model(ctx, a.b.org, name)
	if err != nil {
		return ModelVersion{}, noModel(name, err)
	}
	v, err := versionOf(row)
	if err != nil {
		return v, err
	}
	v.Artifact = artifact
	v.Changes, v.Uses, err = a.b.store.ModelHistory(ctx, a.b.org, row.ID, mostUses)
	return v, err
}

func versionOf(r store.ModelRow) (ModelVersion, error) {
	scores, err := registry.DecodeScores(r.Scores)
	return ModelVersion{
		ID: r.ID, Aliases: r.Aliases, Family: r.Family, State: r.State, Reason: r.Reason, Spec: r.Spec, Size: r.Size, Created: r.CreatedAt.UTC(),
		Run: r.Run, Parent: r.Parent, Scores: scores,
	}, err
}

// Promote makes a model version active by hand, whatever the contest said of it.
func (a *Admin) Promote(ctx context.Context, name, reason string) (uuid.UUID, error) {
	v, err := a.Model(ctx, name)
	if err != nil {
		return uuid.Nil, err
	}
	return v.ID, a.b.registry.PromoteByHand(ctx, a.b.org, v.ID, reason)
}

// Alias gives a model version a name, in place of the version that has it.
func (a *Admin) Alias(ctx context.Context, alias, name string) (uuid.UUID, error) {
	if err := registry.CheckAlias(alias); err != nil {
		return uuid.Nil, err
	}
	v, err := a.Model(ctx, name)
	if err != nil {
		return uuid.Nil, err
	}
	return v.ID, a.b.store.SetModelAlias(ctx, a.b.org, alias, v.ID)
}

// Unalias takes a name away.
func (a *Admin) Unalias(ctx context.Context, alias string) error {
	return noModel(alias, a.b.store.DeleteModelAlias(ctx, a.b.org, alias))
}

func noModel(name string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no model has the id or alias %q: `fluxora-hub model list` shows them", name)
	}
	return err
}

// Trial is one set of values that a search tried, Study the search.
type (
	Trial = tune.Trial
	Study = store.Study
)

// Tune searches for settings of a family and returns the search and its best trial. Trainings use them from then on.
func (a *Admin) Tune(ctx context.Context, resolution time.Duration, family string, trials int, seed uint64, watch func(Trial)) (Study, Trial, error) {
	return newEngine(a.b).Tune(ctx, jobs.Tuning{Org: a.b.org, Resolution: resolution, Family: family, Trials: trials, Seed: seed, Watch: watch})
}
