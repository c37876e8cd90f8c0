package access

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Kind is how a caller shows who it is.
type Kind string

const (
	User  Kind = "user"  // a person who logged in
	Key   Kind = "key"   // an API key of a person or an organisation
	Token Kind = "token" // the organisation's one token, which `fluxora-hub api-token` makes; it only reads
)

// Role bounds what a caller may do in its organisation. Each includes those before it.
type Role uint8

const (
	Nobody   Role = iota
	Viewer        // reads measurements and forecasts
	Analyst       // also how models and readings came about, and writes what analyses need: own readings, tariffs, reports
	Operator      // also the fleet: agents, quarantine, trainings, alerts
	Admin         // also people, keys and settings of the organisation
	Platform      // also other organisations
)

var roles = []string{"nobody", "viewer", "analyst", "operator", "admin", "platform"}

// String returns the role's name.
func (r Role) String() string {
	if int(r) < len(roles) {
		return roles[r]
	}
	return roles[Nobody]
}

// ParseRole returns the role of a name, which must not be nobody.
func ParseRole(name string) (Role, error) {
	if i := slices.Index(roles, name); i > 0 {
		return Role(i), nil
	}
	return Nobody, fmt.Errorf("no such role: %q; want one of %q", name, roles[1:])
}

// Tier is how much an organisation may ask for. The limits of each are configuration.
type Tier string

const (
	Free     Tier = "free"
	Standard Tier = "standard"
	Premium  Tier = "premium"
	House    Tier = "house" // the hub's own: not limited
)

// Caller is who makes a request. Whoever returns one has checked that its credential is good now.
type Caller struct {
	Kind         Kind
	Subject      string    // id of the user, key or token, unique in its kind; limits and idempotency keys are kept by it
	Session      uuid.UUID // of a person; uuid.Nil for others
	Organisation uuid.UUID
	Role         Role
	Scopes       []Scope // what the credential is good for; Every for all that the role allows
	Tier         Tier    // empty counts as Free
}

// Has reports whether the credential is good for a scope.
func (c Caller) Has(s Scope) bool {
	return slices.Contains(c.Scopes, s) || slices.Contains(c.Scopes, Every)
}
