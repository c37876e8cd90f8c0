package demo

import (
	"context"
	"fmt"
	"os"
	"time"

	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/lifecycle"
)

// startHub starts the hub and gets a token for its REST interface.
func (d *demo) startHub(ctx context.Context, parts *lifecycle.Group) error {
	d.hub = stage.NewHub(d.o.Bin, d.path("hub"), d.path("logs", "hub.log"), d.o.HubPort, d.o.UplinkPort,
		// The demo trains as soon as the history is there, which it knows better than the schedule.
		"FLUXORA_HUB_TRAINING_FIRST_AFTER=9600h")
	parts.OnStop("hub", func(context.Context) error { return d.hub.Stop(30 * time.Second) })
	if err := d.hub.Start(ctx); err != nil {
		return err
	}
	// The token that the hub printed at its first start is in its log; the demo asks for one of its own.
	token, err := d.hub.Token(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("api-token"), []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the API token: %w", err)
	}
	return nil
}
