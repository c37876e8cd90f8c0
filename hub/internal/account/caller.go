package account

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

const (
	fresh = 2 * time.Second // for how long what a credential is good for is not asked again
	stale = time.Minute     // for how long when the database cannot be asked
)

// standing is what a credential was good for when it was asked last.
type standing[V any] struct {
	value V
	at    time.Time
}

// current returns what is known of a key for at most fresh, and asks otherwise. While the database is gone, what it said last counts for stale.
func current[K comparable, V any](a *Accounts, of *kept[K, standing[V]], key K, ask func() (V, error)) (V, error) {
	now := a.now()
	held, ok := of.get(key)
	if age := now.Sub(held.at); ok && age >= 0 && age <= fresh {
		return held.value, nil
	}
	v, err := ask()
	switch {
	case err == nil:
		of.put(key, standing[V]{v, now})
	case ok && store.Unavailable(err) && now.Sub(held.at) <= stale:
		return held.value, nil
	}
	return v, err
}

// Authenticate returns the caller of an access token or an API key. It implements api.Authenticator.
func (a *Accounts) Authenticate(ctx context.Context, credential string) (access.Caller, error) {
	switch {
	case strings.HasPrefix(credential, keyPrefix):
		return a.program(ctx, credential)
	case foreignToken(credential):
		return access.Caller{}, access.ErrForeign
	}
	c, err := a.signer.verify(ctx, credential)
	if err != nil {
		return access.Caller{}, err
	}
	s, err := current(a, &a.standings, c.Session, func() (store.Standing, error) { return a.store.Standing(ctx, c.Session, a.now()) })
	switch {
	case unknown(err):
		return access.Caller{}, invalid("the session of the access token is over; log in again")
	case err != nil:
		return access.Caller{}, err
	case s.Account.String() != c.Subject:
		return access.Caller{}, invalid("the access token is not one of this hub")
	case !s.Active:
		return access.Caller{}, access.ErrInactive
	case s.Over:
		return access.Caller{}, invalid("the session of the access token is over; log in again")
	}
	return access.Caller{
		Kind: access.User, Subject: c.Subject, Session: s.Session, Organisation: s.Org, Role: role(s), Scopes: []access.Scope{access.Every}, Tier: access.Tier(s.Tier),
	}, nil
}

// role returns what a person may do. One who is a member of nothing is a viewer of nothing, so that it can see to its own account.
func role(s store.Standing) access.Role {
	if s.Platform {
		return access.Platform
	}
	if r, err := access.ParseRole(s.Role); err == nil {
		return r
	}
	return access.Viewer
}

// program returns the caller of an API key.
func (a *Accounts) program(ctx context.Context, credential string) (access.Caller, error) {
	digest := sha256.Sum256([]byte(credential))
	k, err := current(a, &a.keys, digest, func() (store.KnownKey, error) { return a.store.KnownKey(ctx, digest[:], a.now()) })
	switch {
	case unknown(err):
		return access.Caller{}, invalid("the API key is unknown")
	case err != nil:
		return access.Caller{}, err
	case k.RevokedAt != nil:
		return access.Caller{}, invalid("the API key was revoked")
	case !a.now().Before(k.ExpiresAt):
		return access.Caller{}, invalid("the API key expired")
	}
	r, err := access.ParseRole(k.Role)
	if err != nil {
		return access.Caller{}, invalid("the API key has no role")
	}
	c := access.Caller{Kind: access.Key, Subject: k.ID.String(), Organisation: k.Org, Role: r, Tier: access.Tier(k.Tier)}
	for _, name := range k.Scopes {
		if s, ok := access.ParseScope(name); ok {
			c.Scopes = append(c.Scopes, s)
		}
	}
	return c, nil
}

// Keys returns the public keys that access tokens are verified with.
func (a *Accounts) Keys(ctx context.Context) ([]JWK, error) { return a.signer.keys(ctx) }
