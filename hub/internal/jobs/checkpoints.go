package jobs

import (
	"context"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
)

// Checkpoints keeps what one run has come to, so that the next attempt goes on from there. What it holds is gone with the end of the
// run. nil keeps nothing.
type Checkpoints struct {
	ctx      context.Context
	store    *store.Store
	org, run uuid.UUID
}

// Load returns what was saved under a key, nil when nothing was.
func (c *Checkpoints) Load(key string) ([]byte, error) {
	if c == nil {
		return nil, nil
	}
	return c.store.Checkpoint(c.ctx, c.org, c.run, key)
}

// Save keeps body under a key, in place of what was there.
func (c *Checkpoints) Save(key string, body []byte) error {
	if c == nil {
		return nil
	}
	return c.store.PutCheckpoint(c.ctx, c.org, c.run, key, body)
}
