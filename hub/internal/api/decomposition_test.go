package api_test

import (
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

func TestAForecastIsTakenApart(t *testing.T) {
	s := storetest.Open(t)
	v, other := newTenant(t, s, "alpha"), newTenant(t, s, "beta")
	srv := serve(t, s, nil)
	path := "/v1/points/" + v.point.String() + "/decomposition"
	if a := ask(t, srv, v.token, path); a.status != http.StatusNotFound || !strings.Contains(string(a.body), "no such model") {
		t.Errorf("without a model: %d %s", a.status, a.body)
	}
	ids := map[string]string{}
	for _, family := range []string{"additive", "seasonal"} {
		artifact, err := os.ReadFile("../../../shared/model/testdata/" + family + "-v1.model")
		if err != nil {
			t.Fatal(err)
		}
		id := uuid.Must(uuid.NewV7())
		ids[family] = id.String()
		row := store.ModelRow{Org: v.org, ID: id, Family: family, State: "candidate", Resolution: time.Hour, Scores: []byte("[]"), SHA256: []byte(family), Signature: []byte{2}, CreatedAt: now}
		if err := s.PutModel(t.Context(), row, artifact); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PromoteModel(t.Context(), v.org, uuid.MustParse(ids["additive"]), false, "", now); err != nil {
		t.Fatal(err)
	}
	d := read[api.Decomposition](t, srv, v.token, path+"?hours=12")
	if d.Model != ids["additive"] || d.Name != "main" || len(d.Steps) != 12 || !d.Steps[1].Start.Equal(d.Origin.Add(time.Hour)) {
		t.Fatalf("got %+v", d)
	}
	for _, step := range d.Steps {
		sum := 0.0
		for _, wh := range step.Parts {
			sum += wh
		}
		if len(step.Parts) != 7 || math.Abs(sum-step.Sum) > 1e-6 || step.Share != 1 {
			t.Errorf("parts %v of %g", step.Parts, step.Sum)
		}
	}
	at := d.Origin.Add(-24 * time.Hour).Format(time.RFC3339)
	if e := read[api.Decomposition](t, srv, v.token, path+"?origin="+at); len(e.Steps) != 24 || !e.Origin.Equal(d.Origin.Add(-24*time.Hour)) {
		t.Errorf("a day before: %+v", e)
	}
	for query, want := range map[string]int{
		"?model=" + ids["seasonal"]: http.StatusConflict, "?hours=100": http.StatusConflict, "?origin=2001-01-01T00:00:00Z": http.StatusConflict,
		"?origin=" + d.Origin.Add(time.Minute).Format(time.RFC3339): http.StatusUnprocessableEntity, "?register=steam": http.StatusUnprocessableEntity,
		"?model=nobody": http.StatusNotFound, "?register=energy-export": http.StatusNotFound,
	} {
		if a := ask(t, srv, v.token, path+query); a.status != want {
			t.Errorf("%s: %d %s, want %d", query, a.status, a.body, want)
		}
	}
	if a := ask(t, srv, other.token, path); a.status != http.StatusNotFound {
		t.Errorf("another organisation: %d %s", a.status, a.body)
	}
}
