package ingeststore_test

import (
	"testing"
	"time"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/ingest/ingesttest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/ingeststore"
	"fluxora.dev/hub/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	ingesttest.Run(t, func(t *testing.T) (ingest.Store, ingest.Agent) {
		s := storetest.Open(t)
		org, site, id := storetest.Site(t, s, "org", store.Site{Name: "here"})
		return ingeststore.New(s, time.Now), ingest.Agent{Org: org, ID: id, Site: site.ID}
	})
}
