package account

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Tokens are what a login gives.
type Tokens struct {
	Access    string
	Refresh   string
	ExpiresIn time.Duration // of Access
	Session   uuid.UUID
}

// Login begins a session for an address and a password. It is ErrCredentials when they do not belong together, access.ErrInactive when they
// do and the account is switched off, and a ThrottledError when too many logins failed.
func (a *Accounts) Login(ctx context.Context, email, password string, from From) (Tokens, store.Person, error) {
	folded, err := FoldEmail(email)
	if err != nil {
		folded = "?" // nobody has it; it takes its time all the same
	}
	var p store.Person
	var good bool
	guard := newThrottle(a.store, folded, from.Address)
	// Whether an attempt may be made is asked when it is its turn to be hashed: so of many at once no more slip through than are hashed at once.
	err = a.hasher.in(ctx, func() error {
		if err := guard.check(ctx, a.now()); err != nil {
			return err
		}
		var err error
		if p, err = a.store.PersonByEmail(ctx, folded); err != nil && !unknown(err) {
			return err
		}
		phc := p.Password
		if phc == "" {
			phc = a.hasher.dummy
		}
		ok, current := matches(password, phc)
		if good = ok && p.Password != ""; !good {
			return errors.Join(ErrCredentials, guard.failed(ctx, a.now()))
		}
		if err := guard.succeeded(ctx, a.now()); err != nil || current {
			return err
		}
		return a.store.Rehash(ctx, p.ID, p.Password, today.hash(password))
	})
	if err != nil {
		return Tokens{}, store.Person{}, err
	}
	if !p.Active {
		return Tokens{}, p, access.ErrInactive
	}
	t, err := a.Begin(ctx, p.ID, from)
	return t, p, err
}

// Begin begins a session for an account that was shown to be the caller's own.
func (a *Accounts) Begin(ctx context.Context, account uuid.UUID, from From) (Tokens, error) {
	refresh, digest := newSecret(refreshPrefix)
	now := a.now()
	s, err := a.store.BeginSession(ctx, store.Session{
		Account: account, Client: cut(from.Client, 200), Address: cut(from.Address, 100), CreatedAt: now, ExpiresAt: now.Add(a.o.SessionLife),
	}, digest, from.audit(uuid.Nil))
	if unknown(err) {
		return Tokens{}, ErrCredentials // gone or switched off meanwhile
	}
	if err != nil {
		return Tokens{}, err
	}
	return a.tokens(ctx, account, s.ID, refresh)
}

func (a *Accounts) tokens(ctx context.Context, account, session uuid.UUID, refresh string) (Tokens, error) {
	signed, err := a.signer.sign(ctx, account, session)
	return Tokens{Access: signed, Refresh: refresh, ExpiresIn: a.o.AccessLife, Session: session}, err
}

func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// Refresh uses up a refresh token for the next access and refresh tokens. Otherwise it is access.ErrInvalid, or access.ErrInactive.
func (a *Accounts) Refresh(ctx context.Context, token string, from From) (Tokens, error) {
	if !strings.HasPrefix(token, refreshPrefix) {
		return Tokens{}, invalid("the refresh token is unknown")
	}
	next, digest := newSecret(refreshPrefix)
	s, active, err := a.store.Refresh(ctx, digestOf(token), digest, a.now(), from.audit(uuid.Nil))
	switch {
	case errors.Is(err, store.ErrTokenReused):
		a.forget()
		return Tokens{}, invalid("the refresh token was used before, so its session is ended; log in again")
	case unknown(err):
		return Tokens{}, invalid("the refresh token is unknown, or its session is over; log in again")
	case err != nil:
		return Tokens{}, err
	case !active:
		return Tokens{}, access.ErrInactive
	}
	return a.tokens(ctx, s.Account, s.ID, next)
}

// Sessions returns the sessions of an account that go on, newest first.
func (a *Accounts) Sessions(ctx context.Context, account uuid.UUID) ([]store.Session, error) {
	return a.store.Sessions(ctx, account, a.now(), 1000)
}

// End ends a session of an account.
func (a *Accounts) End(ctx context.Context, account, session uuid.UUID, from From) error {
	defer a.forget()
	return a.store.EndSession(ctx, account, session, "logged out", from.audit(uuid.Nil))
}

// Enter has a session work on another organisation that its account is a member of.
func (a *Accounts) Enter(ctx context.Context, account, session, org uuid.UUID, from From) error {
	defer a.forget()
	return a.store.EnterOrganisation(ctx, account, session, org, from.audit(org))
}
