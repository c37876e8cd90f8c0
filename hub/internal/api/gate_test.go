package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/store/storetest"
)

// known is an Authenticator that knows the callers it is given, by credential.
type known map[string]access.Caller

func (k known) Authenticate(_ context.Context, credential string) (access.Caller, error) {
	switch c, ok := k[credential]; {
	case ok:
		return c, nil
	case credential == "expired":
		return access.Caller{}, fmt.Errorf("the access token expired: %w", access.ErrInvalid)
	case credential == "inactive":
		return access.Caller{}, access.ErrInactive
	case credential == "broken":
		return access.Caller{}, errors.New("no connection")
	default:
		return access.Caller{}, access.ErrForeign
	}
}

func TestGate(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	every := []access.Scope{access.Every}
	srv := serve(t, s, func(o *api.Options) {
		o.Callers = []api.Authenticator{known{
			"viewer":  {Kind: access.User, Organisation: v.org, Role: access.Viewer, Scopes: every},
			"key":     {Kind: access.Key, Organisation: v.org, Role: access.Admin, Scopes: []access.Scope{access.ReadReadings}},
			"nobody":  {Kind: access.User, Organisation: v.org, Scopes: every},
			"another": {Kind: access.User, Organisation: uuid.New(), Role: access.Platform, Scopes: every},
		}}
	})
	for _, tc := range []struct {
		credential, path string
		status           int
		want             string
	}{
		{"viewer", "/v1/sites", 200, "alpha-site"},
		{"viewer", "/v1/quarantine", 403, "role operator"},
		{"viewer", "/metrics", 403, "role operator"},
		{"viewer", "/v1/nothing", 404, "no such resource"},
		{"key", "/v1/sites", 200, "alpha-site"},
		{"key", "/v1/points/" + v.point.String() + "/forecast", 403, "scope forecasts:read"},
		{"nobody", "/v1/sites", 403, "role viewer"},
		{"another", "/v1/points/" + v.point.String(), 404, "no such point"},
		{"expired", "/v1/sites", 401, "expired"},
		{"inactive", "/v1/sites", 400, "Inactive user"},
		{"broken", "/v1/sites", 503, "cannot be checked"},
		{"broken", "/healthz", 200, "ok"},
		{"stranger", "/v1/sites", 401, "unknown"},
		{v.token, "/v1/quarantine", 200, "quarantine"},
	} {
		t.Run(tc.credential+" "+tc.path, func(t *testing.T) {
			if a := ask(t, srv, tc.credential, tc.path); a.status != tc.status || !strings.Contains(string(a.body), tc.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, tc.status, tc.want)
			}
		})
	}
}

// TestEveryRouteStatesItsNeed asks each operation of the document as somebody who has no role and as one whose credential is
// good for nothing, so that a route cannot be added without.
func TestEveryRouteStatesItsNeed(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv := serve(t, s, func(o *api.Options) {
		o.Callers = []api.Authenticator{known{
			"nobody": {Kind: access.User, Organisation: v.org, Scopes: []access.Scope{access.Every}},
			"empty":  {Kind: access.Key, Organisation: v.org, Role: access.Platform},
		}}
	})
	var doc struct {
		Paths map[string]map[string]struct {
			Security *[]any
			Role     string `json:"x-fluxora-role"`
		}
	}
	if err := json.Unmarshal(api.OpenAPI("1"), &doc); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for path, operations := range doc.Paths {
		for method, op := range operations {
			if op.Security != nil && len(*op.Security) == 0 {
				continue
			}
			if _, err := access.ParseRole(op.Role); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
			for _, credential := range []string{"nobody", "empty"} {
				req, err := http.NewRequest(strings.ToUpper(method), srv.URL+strings.ReplaceAll(path, "{id}", v.point.String()), nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+credential)
				if a := do(t, srv, req); a.status != http.StatusForbidden {
					t.Errorf("%s %s as %s: %d, want 403", method, path, credential, a.status)
				}
				asked++
			}
		}
	}
	if asked < 20 {
		t.Errorf("only %d requests were made", asked)
	}
}
