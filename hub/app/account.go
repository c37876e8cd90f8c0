package app

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/account"
	"fluxora.dev/hub/internal/store"
)

func newAccounts(b *base) *account.Accounts {
	c := b.o.Config.Accounts
	o := account.Options{
		Store: b.store, Registration: c.Registration, Issuer: c.Issuer, AccessLife: c.AccessLife, SessionLife: c.SessionLife,
		OIDC: account.OIDC{Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, ClientSecret: c.OIDC.ClientSecret, RedirectURL: c.OIDC.RedirectURL},
		Log:  b.o.Log.With("component", "accounts"), Now: b.o.Now,
	}
	if c.OIDC.Create {
		o.OIDC.Org = b.org
		o.OIDC.Role, _ = access.ParseRole(c.OIDC.Role) // checked with the settings
	}
	return account.New(o)
}

// command is how the audit log names whoever runs a command.
func command() account.From {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return account.From{Actor: "command " + name}
}

// User is an account.
type User struct {
	ID       int64     `json:"id"`
	Email    string    `json:"email"`
	FullName string    `json:"full_name"`
	Active   bool      `json:"is_active"`
	Admin    bool      `json:"is_superuser"` // of all organisations
	Created  time.Time `json:"created_at"`
}

func userOf(p store.Person) User {
	return User{ID: p.Number, Email: p.Email, FullName: p.FullName, Active: p.Active, Admin: p.Platform, Created: p.CreatedAt.UTC()}
}

// NewUser is what an account is made with.
type NewUser struct {
	Email, Password, FullName string
	Role                      string // in the organisation of the settings
	Admin                     bool   // of all organisations
}

// CreateUser makes an account, a member of the organisation of the settings.
func (a *Admin) CreateUser(ctx context.Context, n NewUser) (User, error) {
	role, err := access.ParseRole(n.Role)
	if err != nil {
		return User{}, err
	}
	p, err := newAccounts(a.b).Create(ctx, account.Newcomer{Email: n.Email, Password: n.Password, FullName: n.FullName, Platform: n.Admin, Org: a.b.org, Role: role}, command())
	if errors.Is(err, account.ErrTaken) {
		err = fmt.Errorf("%s has an account: `fluxora-hub user list` shows it, `fluxora-hub user reset-password` gives it another password", n.Email)
	}
	return userOf(p), err
}

// Users returns at most limit accounts after the first skip, by number.
func (a *Admin) Users(ctx context.Context, skip, limit int) ([]User, error) {
	people, err := newAccounts(a.b).People(ctx, skip, limit)
	out := make([]User, len(people))
	for i, p := range people {
		out[i] = userOf(p)
	}
	return out, err
}

// ChangeUser switches an account off or on, or gives it another password; nil leaves either. Running hubs end its sessions within seconds.
func (a *Admin) ChangeUser(ctx context.Context, email string, active *bool, password *string) (User, error) {
	accounts := newAccounts(a.b)
	p, err := accounts.ByEmail(ctx, email)
	if err == nil {
		p, err = accounts.Change(ctx, p.ID, account.Change{Active: active, Password: password}, command())
	}
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("nobody has the address %s: `fluxora-hub user list` shows who there is", email)
	}
	return userOf(p), err
}

// APIKey is a credential of a program.
type APIKey struct {
	ID      uuid.UUID  `json:"id"`
	Key     string     `json:"key,omitempty"` // only when it was just made
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Scopes  []string   `json:"scopes"`
	Expires time.Time  `json:"expires_at"`
	Used    *time.Time `json:"used_at,omitempty"`
	Revoked bool       `json:"revoked"`
}

func keyOf(k store.APIKey) APIKey {
	return APIKey{ID: k.ID, Name: k.Name, Role: k.Role, Scopes: k.Scopes, Expires: k.ExpiresAt.UTC(), Used: k.UsedAt, Revoked: k.RevokedAt != nil}
}

// CreateAPIKey makes a key for the organisation of the settings. Without scopes it is good for all that reads.
func (a *Admin) CreateAPIKey(ctx context.Context, name, role string, scopes []string, life time.Duration) (APIKey, error) {
	w := account.KeyWish{Name: name, Life: life, Scopes: access.Reads()}
	var err error
	if w.Role, err = access.ParseRole(role); err != nil {
		return APIKey{}, err
	}
	if len(scopes) > 0 {
		w.Scopes = nil
		for _, s := range scopes {
			w.Scopes = append(w.Scopes, access.Scope(s))
		}
	}
	by := access.Caller{Organisation: a.b.org, Role: access.Admin, Scopes: []access.Scope{access.Every}}
	text, k, err := newAccounts(a.b).CreateKey(ctx, by, w, command())
	out := keyOf(k)
	out.Key = text
	return out, err
}

// APIKeys returns the newest keys of the organisation of the settings.
func (a *Admin) APIKeys(ctx context.Context) ([]APIKey, error) {
	keys, err := newAccounts(a.b).APIKeys(ctx, a.b.org)
	out := make([]APIKey, len(keys))
	for i, k := range keys {
		out[i] = keyOf(k)
	}
	return out, err
}

// RevokeAPIKey makes a key useless. Running hubs refuse it within seconds.
func (a *Admin) RevokeAPIKey(ctx context.Context, id uuid.UUID) error {
	err := newAccounts(a.b).RevokeKey(ctx, a.b.org, id, command())
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("no API key %s that is not revoked: `fluxora-hub api-key list` shows them", id)
	}
	return err
}
