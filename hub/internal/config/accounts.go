package config

import (
	"net/url"
	"time"
)

// Accounts is who may have one, and how long logins last.
type Accounts struct {
	Registration string        `yaml:"registration"` // closed, invited or open
	Issuer       string        `yaml:"issuer"`       // named in access tokens; the same for all hubs of a database
	AccessLife   time.Duration `yaml:"access_life"`  // of an access token
	SessionLife  time.Duration `yaml:"session_life"` // of a login without another password
	OIDC         OIDC          `yaml:"oidc"`
}

// OIDC is an OpenID provider that people may log in with.
type OIDC struct {
	Issuer       string `yaml:"issuer"` // URL; empty: none
	ClientID     string `yaml:"client_id"`
	ClientSecret string `yaml:"client_secret"` // better in FLUXORA_HUB_ACCOUNTS_OIDC_CLIENT_SECRET than in a file
	RedirectURL  string `yaml:"redirect_url"`  // of this hub, as the provider knows it: https://HOST/v1/auth/oidc/callback
	Create       bool   `yaml:"create"`        // an account in the organisation of this hub for who has none
	Role         string `yaml:"role"`          // there
}

func (a Accounts) check(report func(key, format string, args ...any)) {
	switch a.Registration {
	case "closed", "invited", "open":
	default:
		report("accounts.registration", "is %q: want closed, invited or open", a.Registration)
	}
	if a.Issuer == "" {
		report("accounts.issuer", "is empty: want a name for access tokens to carry")
	}
	between(report, "accounts.access_life", a.AccessLife, time.Minute, 24*time.Hour)
	between(report, "accounts.session_life", a.SessionLife, time.Hour, 365*24*time.Hour)
	switch a.OIDC.Role {
	case "viewer", "analyst", "operator", "admin":
	default:
		report("accounts.oidc.role", "is %q: want viewer, analyst, operator or admin", a.OIDC.Role)
	}
	if a.OIDC.Issuer == "" {
		return
	}
	for key, text := range map[string]string{"accounts.oidc.issuer": a.OIDC.Issuer, "accounts.oidc.redirect_url": a.OIDC.RedirectURL} {
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
			report(key, "is no URL: want https://…")
		}
	}
	if a.OIDC.ClientID == "" {
		report("accounts.oidc.client_id", "is empty: want the name that the provider knows this hub by")
	}
}
