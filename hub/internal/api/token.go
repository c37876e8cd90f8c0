package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

const (
	tokenPrefix  = "flx_" // lets secret scanners and people recognise one
	tokensFresh  = 2 * time.Second
	tokensWithin = 2 * time.Second // bound on asking the database for them
)

var errUnknownToken = fmt.Errorf("the token is unknown or was replaced; %s: %w", tokenMissing, access.ErrInvalid)

// NewToken returns a fresh token and the SHA-256 of its text, which is all that is to be stored.
func NewToken() (token string, digest [sha256.Size]byte) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return token, sha256.Sum256([]byte(token))
}

// tokens knows the one token of each organisation, which reads everything that its operators can read and changes nothing. It
// keeps the digests for tokensFresh, so that a replaced token is refused after that time and a request usually costs no query.
type tokens struct {
	store *store.Store
	now   func() time.Time

	mu     sync.Mutex
	known  []store.APIToken
	loaded time.Time
}

// Authenticate implements Authenticator.
func (a *tokens) Authenticate(ctx context.Context, credential string) (access.Caller, error) {
	if !strings.HasPrefix(credential, tokenPrefix) {
		return access.Caller{}, access.ErrForeign
	}
	known, err := a.current(ctx)
	if err != nil {
		return access.Caller{}, err
	}
	id, ok := match(known, credential)
	if !ok {
		return access.Caller{}, errUnknownToken
	}
	return access.Caller{
		Kind: access.Token, Subject: id.String(), Organisation: id, Role: access.Operator, Scopes: access.Reads(), Tier: access.House,
	}, nil
}

// match compares with every token in constant time, so that the time taken tells nothing.
func match(tokens []store.APIToken, token string) (uuid.UUID, bool) {
	digest := sha256.Sum256([]byte(token))
	var found uuid.UUID
	hit := 0
	for _, t := range tokens {
		if subtle.ConstantTimeCompare(t.SHA256, digest[:]) == 1 {
			found, hit = t.Org, 1
		}
	}
	return found, hit == 1
}

// current returns the tokens as the database had them at most tokensFresh ago. When it cannot be asked, the last known ones
// stay good: what needs rows cannot be answered anyway, and /metrics is wanted most just then.
func (a *tokens) current(ctx context.Context) ([]store.APIToken, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.known != nil && now.Sub(a.loaded) <= tokensFresh && !now.Before(a.loaded) {
		return a.known, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokensWithin)
	defer cancel()
	known, err := a.store.APITokens(ctx)
	switch {
	case err == nil:
		a.known = known
	case a.known == nil:
		return nil, err
	}
	a.loaded = now
	return a.known, nil
}
