package jobs

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
)

// Checkpoints keeps what one run has come to, so that the next attempt goes on from there. What it holds is gone with the end of the
// run. nil keeps nothing.
type Checkpoints struct {
	ctx      context.Context
	store    *store.Store
	org, run uuid.UUID
	prefix   string // of all keys
	found    func() // called when something was; may be nil
}

// Of returns the checkpoints of one version of the program, which finds nothing of another's.
func (c *Checkpoints) Of(version string) *Checkpoints {
	if c == nil {
		return nil
	}
	of := *c
	of.prefix += version + "/"
	return &of
}

// Load returns what was saved under a key, nil when nothing was.
func (c *Checkpoints) Load(key string) ([]byte, error) {
	if c == nil {
		return nil, nil
	}
	b, err := c.store.Checkpoint(c.ctx, c.org, c.run, c.prefix+key)
	if b != nil && c.found != nil {
		c.found()
	}
	return b, err
}

// Save keeps body under a key, in place of what was there.
func (c *Checkpoints) Save(key string, body []byte) error {
	if c == nil {
		return nil
	}
	return c.store.PutCheckpoint(c.ctx, c.org, c.run, c.prefix+key, body)
}

// Until returns the end of the history that this run learns from: end, at the first attempt, and the same at all others, so that
// what they kept of their fits is of the same data.
func (c *Checkpoints) Until(end meter.Millis) (meter.Millis, error) {
	const key = "history-end"
	b, err := c.Load(key)
	if err != nil {
		return end, err
	}
	if ms, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return meter.Millis(ms), nil
	}
	return end, c.Save(key, strconv.AppendInt(nil, int64(end), 10))
}
