package app

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

func TestChangesOfAnotherProcessAreAnnounced(t *testing.T) {
	s := storetest.Open(t)
	org, site, _ := storetest.Site(t, s, "alpha", store.Site{Name: "a"})
	storetest.Site(t, s, "beta", store.Site{Name: "b"})
	var told []uuid.UUID
	w := &watch{store: s, announce: func(org uuid.UUID) { told = append(told, org) }, log: slog.New(slog.DiscardHandler)}
	look := func(when string, want int) {
		t.Helper()
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(told) != want {
			t.Fatalf("%s: told %d times, want %d", when, len(told), want)
		}
	}
	model := uuid.New()
	exec := func(sql string) {
		t.Helper()
		if _, err := s.Pool().Exec(t.Context(), sql, org, model); err != nil {
			t.Fatal(err)
		}
	}
	look("the first look", 0)
	look("nothing changed", 0)
	exec(`insert into model (org_id, model_id, family, state, spec, resolution_ms, trained_from, trained_to, points, rows, scores, sha256, signature, artifact)
		values ($1, $2, 'gbdt', 'candidate', '', 3600000, now(), now(), 1, 1, '[]', '', '', '')`)
	look("a candidate is nothing to agents", 0)
	exec(`update model set state = 'active' where org_id = $1 and model_id = $2`)
	look("promoted", 1)
	exec(`update model set state = 'retired' where org_id = $1 and model_id = $2`)
	look("retired", 2)
	site.Horizon = 24
	if err := s.UpdateSite(t.Context(), org, site); err != nil {
		t.Fatal(err)
	}
	look("settings of a site", 3)
	for _, o := range told {
		if o != org {
			t.Errorf("told %s, want only %s", o, org)
		}
	}
}
