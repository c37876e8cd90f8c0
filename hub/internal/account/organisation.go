package account

import (
	"context"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Bounds on the life of what is given out.
const (
	longestKey        = 2 * 365 * 24 * time.Hour
	longestInvitation = 30 * 24 * time.Hour
	leastLife         = time.Minute
)

// Invite makes an invitation to an organisation and returns its text, which is not kept. Nobody can invite to more than it has.
func (a *Accounts) Invite(ctx context.Context, by access.Caller, email string, role access.Role, life time.Duration, from From) (string, store.Invitation, error) {
	folded, err := FoldEmail(email)
	if err != nil {
		return "", store.Invitation{}, err
	}
	if err := checkLife(life, longestInvitation); err != nil {
		return "", store.Invitation{}, err
	}
	if !isMemberRole(role) {
		return "", store.Invitation{}, &InputError{"role", "is no role of a member: want viewer, analyst, operator or admin"}
	}
	if role > by.Role {
		return "", store.Invitation{}, ErrBeyond
	}
	text, digest := newSecret(invitationPrefix)
	now := a.now()
	v, err := a.store.PutInvitation(ctx, by.Organisation, store.Invitation{Email: folded, Role: role.String(), CreatedAt: now, ExpiresAt: now.Add(life)}, digest, from.audit(by.Organisation))
	return text, v, err
}

// Accept makes an account a member of the organisation that it was invited to.
func (a *Accounts) Accept(ctx context.Context, account uuid.UUID, invitation string, from From) (uuid.UUID, error) {
	p, err := a.store.Person(ctx, account)
	if err != nil {
		return uuid.Nil, err
	}
	defer a.forget()
	org, err := a.store.AcceptInvitation(ctx, p, digestOf(invitation), from.audit(uuid.Nil))
	if unknown(err) {
		err = ErrUninvited
	}
	return org, err
}

// SetRole changes what a member of an organisation may do; access.Nobody ends its membership.
func (a *Accounts) SetRole(ctx context.Context, by access.Caller, account uuid.UUID, role access.Role, from From) error {
	name := ""
	if role != access.Nobody {
		if name = role.String(); !isMemberRole(role) {
			return &InputError{"role", "is no role of a member: want viewer, analyst, operator or admin"}
		}
	}
	if role > by.Role {
		return ErrBeyond
	}
	defer a.forget()
	return a.store.SetMember(ctx, by.Organisation, account, name, false, from.audit(by.Organisation))
}

// KeyWish is an API key that somebody asks for.
type KeyWish struct {
	Name   string
	Role   access.Role
	Scopes []access.Scope
	Life   time.Duration
}

// CreateKey makes an API key and returns its text, which is not kept. A key cannot be given more than who asks for it has.
func (a *Accounts) CreateKey(ctx context.Context, by access.Caller, w KeyWish, from From) (string, store.APIKey, error) {
	if w.Name == "" || utf8.RuneCountInString(w.Name) > 100 || !utf8.ValidString(w.Name) || hasControl(w.Name) {
		return "", store.APIKey{}, &InputError{"name", "want 1 to 100 characters of text"}
	}
	if err := checkLife(w.Life, longestKey); err != nil {
		return "", store.APIKey{}, err
	}
	if !isMemberRole(w.Role) {
		return "", store.APIKey{}, &InputError{"role", "is no role of a key: want viewer, analyst, operator or admin"}
	}
	if len(w.Scopes) == 0 {
		return "", store.APIKey{}, &InputError{"scopes", fmt.Sprintf("are none: want some of %v", access.Scopes())}
	}
	if w.Role > by.Role {
		return "", store.APIKey{}, ErrBeyond
	}
	names := make([]string, len(w.Scopes))
	for i, s := range w.Scopes {
		if _, ok := access.ParseScope(string(s)); !ok {
			return "", store.APIKey{}, &InputError{"scopes", fmt.Sprintf("%q is none: want some of %v", s, access.Scopes())}
		}
		if !by.Has(s) {
			return "", store.APIKey{}, ErrBeyond
		}
		names[i] = string(s)
	}
	text, digest := newSecret(keyPrefix)
	now := a.now()
	k, err := a.store.PutAPIKey(ctx, by.Organisation, store.APIKey{Name: w.Name, Role: w.Role.String(), Scopes: names, CreatedAt: now, ExpiresAt: now.Add(w.Life)}, digest, from.audit(by.Organisation))
	return text, k, err
}

// RevokeKey makes an API key useless.
func (a *Accounts) RevokeKey(ctx context.Context, org, key uuid.UUID, from From) error {
	defer a.forget()
	return a.store.RevokeAPIKey(ctx, org, key, from.audit(org))
}

func hasControl(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}

func checkLife(life, longest time.Duration) error {
	if life < leastLife || life > longest {
		return &InputError{"valid", fmt.Sprintf("is %s: want %s to %s", life, leastLife, longest)}
	}
	return nil
}

// Organisations returns those that a caller is a member of, or all for who administers all, by name.
func (a *Accounts) Organisations(ctx context.Context, by access.Caller, after string, limit int) ([]store.Organisation, error) {
	id, err := uuid.Parse(by.Subject)
	if err != nil {
		return nil, fmt.Errorf("caller %q is no account: %w", by.Subject, err)
	}
	return a.store.Organisations(ctx, id, by.Role == access.Platform, after, limit)
}

// CreateOrganisation makes an organisation.
func (a *Accounts) CreateOrganisation(ctx context.Context, name, tier string, from From) (store.Organisation, error) {
	return a.store.PutOrganisation(ctx, name, tier, from.audit(uuid.Nil))
}

// Members returns at most limit members of an organisation after an address.
func (a *Accounts) Members(ctx context.Context, org uuid.UUID, after string, limit int) ([]store.Member, error) {
	return a.store.Members(ctx, org, after, limit)
}

// APIKeys returns the newest keys of an organisation.
func (a *Accounts) APIKeys(ctx context.Context, org uuid.UUID) ([]store.APIKey, error) {
	return a.store.APIKeys(ctx, org, 1000)
}
