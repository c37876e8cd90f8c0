package ingeststore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/ingeststore"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

func TestErrors(t *testing.T) {
	s := storetest.Open(t)
	x := ingeststore.New(s, time.Now)
	org, site, id := storetest.Site(t, s, "org", store.Site{Name: "here"})
	a := ingest.Agent{Org: org, ID: id, Site: site.ID}
	ctx := t.Context()
	if _, err := x.AgentByCertificate(ctx, uuid.New(), "00"); !errors.Is(err, ingest.ErrNotFound) {
		t.Errorf("unknown certificate: %v, want ErrNotFound", err)
	}
	if _, err := x.OpenSession(ctx, a, wire.Hello{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	body, err := chunk.Append(nil, []meter.Reading{{At: 1}, {At: 2}})
	if err != nil {
		t.Fatal(err)
	}
	b := wire.Batch{First: 1, Count: 2, Blocks: []wire.Block{{Series: 1, Chunk: body}}}
	if _, err := x.CommitBatch(ctx, a, 1, b); !errors.Is(err, ingest.ErrUndeclared) {
		t.Errorf("undeclared: %v, want ErrUndeclared", err)
	}
	ss := []wire.Series{{ID: 1, Series: meter.Series{Point: "p", Register: meter.EnergyImport, Kind: meter.Counter}}}
	if err := x.Declare(ctx, a, 1, ss); err != nil {
		t.Fatal(err)
	}
	if got, err := x.CommitBatch(ctx, a, 1, b); err != nil || got.Cursor != 3 {
		t.Errorf("commit: %+v, %v, want cursor 3", got, err)
	}
	b.First = 2
	if got, err := x.CommitBatch(ctx, a, 1, b); !errors.Is(err, ingest.ErrOverlap) || got.Cursor != 3 {
		t.Errorf("overlap: %+v, %v, want ErrOverlap with cursor 3", got, err)
	}
	for name, r := range map[string]wire.Report{
		"model that is no UUID":     {Models: []wire.ModelState{{ID: "m1", State: wire.ModelActive}}},
		"received before all time":  {Quarantined: []wire.Quarantined{{ID: 1, Received: -1 << 62}}},
		"forecast of the year 9999": {Forecasts: []forecast.Forecast{{Point: "p", Register: meter.EnergyImport, Origin: 253_370_764_800_000, Resolution: time.Hour, Levels: []float64{0.5}, Values: []float64{1}, Rung: forecast.Baseline}}},
	} {
		if err := x.PutReport(ctx, a, 1, r); !errors.Is(err, ingest.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
	b.First, b.Blocks[0].Chunk = 3, body[:len(body)-1]
	if _, err := x.CommitBatch(ctx, a, 1, b); !errors.Is(err, ingest.ErrCorrupt) {
		t.Errorf("chunk cut short: %v, want ErrCorrupt", err)
	}
	if _, err := x.ArtifactChunk(ctx, a, "no-uuid", 0, 1); !errors.Is(err, ingest.ErrNotFound) {
		t.Errorf("artifact: %v, want ErrNotFound", err)
	}
	if c, err := x.SiteConfig(ctx, a); err != nil || c.Resolution != time.Hour || c.Horizon != 48 {
		t.Errorf("configuration %+v, %v", c, err)
	}
}
