package jobs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// order asks for a training and returns its end.
func (w *world) order(t *testing.T, o jobs.Order) store.TrainingRun {
	t.Helper()
	run, fresh, err := w.TrainTo(t.Context(), w.org, time.Hour, jobs.CauseDemand, o)
	if err != nil || !fresh {
		t.Fatalf("fresh %v, %v", fresh, err)
	}
	r, _ := w.end(t, run)
	return r
}

func TestATrainingIsWhatItWasAskedToBe(t *testing.T) {
	w := open(t)
	site, err := w.store.EnsureSite(t.Context(), w.org, store.Site{Name: "oslo-1", Zone: "Europe/Oslo", Resolution: time.Hour, Horizon: 48})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"main", "boiler"} {
		if _, err := w.store.Pool().Exec(t.Context(), `insert into point (org_id, point_id, site_id, name) values ($1, $2, $3, $4)`, w.org, w.building(t, 60, uint64(i)), site.ID, name); err != nil {
			t.Fatal(err)
		}
	}
	w.work(t, &jobs.Engine{Store: w.store, History: 365 * 24 * time.Hour, Threads: 1, Version: "test", Settings: map[string]string{"gbdt.trees": "20", "rows": "5000"}})

	small := jobs.Order{Settings: map[string]string{"family": "gbdt", "gbdt.leaves": "8", "categories": "weekday"}, Features: "small@3", Spec: "fluxora-features 1\nlead\nweeks mean 4\ndays mean 7\nhour\nweekday\n"}
	r := w.order(t, small)
	if r.State != "done" || r.Model == nil {
		t.Fatalf("%s %s: %s", r.State, r.Outcome, r.Reason)
	}
	for _, want := range []string{`"features": "small@3"`, `"family": "gbdt"`, `"gbdt.leaves": "8"`, `"gbdt.trees": "20"`, `"categories": "weekday"`, `"rows": "5000"`} {
		if !strings.Contains(string(r.Record.Params), want) {
			t.Errorf("the record lacks %s: %s", want, r.Record.Params)
		}
	}
	m, _, err := w.store.Model(t.Context(), w.org, r.Model.String())
	if err != nil || m.Family != model.FamilyGBDT || m.Spec != r.Record.Spec {
		t.Errorf("model of family %s, spec %s, run %s: %v", m.Family, m.Spec, r.Record.Spec, err)
	}
	if f, err := jobs.FitOf(r.Record); err != nil || len(f.Importance) == 0 || f.Importance[0].Share < 0.1 {
		t.Errorf("importance %v, %v", f.Importance, err)
	}

	// A model knows points by the names that their agents have for them.
	r = w.order(t, jobs.Order{Settings: map[string]string{"family": "additive", "additive.own_penalty": "3"}})
	if r.Model == nil {
		t.Fatalf("%s %s: %s", r.State, r.Outcome, r.Reason)
	}
	_, encoded, err := w.store.Model(t.Context(), w.org, r.Model.String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := model.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	points, err := w.store.Points(t.Context(), w.org)
	if err != nil || len(points) != 2 {
		t.Fatalf("%d points, %v", len(points), err)
	}
	for _, p := range points {
		if name := forecast.PointName(forecast.PointAt(p.SiteName, p.Name), meter.EnergyImport); model.ForPoint(a.Model, name) == a.Model {
			t.Errorf("the model knows nothing of %q, which it has learnt from: %+v", name, a.Model.(*model.Additive).Points)
		}
	}

	// Sites without weather: what such features need is said at once, and not tried again.
	r = w.order(t, jobs.Order{Features: "winter@1", Spec: "fluxora-features 1\nlead\nday 1\ntemperature\nfact area_m2\n"})
	if r.State != "failed" || r.Attempt != 1 || r.Model != nil || !strings.Contains(r.Reason, `"temperature"`) || !strings.Contains(r.Reason, "area_m2") || strings.Contains(r.Reason, "day 1") {
		t.Errorf("%s after %d attempts: %s", r.State, r.Attempt, r.Reason)
	}
}

func TestAnOrderIsCheckedAndNotMixedUpWithAnother(t *testing.T) {
	w := open(t)
	bad := jobs.Order{Settings: map[string]string{"gbdt.leaves": "1"}}
	if _, _, err := w.TrainTo(t.Context(), w.org, time.Hour, jobs.CauseDemand, bad); err == nil || !strings.Contains(err.Error(), "gbdt.leaves") {
		t.Errorf("one leaf: %v", err)
	}
	first := jobs.Order{Settings: map[string]string{"family": "linear"}}
	run, _, err := w.TrainTo(t.Context(), w.org, time.Hour, jobs.CauseDemand, first)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.store.TrainingRun(t.Context(), w.org, run)
	if err != nil || !strings.Contains(string(r.Record.Params), `"family": "linear"`) {
		t.Errorf("a queued run says %s: %v", r.Record.Params, err)
	}
	for _, o := range []jobs.Order{first, {}} { // the daily training joins whatever is under way
		if again, fresh, err := w.TrainTo(t.Context(), w.org, time.Hour, jobs.CauseDemand, o); err != nil || fresh || again != run {
			t.Errorf("%+v: %s, fresh %v, %v", o, again, fresh, err)
		}
	}
	other := jobs.Order{Settings: map[string]string{"family": "seasonal"}}
	if _, _, err := w.TrainTo(t.Context(), w.org, time.Hour, jobs.CauseDemand, other); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), run.String()) {
		t.Errorf("another order: %v", err)
	}
}
