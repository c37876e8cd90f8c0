package api

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/registry"
	"fluxora.dev/hub/internal/store"
)

// Model is a model version with the scores of the backtest that decided about it.
type Model struct {
	ID          string           `json:"id" format:"uuid"`
	Family      string           `json:"family"`
	State       string           `json:"state" enum:"candidate,active,previous,retired,rejected"`
	Reason      string           `json:"reason,omitempty" doc:"why it was promoted, rejected or rolled back"`
	Resolution  string           `json:"resolution" doc:"ISO 8601"`
	Spec        string           `json:"spec" doc:"hash of the feature spec, hex"`
	TrainedFrom time.Time        `json:"trained_from"`
	TrainedTo   time.Time        `json:"trained_to"`
	Points      int              `json:"points" doc:"points learnt from"`
	Rows        int64            `json:"rows" doc:"rows learnt from"`
	Size        int64            `json:"size" doc:"bytes of the artifact"`
	SHA256      string           `json:"sha256" doc:"of the artifact, hex"`
	Scores      []registry.Score `json:"scores" doc:"of the backtest: the candidate, the model active then, and the baselines"`
	Created     time.Time        `json:"created"`
	Promoted    *time.Time       `json:"promoted,omitempty"`
	Retired     *time.Time       `json:"retired,omitempty"`
	Aliases     []string         `json:"aliases" doc:"names that people gave it"`
	Run         string           `json:"run,omitempty" format:"uuid" doc:"training that made it"`
	Parent      string           `json:"parent,omitempty" format:"uuid" doc:"version that was active then"`
}

// Training is a training that was asked for.
type Training struct {
	ID         string           `json:"id" format:"uuid"`
	Resolution string           `json:"resolution" doc:"ISO 8601"`
	Cause      string           `json:"cause" enum:"first,schedule,demand,drift"`
	State      string           `json:"state" enum:"queued,running,done,failed,cancelled"`
	Stage      string           `json:"stage,omitempty"`
	Percent    float64          `json:"percent"`
	LeftMs     int64            `json:"left_ms,omitempty" doc:"estimate of the time left, while it works"`
	Outcome    string           `json:"outcome,omitempty" enum:"promoted,rejected,skipped"`
	Reason     string           `json:"reason,omitempty"`
	Model      string           `json:"model,omitempty"`
	Scores     []registry.Score `json:"scores"`
	Requested  time.Time        `json:"requested"`
	Started    *time.Time       `json:"started,omitempty"`
	Finished   *time.Time       `json:"finished,omitempty"`
}

// Models is the registry: its newest model versions and trainings.
type Models struct {
	Models    []Model    `json:"models" doc:"newest first"`
	Trainings []Training `json:"trainings" doc:"newest first, at most 10"`
}

type modelsAnswer struct{ Body Models }

type modelsQuery struct {
	Limit int `query:"limit" default:"50" minimum:"1" maximum:"500" doc:"how many models at most"`
}

func (s *server) registerModels(r *routes) {
	register(r, access.With(access.Viewer, access.ReadModels), get("models", "/v1/models", "Model versions with their backtest scores beside the baselines'"),
		func(ctx context.Context, in *modelsQuery) (*modelsAnswer, error) {
			rows, err := s.store.ModelRows(ctx, org(ctx), in.Limit)
			if err != nil {
				return nil, s.fault(ctx, err, "")
			}
			runs, err := s.store.TrainingRuns(ctx, org(ctx), 10)
			if err != nil {
				return nil, s.fault(ctx, err, "")
			}
			out := &modelsAnswer{Models{Models: make([]Model, len(rows)), Trainings: make([]Training, len(runs))}}
			for i, r := range rows {
				if out.Body.Models[i], err = modelOf(r); err != nil {
					return nil, s.fault(ctx, err, "")
				}
			}
			for i, r := range runs {
				if out.Body.Trainings[i], err = trainingOf(r); err != nil {
					return nil, s.fault(ctx, err, "")
				}
			}
			return out, nil
		})
}

func modelOf(r store.ModelRow) (Model, error) {
	scores, err := registry.DecodeScores(r.Scores)
	return Model{
		ID: r.ID.String(), Family: r.Family, State: r.State, Reason: r.Reason, Resolution: iso(r.Resolution), Spec: r.Spec,
		TrainedFrom: r.TrainedFrom.UTC(), TrainedTo: r.TrainedTo.UTC(), Points: r.Points, Rows: r.Rows, Size: r.Size, SHA256: hex.EncodeToString(r.SHA256),
		Scores: scores, Created: r.CreatedAt.UTC(), Promoted: utc(r.PromotedAt), Retired: utc(r.RetiredAt),
		Aliases: r.Aliases, Run: known(r.Run), Parent: known(r.Parent),
	}, err
}

// known returns an id, empty for none.
func known(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func trainingOf(r store.TrainingRun) (Training, error) {
	scores, err := registry.DecodeScores(r.Scores)
	t := Training{
		ID: r.ID.String(), Resolution: iso(r.Resolution), Cause: r.Cause, State: r.State, Stage: r.Stage, Percent: r.Percent,
		Outcome: r.Outcome, Reason: r.Reason, Scores: scores, Requested: r.RequestedAt.UTC(), Started: utc(r.StartedAt), Finished: utc(r.FinishedAt),
	}
	if r.Model != nil {
		t.Model = r.Model.String()
	}
	if r.Left != nil {
		t.LeftMs = r.Left.Milliseconds()
	}
	return t, err
}
