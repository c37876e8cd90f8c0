package access_test

import (
	"errors"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/access"
)

func TestNeedCheck(t *testing.T) {
	every := []access.Scope{access.Every}
	for _, tc := range []struct {
		name   string
		need   access.Need
		caller access.Caller
		want   string // in the refusal; empty: let in
	}{
		{"open, stranger", access.Open(), access.Caller{}, ""},
		{"not stated, platform", access.Need{}, access.Caller{Kind: access.User, Role: access.Platform, Scopes: every}, "does not say"},
		{"role without a scope", access.With(access.Viewer, ""), access.Caller{Kind: access.User, Role: access.Platform, Scopes: every}, "does not say"},
		{"scope without a role", access.With(access.Nobody, access.ReadFleet), access.Caller{Kind: access.User, Role: access.Platform, Scopes: every}, "does not say"},
		{"enough", access.With(access.Analyst, access.ReadModels), access.Caller{Kind: access.Key, Role: access.Analyst, Scopes: []access.Scope{access.ReadModels}}, ""},
		{"every scope", access.With(access.Viewer, access.ReadModels), access.Caller{Kind: access.User, Role: access.Admin, Scopes: every}, ""},
		{"role too small", access.With(access.Operator, access.ReadFleet), access.Caller{Kind: access.User, Role: access.Analyst, Scopes: every}, "role operator"},
		{"no scopes", access.With(access.Viewer, access.ReadFleet), access.Caller{Kind: access.Key, Role: access.Platform}, "scope fleet:read"},
		{"another scope", access.With(access.Viewer, access.WriteFleet), access.Caller{Kind: access.Key, Role: access.Platform, Scopes: access.Reads()}, "scope fleet:write"},
		{"zero caller", access.With(access.Viewer, access.ReadFleet), access.Caller{}, "role viewer"},
		{"person", access.Person(access.Viewer), access.Caller{Kind: access.User, Role: access.Viewer}, ""},
		{"key for a person", access.Person(access.Viewer), access.Caller{Kind: access.Key, Role: access.Admin, Scopes: every}, "logged in"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.need.Check(tc.caller)
			if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, access.ErrDenied) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for r := access.Viewer; r <= access.Platform; r++ {
		if got, err := access.ParseRole(r.String()); err != nil || got != r {
			t.Errorf("role %s: %v, %v", r, got, err)
		}
	}
	for _, name := range []string{"", "nobody", "Admin", "root"} {
		if _, err := access.ParseRole(name); err == nil {
			t.Errorf("role %q was taken", name)
		}
	}
	for _, s := range access.Scopes() {
		if _, ok := access.ParseScope(string(s)); !ok {
			t.Errorf("scope %s is not its own", s)
		}
	}
	if _, ok := access.ParseScope("*"); ok {
		t.Error("a key can be given every scope by one star")
	}
	for _, s := range access.Reads() {
		if !strings.HasSuffix(string(s), ":read") {
			t.Errorf("scope %s changes something", s)
		}
	}
}
