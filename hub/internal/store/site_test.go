package store_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/ingeststore"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/holiday"
)

// TestAgentsAreToldWhatSurroundsTheSite follows country, vacations and facts from the database to what an agent decodes.
func TestAgentsAreToldWhatSurroundsTheSite(t *testing.T) {
	s := storetest.Open(t)
	org, site, _ := storetest.Site(t, s, "org", store.Site{Name: "town"})
	if a := site.Around(); a.Country != "" || a.Vacations != nil || a.Facts != nil {
		t.Fatalf("a new site is surrounded by %+v", a)
	}
	site.Country = "DE-BY"
	site.Vacations = []holiday.Range{{From: holiday.On(2024, 7, 29), To: holiday.On(2024, 9, 10)}, {From: holiday.On(2024, 12, 23), To: holiday.On(2025, 1, 6)}}
	site.Facts = map[string]float64{"area_m2": 437.25}
	if err := s.UpdateSite(t.Context(), org, site); err != nil {
		t.Fatal(err)
	}
	held, err := s.Site(t.Context(), org, site.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(site.Around(), held.Around()); d != "" || held.Revision == site.Revision {
		t.Errorf("revision %d, then %d; %s", site.Revision, held.Revision, d)
	}
	config, err := ingeststore.New(s, nil).SiteConfig(t.Context(), ingest.Agent{Org: org, Site: site.ID})
	if err != nil {
		t.Fatal(err)
	}
	told, err := wire.DecodeSiteConfig(wire.EncodeSiteConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(held.Around(), told.Around()); d != "" {
		t.Errorf("an agent is told of other surroundings: %s", d)
	}
	for want, spoil := range map[string]func(*store.Site){
		`country "UK"`: func(v *store.Site) { v.Country = "UK" },
		"vacation 2":   func(v *store.Site) { v.Vacations = append(v.Vacations[:1:1], v.Vacations[0]) },
		`"Area"`:       func(v *store.Site) { v.Facts = map[string]float64{"Area": 1} },
	} {
		bad := held
		spoil(&bad)
		if err := s.UpdateSite(t.Context(), org, bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
