// Package mlflow copies training runs to an MLflow tracking server over its REST API (version 2.0).
//
// It knows MLflow's experiments, runs, parameters, metrics, tags and artifacts. It must not know where runs come from.
//
// Invariant: exporting a run again changes nothing: it is found by the tag that carries its id, and is completed if the export before was
// cut short.
package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Options say which server.
type Options struct {
	URL        string // as http://mlflow:5000
	Experiment string // made when there is none of that name
	Token      string // sent as a bearer token when not empty
	Timeout    time.Duration
	Retries    int // of one request, after the first attempt
	Log        *slog.Logger
}

// Client speaks to one server.
type Client struct {
	o    Options
	http *retryablehttp.Client
}

// New returns a client; it connects to nothing yet.
func New(o Options) *Client {
	c := retryablehttp.NewClient()
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = o.Retries, 100*time.Millisecond, 10*time.Second
	c.HTTPClient.Timeout = o.Timeout
	c.Logger = nil
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return &Client{o, c}
}

// Metric is a number that a run found; Step numbers those of one name.
type Metric struct {
	Name  string
	Value float64
	Step  int64
}

// Run is what is exported.
type Run struct {
	ID       string // ours; the tag fluxora.run carries it
	Name     string
	Status   string // FINISHED, FAILED or KILLED
	Start    time.Time
	End      time.Time
	Params   map[string]string
	Tags     map[string]string
	Metrics  []Metric
	Artifact []byte // empty for none
}

const (
	runTag      = "fluxora.run"
	mostMetrics = 1000 // in one request, by MLflow's limits
	mostParams  = 100
	mostText    = 6000 // characters of a parameter's value
	mostAnswer  = 4 << 20
)

// Export copies a run and returns its id at the server.
func (c *Client) Export(ctx context.Context, r Run) (string, error) {
	id, err := c.export(ctx, r)
	if err != nil {
		return "", fmt.Errorf("export run %s to MLflow: %w", r.ID, err)
	}
	return id, nil
}

func (c *Client) export(ctx context.Context, r Run) (string, error) {
	experiment, err := c.experiment(ctx)
	if err != nil {
		return "", err
	}
	id, uri, err := c.find(ctx, experiment, r)
	if err != nil {
		return "", err
	}
	if err := c.batches(ctx, id, r); err != nil {
		return "", err
	}
	if len(r.Artifact) > 0 {
		if err := c.upload(ctx, uri, "model.fluxora", r.Artifact); err != nil {
			return "", err
		}
	}
	return id, c.call(ctx, "POST", "runs/update", map[string]any{"run_id": id, "status": r.Status, "end_time": r.End.UnixMilli()}, nil)
}

// experiment returns the id of the experiment, which is made when there is none.
func (c *Client) experiment(ctx context.Context) (string, error) {
	var got struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"experiment"`
	}
	err := c.call(ctx, "GET", "experiments/get-by-name?experiment_name="+url.QueryEscape(c.o.Experiment), nil, &got)
	var answer *AnswerError
	if errors.As(err, &answer) && answer.Code == "RESOURCE_DOES_NOT_EXIST" {
		var made struct {
			ID string `json:"experiment_id"`
		}
		err = c.call(ctx, "POST", "experiments/create", map[string]any{"name": c.o.Experiment}, &made)
		return made.ID, err
	}
	return got.Experiment.ID, err
}

type remoteRun struct {
	Info struct {
		ID       string `json:"run_id"`
		Artifact string `json:"artifact_uri"`
	} `json:"info"`
}

// find returns the id and the artifact root of the run at the server, which is made when there is none with our tag.
func (c *Client) find(ctx context.Context, experiment string, r Run) (id, uri string, err error) {
	var found struct {
		Runs []remoteRun `json:"runs"`
	}
	err = c.call(ctx, "POST", "runs/search", map[string]any{
		"experiment_ids": []string{experiment}, "max_results": 1, "filter": fmt.Sprintf("tags.`%s` = '%s'", runTag, r.ID),
	}, &found)
	if err != nil {
		return "", "", err
	}
	if len(found.Runs) > 0 {
		return found.Runs[0].Info.ID, found.Runs[0].Info.Artifact, nil
	}
	tags := []map[string]string{{"key": runTag, "value": r.ID}}
	for k, v := range r.Tags {
		tags = append(tags, map[string]string{"key": k, "value": cut(v)})
	}
	var made struct {
		Run remoteRun `json:"run"`
	}
	err = c.call(ctx, "POST", "runs/create", map[string]any{"experiment_id": experiment, "run_name": r.Name, "start_time": r.Start.UnixMilli(), "tags": tags}, &made)
	return made.Run.Info.ID, made.Run.Info.Artifact, err
}

// batches logs parameters and metrics in requests that the server takes. A metric that is no finite number is left out.
func (c *Client) batches(ctx context.Context, id string, r Run) error {
	var params, metrics []map[string]any
	for k, v := range r.Params {
		params = append(params, map[string]any{"key": k, "value": cut(v)})
	}
	for _, m := range r.Metrics {
		if !math.IsNaN(m.Value) && !math.IsInf(m.Value, 0) {
			metrics = append(metrics, map[string]any{"key": m.Name, "value": m.Value, "step": m.Step, "timestamp": r.End.UnixMilli()})
		}
	}
	for len(params) > 0 || len(metrics) > 0 {
		p, m := min(len(params), mostParams), min(len(metrics), mostMetrics-mostParams)
		err := c.call(ctx, "POST", "runs/log-batch", map[string]any{"run_id": id, "params": params[:p], "metrics": metrics[:m]}, nil)
		if err != nil {
			return err
		}
		params, metrics = params[p:], metrics[m:]
	}
	return nil
}

// upload stores a file beside the run, by the server's own artifact route: other places want their own credentials, and are left alone.
func (c *Client) upload(ctx context.Context, uri, name string, body []byte) error {
	path, ok := strings.CutPrefix(uri, "mlflow-artifacts:")
	if !ok {
		c.o.Log.InfoContext(ctx, "artifact not copied: the MLflow server does not take artifacts itself", "place", uri)
		return nil
	}
	if i := strings.Index(strings.TrimPrefix(path, "//"), "/"); strings.HasPrefix(path, "//") && i >= 0 {
		path = path[2+i:] // the host is the one that we speak to
	}
	return c.do(ctx, "PUT", "/api/2.0/mlflow-artifacts/artifacts/"+strings.Trim(path, "/")+"/"+name, "application/octet-stream", body, nil)
}

func (c *Client) call(ctx context.Context, method, route string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	return c.do(ctx, method, "/api/2.0/mlflow/"+route, "application/json", body, out)
}

// AnswerError is an answer that refuses a request.
type AnswerError struct {
	Route  string
	Status int
	Code   string `json:"error_code"`
	Text   string `json:"message"`
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("%s: the server answers %d %s: %.200s", e.Route, e.Status, e.Code, e.Text)
}

func (c *Client) do(ctx context.Context, method, path, kind string, body []byte, out any) error {
	req, err := retryablehttp.NewRequestWithContext(ctx, method, strings.TrimRight(c.o.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	if c.o.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	route, _, _ := strings.Cut(path, "?")
	if answer.StatusCode/100 != http.StatusOK/100 {
		e := &AnswerError{Route: route, Status: answer.StatusCode}
		if json.Unmarshal(text, e) != nil {
			e.Text = string(text)
		}
		return e
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s: answer is no JSON: %w", route, err)
	}
	return nil
}

// cut shortens a value to what the server takes.
func cut(v string) string {
	if len(v) > mostText {
		return strings.ToValidUTF8(v[:mostText], "")
	}
	return v
}
