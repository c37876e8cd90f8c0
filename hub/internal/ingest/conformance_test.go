package ingest_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/ingest/ingesttest"
	"fluxora.dev/proto/wire"
)

// oneEpoch gives each epoch a fakeStore of its own, which knows one.
type oneEpoch struct {
	*fakeStore
	others map[uint64]*fakeStore
}

func (o oneEpoch) OpenSession(ctx context.Context, a ingest.Agent, h wire.Hello) (wire.Received, error) {
	if _, err := o.fakeStore.OpenSession(ctx, a, h); err != nil { // the lineage is over all epochs
		return wire.Received{}, err
	}
	return o.of(h.Epoch).OpenSession(ctx, a, h)
}

func (o oneEpoch) Declare(ctx context.Context, a ingest.Agent, epoch uint64, ss []wire.Series) error {
	return o.of(epoch).Declare(ctx, a, epoch, ss)
}

func (o oneEpoch) CommitBatch(ctx context.Context, a ingest.Agent, epoch uint64, b wire.Batch) (wire.Received, error) {
	return o.of(epoch).CommitBatch(ctx, a, epoch, b)
}

func (o oneEpoch) of(epoch uint64) *fakeStore {
	if o.others[epoch] == nil {
		o.others[epoch] = newFakeStore()
	}
	return o.others[epoch]
}

// TestFakeKeepsTheRules: the store that the server is tested with behaves as Postgres does.
func TestFakeKeepsTheRules(t *testing.T) {
	ingesttest.Run(t, func(*testing.T) (ingest.Store, ingest.Agent) {
		return oneEpoch{newFakeStore(), make(map[uint64]*fakeStore)}, ingest.Agent{ID: uuid.New()}
	})
}
