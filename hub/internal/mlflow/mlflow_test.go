package mlflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"fluxora.dev/hub/internal/mlflow"
)

// server answers as an MLflow tracking server does, as far as we use it.
type server struct {
	mu        sync.Mutex
	busy      int // requests to answer with 503 first
	made      map[string]string
	runs      []string // our ids, by number
	params    map[string]string
	metrics   map[string]float64
	artifacts map[string]string
	status    string
	largest   int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "who are you?")
		return
	}
	if s.busy > 0 {
		s.busy--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var in struct {
		Name, Filter, Status string
		Tags                 []struct{ Key, Value string }
		Params               []struct{ Key, Value string }
		Metrics              []struct {
			Key   string
			Value float64
			Step  int64
		}
	}
	if strings.HasPrefix(r.URL.Path, "/api/2.0/mlflow-artifacts/") {
		s.artifacts[r.URL.Path] = string(body)
		return
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &in); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	run := func(i int) map[string]any {
		return map[string]any{"info": map[string]any{"run_id": fmt.Sprint("r", i), "artifact_uri": fmt.Sprintf("mlflow-artifacts:/7/r%d/artifacts", i)}}
	}
	out := map[string]any{}
	switch strings.TrimPrefix(r.URL.Path, "/api/2.0/mlflow/") {
	case "experiments/get-by-name":
		id, ok := s.made[r.URL.Query().Get("experiment_name")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			out["error_code"], out["message"] = "RESOURCE_DOES_NOT_EXIST", "no experiment"
			break
		}
		out["experiment"] = map[string]any{"experiment_id": id}
	case "experiments/create":
		s.made[in.Name] = "7"
		out["experiment_id"] = "7"
	case "runs/search":
		for i, id := range s.runs {
			if strings.Contains(in.Filter, "'"+id+"'") {
				out["runs"] = []any{run(i)}
			}
		}
	case "runs/create":
		s.runs = append(s.runs, in.Tags[0].Value)
		out["run"] = run(len(s.runs) - 1)
	case "runs/log-batch":
		s.largest = max(s.largest, len(in.Params)+len(in.Metrics))
		for _, p := range in.Params {
			if was, ok := s.params[p.Key]; ok && was != p.Value {
				w.WriteHeader(http.StatusBadRequest)
			}
			s.params[p.Key] = p.Value
		}
		for _, m := range in.Metrics {
			s.metrics[fmt.Sprintf("%s/%d", m.Key, m.Step)] = m.Value
		}
	case "runs/update":
		s.status = in.Status
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func start(t *testing.T) (*server, *mlflow.Client) {
	s := &server{made: map[string]string{}, params: map[string]string{}, metrics: map[string]float64{}, artifacts: map[string]string{}}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return s, mlflow.New(mlflow.Options{URL: web.URL + "/", Experiment: "fluxora é", Token: "secret", Timeout: 5 * time.Second, Retries: 3, Log: slog.New(slog.DiscardHandler)})
}

func run() mlflow.Run {
	r := mlflow.Run{
		ID: "0199", Name: "gbdt 1h", Status: "FINISHED", Start: time.Unix(1, 0), End: time.Unix(2, 0), Artifact: []byte("bytes"),
		Params: map[string]string{"family": "gbdt", "long": strings.Repeat("é", 9000)}, Metrics: []mlflow.Metric{{"mase", 0.7, 0}, {"bad", math.NaN(), 0}},
	}
	for i := range 2500 {
		r.Metrics = append(r.Metrics, mlflow.Metric{"loss", float64(i), int64(i)})
	}
	return r
}

func TestExportIsWholeAndOnce(t *testing.T) {
	s, c := start(t)
	s.busy = 2 // it is tried again
	for range 2 {
		id, err := c.Export(t.Context(), run())
		if err != nil || id != "r0" {
			t.Fatal(id, err)
		}
	}
	if len(s.runs) != 1 || s.status != "FINISHED" || s.params["family"] != "gbdt" || len(s.params["long"]) > 6000 || s.metrics["mase/0"] != 0.7 {
		t.Errorf("server holds %d runs, %s, %v", len(s.runs), s.status, s.metrics["mase/0"])
	}
	if len(s.metrics) != 2501 || s.largest > 1000 {
		t.Errorf("%d metrics, %d at most in a request: want 2501, and no more than 1000", len(s.metrics), s.largest)
	}
	if s.artifacts["/api/2.0/mlflow-artifacts/artifacts/7/r0/artifacts/model.fluxora"] != "bytes" {
		t.Errorf("artifacts: %v", s.artifacts)
	}
}

func TestExportThatIsRefused(t *testing.T) {
	s, _ := start(t)
	web := httptest.NewServer(s)
	defer web.Close()
	c := mlflow.New(mlflow.Options{URL: web.URL, Experiment: "x", Token: "wrong", Timeout: time.Second, Log: slog.New(slog.DiscardHandler)})
	_, err := c.Export(t.Context(), run())
	var answer *mlflow.AnswerError
	if !errors.As(err, &answer) || answer.Status != http.StatusUnauthorized || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
	web.Close()
	if _, err := c.Export(t.Context(), run()); err == nil {
		t.Error("no server: no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Export(ctx, run()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
