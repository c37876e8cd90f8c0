package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
)

// watchEvery is how soon live agents hear of what another process changed.
const watchEvery = 3 * time.Second

// watch announces changes of models and site settings that another process made: a command, or another replica.
type watch struct {
	store    *store.Store
	announce func(org uuid.UUID)
	log      *slog.Logger
	seen     map[uuid.UUID]string
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.log.DebugContext(ctx, "changes not looked for; trying on", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look announces to the organisations whose fingerprint differs from the one before.
func (w *watch) look(ctx context.Context) error {
	prints, err := w.store.Fingerprints(ctx)
	if err != nil {
		return err
	}
	for org, p := range prints {
		if before, known := w.seen[org]; known && before != p {
			w.announce(org)
		}
	}
	w.seen = prints
	return nil
}
