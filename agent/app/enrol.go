package app

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"fluxora.dev/agent/internal/identity"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/feature"
)

// Identity is who an agent is at its hub.
type Identity struct{ Agent, Site string }

func identityDir(c Config) string { return filepath.Join(c.DataDir, "identity") }

// Enrol gives the agent its identity at the hub and keeps it in the data directory. It may be repeated with the same token.
func Enrol(ctx context.Context, c Config, hub, token, version string) (Identity, error) {
	id, _, err := identity.Enrol(ctx, identityDir(c), identity.Request{Hub: hub, Token: token, Version: version, Now: time.Now})
	if err != nil {
		return Identity{}, err
	}
	if id.Site() != c.Site {
		return Identity{}, fmt.Errorf("the token is for site %s, but these settings are for site %s: set site, or create another token", id.Site(), c.Site)
	}
	return Identity{id.Agent(), id.Site()}, nil
}

// siteConfigName is the name under which the store keeps what the hub decided for the site.
const siteConfigName = "site-config"

// named keeps small values durably; *store.Store does.
type named interface {
	Put(name string, value []byte) error
	Value(name string) ([]byte, error)
}

// hubDecided returns what the hub decided for the site before, or nothing.
func hubDecided(n named) (wire.SiteConfig, error) {
	var s wire.SiteConfig
	b, err := n.Value(siteConfigName)
	if err != nil || b == nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return wire.SiteConfig{}, fmt.Errorf("read what the hub decided: %w", err)
	}
	return s, nil
}

// keepDecided keeps what the hub decided for the site.
func keepDecided(n named, s wire.SiteConfig) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep what the hub decided: %w", err)
	}
	return n.Put(siteConfigName, b)
}

// decidedBy returns c with what the hub decided in force. What the hub leaves open stays as it is.
func decidedBy(c Config, s wire.SiteConfig) Config {
	if s.Zone != "" {
		c.Zone = s.Zone
	}
	if s.Resolution > 0 {
		c.Resolution = s.Resolution
	}
	if s.Horizon > 0 {
		c.Forecast.Horizon = time.Duration(s.Horizon) * c.Resolution
	}
	if len(s.Levels) > 0 {
		c.Forecast.Levels = s.Levels
	}
	if (&feature.Site{Country: s.Country}).Check() == nil && s.Country != "" {
		c.Country = s.Country
	}
	if len(s.Vacations) > 0 {
		c.Vacations = s.Vacations
	}
	if len(s.Facts) > 0 {
		c.Facts = s.Facts
	}
	return c
}
