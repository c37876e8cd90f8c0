package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/train"

	"fluxora.dev/hub/internal/access"
)

// Run is a training with what it was made of and what it found out.
type Run struct {
	Training
	Code        string             `json:"code,omitempty" doc:"version of the program that trained"`
	Spec        string             `json:"spec,omitempty" doc:"hash of the feature spec, hex"`
	TrainedFrom *time.Time         `json:"trained_from,omitempty"`
	TrainedTo   *time.Time         `json:"trained_to,omitempty"`
	Params      json.RawMessage    `json:"params" doc:"settings and seed"`
	Report      json.RawMessage    `json:"report" doc:"of the fit and of the backtest"`
	Importance  []train.Importance `json:"importance" doc:"of features for trees, most important first; empty for models without"`
	WarmStart   *train.WarmStart   `json:"warm_start,omitempty" doc:"whether trees went on from those of the model active then, where that was asked for"`
}

// Runs is the newest trainings.
type Runs struct {
	Runs []Training `json:"runs" doc:"newest first"`
}

// ModelDetail is a model version with its life.
type ModelDetail struct {
	Model
	Changes []ModelChange `json:"changes" doc:"its life, oldest first"`
	Uses    []ModelUse    `json:"uses" doc:"which agents held it when, oldest first"`
}

// ModelChange is a step in the life of a model version.
type ModelChange struct {
	At     time.Time `json:"at"`
	State  string    `json:"state"`
	Reason string    `json:"reason,omitempty"`
}

// ModelUse is a stretch of time in which an agent held a model version in one state.
type ModelUse struct {
	Agent  string     `json:"agent_id" format:"uuid"`
	Site   string     `json:"site"`
	State  string     `json:"state" enum:"active,previous,refused"`
	Detail string     `json:"detail,omitempty" doc:"why it was refused"`
	From   time.Time  `json:"from"`
	To     *time.Time `json:"to,omitempty" doc:"absent: until now"`
}

type (
	runsQuery struct {
		Limit int `query:"limit" default:"50" minimum:"1" maximum:"500" doc:"how many at most"`
	}
	runsAnswer struct{ Body Runs }
	runQuery   struct {
		ID string `path:"id" format:"uuid"`
	}
	runAnswer  struct{ Body Run }
	modelQuery struct {
		Name string `path:"model" maxLength:"200" doc:"id or alias"`
	}
	modelAnswer struct{ Body ModelDetail }
)

// mostUses bounds the uses in one answer.
const mostUses = 1000

func (s *server) registerRuns(r *routes) {
	register(r, access.With(access.Viewer, access.ReadModels), get("runs", "/v1/runs", "Trainings, with how far they are"), func(ctx context.Context, in *runsQuery) (*runsAnswer, error) {
		rows, err := s.store.TrainingRuns(ctx, org(ctx), in.Limit)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out := &runsAnswer{Runs{Runs: make([]Training, len(rows))}}
		for i, r := range rows {
			if out.Body.Runs[i], err = trainingOf(r); err != nil {
				return nil, s.fault(ctx, err, "")
			}
		}
		return out, nil
	})
	register(r, access.With(access.Viewer, access.ReadModels), get("run", "/v1/runs/{id}", "A training: its data, settings, scores and decision", http.StatusNotFound), func(ctx context.Context, in *runQuery) (*runAnswer, error) {
		id, err := uuid.Parse(in.ID)
		if err != nil {
			return nil, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "path.id", Message: "is no UUID", Value: in.ID})
		}
		r, err := s.store.TrainingRun(ctx, org(ctx), id)
		if err != nil {
			return nil, s.fault(ctx, err, "no such training: /v1/runs lists them")
		}
		t, err := trainingOf(r)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		c := r.Record
		fit, err := jobs.FitOf(c)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		return &runAnswer{Run{t, c.Code, c.Spec, utc(c.From), utc(c.To), c.Params, c.Report, append([]train.Importance{}, fit.Importance...), fit.WarmStart}}, nil
	})
	register(r, access.With(access.Viewer, access.ReadModels), get("model", "/v1/models/{model}", "A model version: where it came from, its life, and which agents held it when", http.StatusNotFound), func(ctx context.Context, in *modelQuery) (*modelAnswer, error) {
		row, _, err := s.store.Model(ctx, org(ctx), in.Name)
		if err != nil {
			return nil, s.fault(ctx, err, "no such model: /v1/models lists them")
		}
		out := &modelAnswer{}
		if out.Body.Model, err = modelOf(row); err != nil {
			return nil, s.fault(ctx, err, "")
		}
		changes, uses, err := s.store.ModelHistory(ctx, org(ctx), row.ID, mostUses)
		if err != nil {
			return nil, s.fault(ctx, err, "")
		}
		out.Body.Changes, out.Body.Uses = make([]ModelChange, len(changes)), make([]ModelUse, len(uses))
		for i, c := range changes {
			out.Body.Changes[i] = ModelChange{c.At.UTC(), c.State, c.Reason}
		}
		for i, u := range uses {
			out.Body.Uses[i] = ModelUse{u.Agent.String(), u.Site, u.State, u.Detail, u.From.UTC(), utc(u.To)}
		}
		return out, nil
	})
}
