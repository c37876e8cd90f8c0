package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/jobs"
	examined "fluxora.dev/hub/internal/watch"
)

// Examination is what was found of the points of a resolution and of the model that serves them.
type Examination struct {
	Resolution time.Duration `json:"resolution_ns"`
	At         time.Time     `json:"at"`
	Model      *uuid.UUID    `json:"model,omitempty"`
	Reason     string        `json:"reason,omitempty"` // why a training was asked for
	Run        *uuid.UUID    `json:"run,omitempty"`
	examined.Summary
	Names map[string]string `json:"names"` // of the points, as site/point
}

// Live is how a model does beside the baseline.
type Live = examined.LiveSummary

// Examine examines the points of a resolution now. It asks for no training.
func (a *Admin) Examine(ctx context.Context, resolution time.Duration) error {
	e := jobs.Examiner{Store: a.b.store, Registry: a.b.registry, Log: a.b.o.Log.With("component", "watch"), Now: a.b.o.Now}
	return e.Examine(ctx, a.b.org, resolution)
}

// Examinations returns the latest examination of each resolution.
func (a *Admin) Examinations(ctx context.Context) ([]Examination, error) {
	rows, err := a.b.store.WatchReports(ctx, a.b.org)
	if err != nil {
		return nil, err
	}
	names, err := a.b.store.PointNames(ctx, a.b.org)
	if err != nil {
		return nil, err
	}
	out := make([]Examination, len(rows))
	for i, r := range rows {
		e := Examination{Resolution: r.Resolution, At: r.At.UTC(), Model: r.Model, Reason: r.Reason, Run: r.Run, Names: map[string]string{}}
		if err := json.Unmarshal(r.Report, &e.Summary); err != nil {
			return nil, fmt.Errorf("read examination: %w", err)
		}
		for _, p := range e.Points {
			if id, err := uuid.Parse(p.Point); err == nil && names[id] != "" {
				e.Names[p.Point] = names[id]
			}
		}
		out[i] = e
	}
	return out, nil
}
