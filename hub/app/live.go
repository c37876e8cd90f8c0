package app

import (
	"context"
	"time"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/live"
	"fluxora.dev/proto/wire"
)

// told is a store of what agents send that tells, after each commit, who follows live.
type told struct {
	ingest.Store
	notes *live.Notes
}

// CommitBatch implements ingest.Store.
func (t told) CommitBatch(ctx context.Context, a ingest.Agent, epoch uint64, b wire.Batch) (wire.Received, error) {
	r, err := t.Store.CommitBatch(ctx, a, epoch, b)
	if err == nil {
		t.notes.Note(a.Org, live.Reading, a.SiteName, a.ID.String(), struct {
			Agent    string `json:"agent"`
			Sequence uint64 `json:"sequence"`
		}{a.ID.String(), b.First + b.Count - 1})
	}
	return r, err
}

// PutReport implements ingest.Store.
func (t told) PutReport(ctx context.Context, a ingest.Agent, epoch uint64, r wire.Report) error {
	err := t.Store.PutReport(ctx, a, epoch, r)
	if err != nil {
		return err
	}
	for _, f := range r.Forecasts {
		t.notes.Note(a.Org, live.Forecast, a.SiteName, f.Point+" "+string(f.Register), struct {
			Point    string    `json:"point"`
			Register string    `json:"register"`
			Origin   time.Time `json:"origin"`
			Rung     string    `json:"rung"`
		}{f.Point, string(f.Register), f.Origin.Time(), string(f.Rung)})
	}
	return nil
}
