package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// OIDC is an OpenID provider that people may log in with.
type OIDC struct {
	Issuer       string // URL; empty: none
	ClientID     string
	ClientSecret string
	RedirectURL  string      // of this hub, as the provider knows it: https://…/v1/auth/oidc/callback
	Org          uuid.UUID   // that whoever has no account yet becomes a member of; uuid.Nil: nobody new is let in
	Role         access.Role // there
}

// ErrNoOIDC is that no provider is configured.
var ErrNoOIDC = errors.New("no OpenID provider is configured")

const (
	oidcWithin = 10 * time.Minute // that a login at the provider may take
	askWithin  = 10 * time.Second // that the provider may take for an answer
)

// provider is the configured OpenID provider, discovered when it is first wanted, so that the hub starts without it.
type provider struct {
	o  OIDC
	mu sync.Mutex
	p  *oidc.Provider
}

func (p *provider) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	if p.o.Issuer == "" {
		return nil, nil, ErrNoOIDC
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.p == nil {
		// The provider keeps its context for fetching keys later, so it must not be that of a request.
		found, err := oidc.NewProvider(context.WithoutCancel(ctx), p.o.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: the OpenID provider does not answer: %w", ErrBusy, err)
		}
		p.p = found
	}
	return &oauth2.Config{
		ClientID: p.o.ClientID, ClientSecret: p.o.ClientSecret, RedirectURL: p.o.RedirectURL, Endpoint: p.p.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
	}, p.p, nil
}

// BeginOIDC returns where to send a browser, and the state that it must bring back, also in a cookie, so that nobody can be made to finish
// another's login.
func (a *Accounts) BeginOIDC(ctx context.Context) (url, state string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c, _, err := a.oidc.config(ctx)
	if err != nil {
		return "", "", err
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	if err := a.store.PutOIDCLogin(ctx, digestOf(state), store.OIDCLogin{Nonce: nonce, Verifier: verifier, ExpiresAt: a.now().Add(oidcWithin)}); err != nil {
		return "", "", err
	}
	return c.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), state, nil
}

// FinishOIDC begins a session for whom the provider vouches for. Every refusal is access.ErrInvalid.
func (a *Accounts) FinishOIDC(ctx context.Context, state, cookie, code string, from From) (Tokens, store.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if state == "" || subtle.ConstantTimeCompare([]byte(state), []byte(cookie)) != 1 {
		return Tokens{}, store.Person{}, invalid("this login was not begun in this browser")
	}
	login, err := a.store.TakeOIDCLogin(ctx, digestOf(state), a.now())
	if unknown(err) {
		return Tokens{}, store.Person{}, invalid("this login took too long, or was finished before; begin again")
	}
	if err != nil {
		return Tokens{}, store.Person{}, err
	}
	c, p, err := a.oidc.config(ctx)
	if err != nil {
		return Tokens{}, store.Person{}, err
	}
	answer, err := c.Exchange(ctx, code, oauth2.VerifierOption(login.Verifier))
	if err != nil {
		if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) && refused.Response.StatusCode < 500 {
			return Tokens{}, store.Person{}, invalid("the OpenID provider does not know the code")
		}
		return Tokens{}, store.Person{}, fmt.Errorf("%w: the OpenID provider does not answer: %w", ErrBusy, err)
	}
	raw, _ := answer.Extra("id_token").(string)
	id, err := p.VerifierContext(ctx, &oidc.Config{ClientID: a.oidc.o.ClientID, Now: a.now}).Verify(ctx, raw)
	if err != nil || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(login.Nonce)) != 1 {
		a.o.Log.Warn("the OpenID provider's token is refused", "error", err)
		return Tokens{}, store.Person{}, invalid("the OpenID provider's token is not good")
	}
	var who struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		Name     string `json:"name"`
	}
	if err := id.Claims(&who); err != nil {
		return Tokens{}, store.Person{}, invalid("the OpenID provider's token is not good")
	}
	person, err := a.known(ctx, id.Issuer, id.Subject, who.Email, who.Verified, who.Name, from)
	if err != nil {
		return Tokens{}, person, err
	}
	if !person.Active {
		return Tokens{}, person, access.ErrInactive
	}
	t, err := a.Begin(ctx, person.ID, from)
	return t, person, err
}

// known returns the account of a provider's subject: the one it logged in to before, else the one whose address the provider has verified,
// else a new one. An account whose address nobody has vouched for is not handed over: who registered another's address could lie in wait in it.
func (a *Accounts) known(ctx context.Context, issuer, subject, email string, verified bool, name string, from From) (store.Person, error) {
	p, err := a.store.PersonByIdentity(ctx, issuer, subject)
	if err == nil || !unknown(err) {
		return p, err
	}
	folded, err := FoldEmail(email)
	if err != nil || !verified {
		return store.Person{}, invalid("the OpenID provider vouches for no e-mail address")
	}
	from.Actor = "oidc " + cut(subject, 200)
	p, err = a.store.PersonByEmail(ctx, folded)
	switch {
	case err == nil && !p.Vouched:
		return store.Person{}, invalid("the address has an account that was registered without proof of the address: log in to it by its password, or have an administrator delete it")
	case err == nil:
		return p, a.store.PutIdentity(ctx, issuer, subject, p.ID, from.audit(uuid.Nil))
	case !unknown(err):
		return p, err
	case a.oidc.o.Org == uuid.Nil:
		return p, invalid("no account has this address: an administrator makes accounts")
	}
	if checkFullName(name) != nil {
		name = ""
	}
	n := store.NewPerson{Person: store.Person{Email: folded, FullName: name, Vouched: true}, Org: a.oidc.o.Org, Role: a.oidc.o.Role.String(), Issuer: issuer, Subject: subject}
	return a.store.PutPerson(ctx, n, from.audit(n.Org))
}
