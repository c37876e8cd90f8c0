package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

func TestRunsAndTheModelsTheyMade(t *testing.T) {
	s := storetest.Open(t)
	v, other := newTenant(t, s, "alpha"), newTenant(t, s, "beta")
	srv := serve(t, s, nil)
	ctx := t.Context()
	run, id := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	if err := pgx.BeginFunc(ctx, s.Pool(), func(tx pgx.Tx) error {
		return s.PutTrainingRun(ctx, tx, v.org, run, time.Hour, "demand", json.RawMessage("{}"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.StartTrainingRun(ctx, v.org, run, 1, now); err != nil {
		t.Fatal(err)
	}
	left := 90 * time.Second
	if err := s.BeatTrainingRun(ctx, v.org, run, "fitting", 40, &left); err != nil {
		t.Fatal(err)
	}
	path := "/v1/runs/" + run.String()
	if got := read[api.Run](t, srv, v.token, path); got.State != "running" || got.Stage != "fitting" || got.LeftMs != 90_000 {
		t.Errorf("at work: %+v", got)
	}
	row := store.ModelRow{Org: v.org, ID: id, Family: "gbdt", State: "candidate", Resolution: time.Hour, Scores: []byte("[]"), SHA256: []byte{1}, Signature: []byte{2}, CreatedAt: now, Run: run}
	if err := s.PutModel(ctx, row, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.PromoteModel(ctx, v.org, id, false, "it beats the baseline", now); err != nil {
		t.Fatal(err)
	}
	if err := s.SetModelAlias(ctx, v.org, "winter", id); err != nil {
		t.Fatal(err)
	}
	end := store.TrainingRun{State: "done", Percent: 100, Outcome: "promoted", Model: &id, Record: store.RunRecord{
		Code: "v1", Spec: "abc", From: &now, To: &now, Params: json.RawMessage(`{"seed": 1}`), Report: json.RawMessage(`{"fit": {}}`),
	}}
	if err := s.FinishTrainingRun(ctx, v.org, run, end, now, nil); err != nil {
		t.Fatal(err)
	}
	got := read[api.Run](t, srv, v.token, path)
	if got.State != "done" || got.Model != id.String() || got.Code != "v1" || string(got.Params) != `{"seed":1}` || got.LeftMs != 0 || got.TrainedTo == nil {
		t.Errorf("done: %+v", got)
	}
	if got := read[api.Runs](t, srv, v.token, "/v1/runs?limit=1"); len(got.Runs) != 1 || got.Runs[0].ID != run.String() {
		t.Errorf("list: %+v", got)
	}
	for _, name := range []string{id.String(), "winter"} {
		m := read[api.ModelDetail](t, srv, v.token, "/v1/models/"+name)
		if m.ID != id.String() || m.Run != run.String() || m.Parent != "" || len(m.Changes) != 2 || m.Changes[1].State != "active" || len(m.Uses) != 0 || m.Aliases[0] != "winter" {
			t.Errorf("model %s: %+v", name, m)
		}
	}
	for path, want := range map[string]int{
		"/v1/runs/nonsense": http.StatusUnprocessableEntity, "/v1/runs/" + uuid.NewString(): http.StatusNotFound,
		"/v1/models/summer": http.StatusNotFound, "/v1/runs?limit=0": http.StatusUnprocessableEntity,
	} {
		if a := ask(t, srv, v.token, path); a.status != want {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, want)
		}
	}
	for _, path := range []string{path, "/v1/models/winter", "/v1/models/" + id.String()} {
		if a := ask(t, srv, other.token, path); a.status != http.StatusNotFound {
			t.Errorf("%s by another organisation: %d %s", path, a.status, a.body)
		}
	}
	if got := read[api.Runs](t, srv, other.token, "/v1/runs"); len(got.Runs) != 0 {
		t.Errorf("another organisation sees %+v", got)
	}
}
