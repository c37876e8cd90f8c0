package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/hub/internal/watch"
)

func TestWatchAndFindings(t *testing.T) {
	s := storetest.Open(t)
	v, other := newTenant(t, s, "alpha"), newTenant(t, s, "beta")
	srv := serve(t, s, nil)
	ctx := t.Context()
	if got := read[api.WatchReports](t, srv, v.token, "/v1/watch"); len(got.Reports) != 0 {
		t.Errorf("before any: %+v", got)
	}
	point := v.point
	skill := 0.25
	body, err := json.Marshal(watch.Summary{
		To: now, Live: watch.LiveSummary{Days: 9, Intervals: 216, Skill: &skill}, Drift: watch.DriftSummary{Of: "errors", Drifted: true, Reason: "why"},
		Points: []watch.PointSummary{{Point: point.String(), Register: "energy-import", Drift: []watch.DriftSummary{{Of: "errors"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	id, run := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	report := store.WatchReport{Resolution: time.Hour, At: now.Add(-time.Hour), Report: []byte(`{"points":[]}`)}
	if err := s.PutWatch(ctx, v.org, report, nil); err != nil {
		t.Fatal(err)
	}
	report = store.WatchReport{Resolution: time.Hour, At: now, Model: &id, Report: body, Reason: "drift", Run: &run}
	found := []store.Finding{
		{Point: point, Register: "energy-import", Kind: "shape", Start: first, End: first.Add(3 * time.Hour), Wh: 3200, UsualWh: 1000, Score: 0.7, Reason: "used 3.2 times"},
		{Point: point, Register: "energy-import", Kind: "forecast", Start: first.Add(time.Hour), End: first.Add(3 * time.Hour), Wh: 10, UsualWh: 20, Score: 0.6, Reason: "less"},
	}
	for range 2 { // an examination that is repeated changes nothing
		if err := s.PutWatch(ctx, v.org, report, found); err != nil {
			t.Fatal(err)
		}
	}
	got := read[api.WatchReports](t, srv, v.token, "/v1/watch")
	if len(got.Reports) != 1 || got.Reports[0].Resolution != "PT1H" || got.Reports[0].Model != id.String() || got.Reports[0].Run != run.String() || got.Reports[0].Reason != "drift" {
		t.Fatalf("%+v", got)
	}
	if r := got.Reports[0]; !r.Drift.Drifted || *r.Live.Skill != 0.25 || len(r.Points) != 1 || r.Points[0].Drift[0].Distance != nil {
		t.Errorf("%+v", r.Summary)
	}
	list := read[api.Findings](t, srv, v.token, "/v1/findings").Findings
	if len(list) != 2 || list[0].Kind != "forecast" || list[1].Reason != "used 3.2 times" || list[1].Site != "alpha-site" || list[1].Name != "main" || list[1].Wh != 3200 {
		t.Errorf("%+v", list)
	}
	if list := read[api.Findings](t, srv, v.token, "/v1/findings?before="+first.Add(time.Hour).Format(time.RFC3339)).Findings; len(list) != 1 || list[0].Kind != "shape" {
		t.Errorf("before the second: %+v", list)
	}
	if list := read[api.Findings](t, srv, v.token, "/v1/findings?site=elsewhere").Findings; len(list) != 0 {
		t.Errorf("of another site: %+v", list)
	}
	if list := read[api.Findings](t, srv, other.token, "/v1/findings").Findings; len(list) != 0 {
		t.Errorf("of another organisation: %+v", list)
	}
	if got := read[api.WatchReports](t, srv, other.token, "/v1/watch"); len(got.Reports) != 0 {
		t.Errorf("of another organisation: %+v", got)
	}
}
