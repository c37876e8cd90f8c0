package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
)

const (
	tokenPrefix  = "flx_" // lets secret scanners and people recognise one
	tokensFresh  = 2 * time.Second
	tokensWithin = 2 * time.Second // bound on asking the database for them
	tokenMissing = "want the header `Authorization: Bearer TOKEN`; `fluxora-hub api-token rotate` makes a token"
)

// NewToken returns a fresh token and the SHA-256 of its text, which is all that is to be stored.
func NewToken() (token string, digest [sha256.Size]byte) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return token, sha256.Sum256([]byte(token))
}

type orgKey struct{}

// org returns the organisation that the caller's token opens.
func org(ctx context.Context) uuid.UUID {
	id, _ := ctx.Value(orgKey{}).(uuid.UUID)
	return id
}

// authenticator lets requests with a known token through. It keeps the digests for tokensFresh, so that a replaced token is
// refused after that time and a request usually costs no query for it.
type authenticator struct {
	store *store.Store
	now   func() time.Time
	open  map[string]bool // paths that need no token

	mu     sync.Mutex
	tokens []store.APIToken
	loaded time.Time
}

func (a *authenticator) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		token, ok := bearer(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="fluxora"`)
			problem(w, http.StatusUnauthorized, tokenMissing)
			return
		}
		tokens, err := a.current(r.Context())
		if err != nil {
			w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
			problem(w, http.StatusServiceUnavailable, "the database is not reachable at the moment, so the token cannot be checked; try again")
			return
		}
		id, ok := match(tokens, token)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="fluxora", error="invalid_token"`)
			problem(w, http.StatusUnauthorized, "the token is unknown or was replaced; "+tokenMissing)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), orgKey{}, id)))
	})
}

func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= 512
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
func (a *authenticator) current(ctx context.Context) ([]store.APIToken, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.tokens != nil && now.Sub(a.loaded) <= tokensFresh && !now.Before(a.loaded) {
		return a.tokens, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokensWithin)
	defer cancel()
	tokens, err := a.store.APITokens(ctx)
	switch {
	case err == nil:
		a.tokens = tokens
	case a.tokens == nil:
		return nil, err
	}
	a.loaded = now
	return a.tokens, nil
}
