package ingeststore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/proto/wire"
)

var _ ingest.Books = Store{}

// Reconcile implements ingest.Books.
func (s Store) Reconcile(ctx context.Context, a ingest.Agent, epoch uint64, l wire.Ledger) ([]ingest.Difference, bool, error) {
	ds, compared, err := s.store.Reconcile(ctx, a.Org, a.ID, epoch, l)
	out := make([]ingest.Difference, len(ds))
	for i, d := range ds {
		out[i] = ingest.Difference{Point: d.Point, Register: d.Register, Day: time.Unix(int64(d.Day)*86400, 0).UTC(), Readings: d.Readings, Surplus: d.Surplus}
	}
	return out, compared, translate(err)
}

// NextResend implements ingest.Books.
func (s Store) NextResend(ctx context.Context, a ingest.Agent) (wire.Resend, bool, error) {
	r, ok, err := s.store.NextResend(ctx, a.Org, a.ID)
	return r, ok, translate(err)
}

// CommitResent implements ingest.Books.
func (s Store) CommitResent(ctx context.Context, a ingest.Agent, epoch uint64, r wire.Resent) error {
	return translate(s.store.CommitResent(ctx, a.Org, a.ID, epoch, r))
}

// AwaitedAgents implements ingest.Books.
func (s Store) AwaitedAgents(ctx context.Context) ([]uuid.UUID, error) {
	ids, err := s.store.AwaitedAgents(ctx)
	return ids, translate(err)
}
