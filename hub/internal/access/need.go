package access

import (
	"errors"
	"fmt"
)

// Need is what a route wants of its caller. Its zero value lets nobody in.
type Need struct {
	open   bool
	person bool
	role   Role
	scope  Scope
}

// Open lets everybody in, strangers too.
func Open() Need { return Need{open: true} }

// With lets callers in that have at least the role and whose credential is good for the scope.
func With(role Role, scope Scope) Need { return Need{role: role, scope: scope} }

// Person lets people in who logged in themselves and have at least the role: for what no key may do, as changing a password.
func Person(role Role) Need { return Need{role: role, person: true} }

// IsOpen reports whether strangers are let in.
func (n Need) IsOpen() bool { return n.open }

// Role returns the least role, Nobody for an open route.
func (n Need) Role() Role { return n.role }

// Scope returns the scope, empty for an open route and for one that wants a person.
func (n Need) Scope() Scope { return n.scope }

// Stated reports whether the need was stated at all.
func (n Need) Stated() bool { return n.open || n.role != Nobody && (n.person || n.scope != "") }

// ErrDenied is that a caller is known but may not do what it asks for.
var ErrDenied = errors.New("not enough permissions")

// Check returns nil when c is let in, else an ErrDenied that says what is missing.
func (n Need) Check(c Caller) error {
	switch {
	case n.open:
		return nil
	case !n.Stated():
		return fmt.Errorf("%w: this route does not say who may call it", ErrDenied)
	case c.Role < n.role:
		return fmt.Errorf("%w: want the role %s, this is %s", ErrDenied, n.role, c.Role)
	case n.person && c.Kind != User:
		return fmt.Errorf("%w: want a person who logged in, this is a %s", ErrDenied, c.Kind)
	case !n.person && !c.Has(n.scope):
		return fmt.Errorf("%w: the credential is not good for the scope %s", ErrDenied, n.scope)
	}
	return nil
}
