package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"fluxora.dev/hub/internal/mlflow"
	"fluxora.dev/hub/internal/store"
)

// Exporter copies a run to where runs are compared. It must not double one that it is given twice.
type Exporter interface {
	Export(ctx context.Context, r mlflow.Run) (string, error)
}

const (
	exportQueue    = "export"
	exportAttempts = 12 // over some days: a server that is away for the night is nothing
	exportTimeout  = 5 * time.Minute
)

// exportArgs names a run to be copied. It is asked for in the transaction that ends the run.
type exportArgs struct {
	Org uuid.UUID `json:"org"`
	Run uuid.UUID `json:"run"`
}

// Kind names the job in the queue.
func (exportArgs) Kind() string { return "export-run" }

// InsertOpts names the queue.
func (exportArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: exportQueue, MaxAttempts: exportAttempts}
}

type exportWorker struct {
	river.WorkerDefaults[exportArgs]
	store *store.Store
	to    Exporter
}

// Timeout bounds one attempt.
func (w *exportWorker) Timeout(*river.Job[exportArgs]) time.Duration { return exportTimeout }

// Work copies the run.
func (w *exportWorker) Work(ctx context.Context, job *river.Job[exportArgs]) error {
	_, err := Export(ctx, w.store, w.to, job.Args.Org, job.Args.Run)
	return err
}

// Export copies a run that has ended, with its artifact when it made one, and returns its id there.
func Export(ctx context.Context, st *store.Store, to Exporter, org, run uuid.UUID) (string, error) {
	r, err := st.TrainingRun(ctx, org, run)
	if err != nil {
		return "", err
	}
	if !r.Ended() || r.FinishedAt == nil {
		return "", fmt.Errorf("export run %s: %w: it is %s", run, store.ErrConflict, r.State)
	}
	out := mlflow.Run{
		ID: run.String(), Name: "train " + r.Resolution.String(), Status: map[string]string{"done": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}[r.State],
		Start: r.RequestedAt, End: *r.FinishedAt, Params: map[string]string{"resolution": r.Resolution.String(), "spec": r.Record.Spec},
		Tags: map[string]string{"fluxora.cause": r.Cause, "fluxora.outcome": r.Outcome, "fluxora.reason": r.Reason, "fluxora.version": r.Record.Code},
	}
	if r.StartedAt != nil {
		out.Start = *r.StartedAt
	}
	if r.Record.From != nil && r.Record.To != nil {
		out.Params["trained_from"], out.Params["trained_to"] = r.Record.From.UTC().Format(time.RFC3339), r.Record.To.UTC().Format(time.RFC3339)
	}
	if r.Model != nil {
		m, artifact, err := st.Model(ctx, org, r.Model.String())
		if err != nil {
			return "", err
		}
		out.Artifact, out.Params["family"], out.Tags["fluxora.model"] = artifact, m.Family, m.ID.String()
	}
	for _, part := range []struct {
		json json.RawMessage
		take func(name string, v any, step int64)
	}{
		{r.Record.Params, func(name string, v any, _ int64) { out.Params[name] = fmt.Sprint(v) }},
		{r.Record.Report, func(name string, v any, step int64) {
			if f, ok := v.(float64); ok {
				out.Metrics = append(out.Metrics, mlflow.Metric{Name: name, Value: f, Step: step})
			}
		}},
	} {
		var v any
		if err := json.Unmarshal(part.json, &v); err != nil {
			return "", fmt.Errorf("export run %s: %w", run, err)
		}
		leaves("", v, 0, part.take)
	}
	return to.Export(ctx, out)
}

// leaves calls take with every number, text and truth in a JSON value. Fields are joined by dots. Where the elements of an array have names they
// go by those, else they are steps of one name.
func leaves(name string, v any, step int64, take func(name string, v any, step int64)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if name != "" {
				k = name + "." + k
			}
			leaves(k, e, step, take)
		}
	case []any:
		for i, e := range v {
			m, _ := e.(map[string]any)
			if n, ok := m["name"].(string); ok {
				leaves(name+"."+n, e, step, take)
			} else if m != nil {
				leaves(name+"."+strconv.Itoa(i), e, step, take)
			} else {
				leaves(name, e, int64(i), take)
			}
		}
	case nil:
	default:
		take(name, v, step)
	}
}
