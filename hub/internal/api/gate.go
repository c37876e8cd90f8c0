package api

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/problem"
)

// Authenticator knows the callers of one kind of credential: the organisation's token, access tokens of people, API keys. The
// gate asks those of Options.Callers one after the other, on every request but those to open routes, so an answer must cost
// microseconds (keep what was verified) and a caller who is switched off must be refused within seconds. Concurrent calls must be safe.
//
// What comes back as a Caller is all that routes go by: a route states its access.Need where it is registered, the gate checks
// it, and the handler reads callerOf(ctx).
type Authenticator interface {
	// Authenticate returns the caller whom the text after `Authorization: Bearer ` belongs to. Otherwise it must return an error
	// that wraps access.ErrForeign (not this kind: ask the next), access.ErrInvalid (this kind, and not good: 401 with the text of
	// the error) or access.ErrInactive (400, as existing clients expect). Any other error means that it cannot be checked now: 503.
	Authenticate(ctx context.Context, credential string) (access.Caller, error)
}

const tokenMissing = "want the header `Authorization: Bearer TOKEN`; `fluxora-hub api-token rotate` makes a token"

type callerKey struct{}

// callerOf returns who makes the request; nobody on open routes.
func callerOf(ctx context.Context) access.Caller {
	c, _ := ctx.Value(callerKey{}).(access.Caller)
	return c
}

// org returns the organisation of whoever makes the request.
func org(ctx context.Context) uuid.UUID { return callerOf(ctx).Organisation }

// gate lets requests through whose caller has what the route needs. A path that does not exist needs a caller as well, so that
// strangers cannot tell which do.
type gate struct {
	routes   *routes
	callers  []Authenticator
	throttle *throttle
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		need := g.need(r)
		if need.IsOpen() {
			if probe(r) || g.throttle.stranger(w, r) {
				next.ServeHTTP(w, r)
			}
			return
		}
		caller, err := g.caller(r)
		if err == nil && need.Stated() {
			err = need.Check(caller)
		}
		if err != nil {
			refuse(w, err)
			return
		}
		if g.throttle.known(w, caller) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
		}
	})
}

// probe reports whether a request only asks how the hub is or what it serves: it is answered whatever the load.
func probe(r *http.Request) bool {
	switch p := r.URL.Path; p {
	case "/healthz", "/readyz", "/health", "/metrics", "/openapi.json":
		return true
	default:
		return p == "/docs" || strings.HasPrefix(p, "/docs/")
	}
}

// need returns what the route of a request needs; one that is not stated when there is no such route.
func (g *gate) need(r *http.Request) access.Need {
	if path.Clean(r.URL.Path) != r.URL.Path {
		return access.Need{}
	}
	_, pattern := g.routes.mux.Handler(r)
	return g.routes.needs[pattern]
}

var errNoCredential = errors.New(tokenMissing)

func (g *gate) caller(r *http.Request) (access.Caller, error) {
	credential, ok := bearer(r)
	if !ok {
		return access.Caller{}, errNoCredential
	}
	for _, a := range g.callers {
		if c, err := a.Authenticate(r.Context(), credential); !errors.Is(err, access.ErrForeign) {
			return c, err
		}
	}
	return access.Caller{}, errUnknownToken
}

func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errNoCredential):
		w.Header().Set("WWW-Authenticate", `Bearer realm="fluxora"`)
		problem.Write(w, http.StatusUnauthorized, err.Error())
	case errors.Is(err, access.ErrInvalid):
		w.Header().Set("WWW-Authenticate", `Bearer realm="fluxora", error="invalid_token"`)
		problem.Write(w, http.StatusUnauthorized, err.Error())
	case errors.Is(err, access.ErrInactive):
		problem.Write(w, http.StatusBadRequest, "Inactive user")
	case errors.Is(err, access.ErrDenied):
		w.Header().Set("WWW-Authenticate", `Bearer realm="fluxora", error="insufficient_scope"`)
		problem.Write(w, http.StatusForbidden, err.Error())
	default:
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
		problem.Write(w, http.StatusServiceUnavailable, "the database is not reachable at the moment, so the token cannot be checked; try again")
	}
}

func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= mostCredential
}

// mostCredential bounds a credential, in bytes. A signed access token has some hundreds.
const mostCredential = 4096
