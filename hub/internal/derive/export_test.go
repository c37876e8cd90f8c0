package derive

import (
	"context"

	"fluxora.dev/hub/internal/store"
)

// SetFault makes d call fn at several places within a step; an error ends the step as a crash would.
func (d *Deriver) SetFault(fn func(where string) error) { d.fault = fn }

// StepDue does one step with other ideas of what is due.
func (d *Deriver) StepDue(ctx context.Context, due store.Due) (bool, error) { return d.step(ctx, due) }
