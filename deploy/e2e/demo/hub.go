package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/lifecycle"
)

// startHub starts the hub and gets a token for its REST interface.
func (d *demo) startHub(ctx context.Context, parts *lifecycle.Group) error {
	d.hub = &stage.Process{
		Name: "hub", Path: d.program("fluxora-hub"), Args: []string{"serve"}, Env: d.hubEnv(), Log: d.path("logs", "hub.log"),
	}
	if err := d.hub.Start(); err != nil {
		return err
	}
	parts.OnStop("hub", func(context.Context) error { return d.hub.Stop(30 * time.Second) })
	d.hubAPI = rest.New(d.hubURL(), "")
	if err := d.hubReady(ctx); err != nil {
		return err
	}
	// The token that the hub printed at its first start is in its log; the demo asks for one of its own.
	token, err := d.hubCommand(ctx, "api-token", "rotate")
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("api-token"), []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the API token: %w", err)
	}
	d.hubAPI = rest.New(d.hubURL(), token)
	return nil
}

func (d *demo) hubURL() string { return fmt.Sprintf("http://127.0.0.1:%d", d.o.HubPort) }

// hubEnv is the hub's whole configuration in the demo; everything else is its default.
func (d *demo) hubEnv() []string {
	return []string{
		"FLUXORA_HUB_DATA_DIR=" + d.path("hub"),
		fmt.Sprintf("FLUXORA_HUB_HTTP_LISTEN=127.0.0.1:%d", d.o.HubPort),
		fmt.Sprintf("FLUXORA_HUB_UPLINK_LISTEN=127.0.0.1:%d", d.o.UplinkPort),
		// The demo trains as soon as the history is there, which it knows better than the schedule.
		"FLUXORA_HUB_TRAINING_FIRST_AFTER=8760h",
	}
}

// hubCommand runs a command of fluxora-hub against the running hub and returns what it printed.
func (d *demo) hubCommand(ctx context.Context, args ...string) (string, error) {
	out, err := stage.Run(ctx, d.hubEnv(), d.program("fluxora-hub"), args...)
	return strings.TrimSpace(out), err
}

func (d *demo) hubReady(ctx context.Context) error {
	return d.waitFor(ctx, "the hub to be ready", time.Minute, func(ctx context.Context) (bool, error) {
		if !d.hub.Running() {
			return false, fmt.Errorf("the hub ended by itself; the end of %s:\n%s", filepath.Base(d.hub.Log), d.hub.Tail(15))
		}
		return true, d.hubAPI.Get(ctx, "/readyz", nil)
	})
}
