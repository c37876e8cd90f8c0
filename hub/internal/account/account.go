package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Who may make an account.
const (
	Closed  = "closed"  // administrators, for others
	Invited = "invited" // also who has an invitation to an organisation
	Open    = "open"    // everybody; who has no invitation gets an organisation of its own
)

// Options is what accounts are kept with. Store is needed; zero values of the rest are good.
type Options struct {
	Store        *store.Store
	Registration string        // Closed when empty
	Issuer       string        // named in tokens; fluxora-hub when empty. Hubs behind one database must have the same
	AccessLife   time.Duration // of an access token; 15 min when 0
	SessionLife  time.Duration // of a login without another password; 30 days when 0
	OIDC         OIDC
	Log          *slog.Logger
	Now          func() time.Time
}

// Accounts is who may call the hub. Its methods may be called concurrently.
type Accounts struct {
	o      Options
	store  *store.Store
	hasher *hasher
	signer *signer
	oidc   *provider
	now    func() time.Time

	standings kept[uuid.UUID, standing[store.Standing]]
	keys      kept[[sha256.Size]byte, standing[store.KnownKey]]
}

// New returns the accounts of a store.
func New(o Options) *Accounts {
	if o.Registration == "" {
		o.Registration = Closed
	}
	if o.Issuer == "" {
		o.Issuer = "fluxora-hub"
	}
	if o.AccessLife == 0 {
		o.AccessLife = 15 * time.Minute
	}
	if o.SessionLife == 0 {
		o.SessionLife = 30 * 24 * time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Accounts{
		o: o, store: o.Store, hasher: newHasher(), now: o.Now, oidc: &provider{o: o.OIDC},
		signer: &signer{store: o.Store, issuer: o.Issuer, life: o.AccessLife, rotate: 24 * time.Hour, now: o.Now},
	}
}

// Run removes what is over from time to time, until ctx ends.
func (a *Accounts) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := a.store.PurgePeople(ctx, a.now()); err != nil && ctx.Err() == nil {
			a.o.Log.Warn("what is over of accounts stays for another hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// From is where a request comes from.
type From struct {
	Actor   string // kind and id, as the audit log names it; empty when nobody is logged in
	Address string
	Client  string // User-Agent
}

func (f From) audit(org uuid.UUID) store.Audit {
	return store.Audit{Org: org, Actor: f.Actor, Address: f.Address}
}

// The texts of credentials begin with what lets people and secret scanners tell them.
const (
	refreshPrefix    = "flr_"
	keyPrefix        = "flk_"
	invitationPrefix = "fli_"
)

// newSecret returns the text of a fresh credential and the SHA-256 that is kept of it. 256 random bits need no slow hash.
func newSecret(prefix string) (text string, digest []byte) {
	var raw [32]byte
	rand.Read(raw[:]) // never fails
	text = prefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return text, digestOf(text)
}

func digestOf(text string) []byte {
	d := sha256.Sum256([]byte(text))
	return d[:]
}

// Registration is what somebody asks an account with.
type Registration struct {
	Email, Password, FullName string
	Invitation                string // text of one; may be empty
}

// Register makes an account for whoever asks, as far as the settings allow: with an invitation in the organisation that it names, else in
// an organisation of its own, of which it is the administrator.
func (a *Accounts) Register(ctx context.Context, r Registration, from From) (store.Person, error) {
	switch {
	case a.o.Registration == Closed, a.o.Registration == Invited && r.Invitation == "":
		return store.Person{}, ErrClosed
	}
	n, err := a.newPerson(ctx, r.Email, r.Password, r.FullName)
	if err != nil {
		return store.Person{}, err
	}
	if r.Invitation != "" {
		n.Invitation = digestOf(r.Invitation)
	} else {
		n.OwnOrg = "of-" + uuid.NewString()[:13]
	}
	from.Actor = "" // the account itself
	p, err := a.store.PutPerson(ctx, n, from.audit(uuid.Nil))
	switch {
	case errors.Is(err, store.ErrConflict):
		return p, ErrTaken
	case errors.Is(err, store.ErrNotFound):
		return p, ErrUninvited
	}
	return p, err
}

// Newcomer is an account that an administrator makes.
type Newcomer struct {
	Email, Password, FullName string
	Platform                  bool      // administers all organisations
	Org                       uuid.UUID // that it becomes a member of; uuid.Nil: none
	Role                      access.Role
}

// Create makes an account.
func (a *Accounts) Create(ctx context.Context, v Newcomer, from From) (store.Person, error) {
	n, err := a.newPerson(ctx, v.Email, v.Password, v.FullName)
	if err != nil {
		return store.Person{}, err
	}
	if v.Org != uuid.Nil && !isMemberRole(v.Role) {
		return store.Person{}, &InputError{"role", "is no role of a member: want viewer, analyst, operator or admin"}
	}
	n.Platform, n.Org, n.Role, n.Vouched = v.Platform, v.Org, v.Role.String(), true
	p, err := a.store.PutPerson(ctx, n, from.audit(v.Org))
	if errors.Is(err, store.ErrConflict) {
		err = ErrTaken
	}
	return p, err
}

func isMemberRole(r access.Role) bool { return r >= access.Viewer && r <= access.Admin }

// newPerson checks and hashes. The password is hashed before it is known whether the address is taken, so that the time does not tell.
func (a *Accounts) newPerson(ctx context.Context, email, password, name string) (n store.NewPerson, err error) {
	if n.Email, err = FoldEmail(email); err != nil {
		return n, err
	}
	if err = checkPassword(password); err != nil {
		return n, err
	}
	if err = checkFullName(name); err != nil {
		return n, err
	}
	n.FullName = name
	n.Password, err = a.hasher.hash(ctx, password)
	return n, err
}

// Change is what of an account is to change; nil fields stay.
type Change struct {
	Email, Password, FullName *string
	Active, Platform          *bool
}

// Change changes an account. Another password or address, and being switched off, ends all its sessions.
func (a *Accounts) Change(ctx context.Context, id uuid.UUID, c Change, from From) (store.Person, error) {
	out := store.PersonChange{FullName: c.FullName, Active: c.Active, Platform: c.Platform}
	if c.Email != nil {
		folded, err := FoldEmail(*c.Email)
		if err != nil {
			return store.Person{}, err
		}
		before, err := a.store.Person(ctx, id)
		if err != nil {
			return before, err
		}
		if before.Email != folded {
			out.Email, out.EndSessions = &folded, "the address was changed"
		}
	}
	if c.FullName != nil {
		if err := checkFullName(*c.FullName); err != nil {
			return store.Person{}, err
		}
	}
	if c.Password != nil {
		if err := checkPassword(*c.Password); err != nil {
			return store.Person{}, err
		}
		phc, err := a.hasher.hash(ctx, *c.Password)
		if err != nil {
			return store.Person{}, err
		}
		out.Password, out.EndSessions = &phc, "the password was changed"
	}
	if c.Active != nil && !*c.Active {
		out.EndSessions = "the account was switched off"
	}
	p, err := a.store.ChangePerson(ctx, id, out, from.audit(uuid.Nil))
	a.forget()
	if errors.Is(err, store.ErrConflict) {
		err = ErrTaken
	}
	return p, err
}

// Delete removes an account.
func (a *Accounts) Delete(ctx context.Context, id uuid.UUID, from From) error {
	defer a.forget()
	return a.store.DeletePerson(ctx, id, from.audit(uuid.Nil))
}

// forget has everything looked up again, so that what was just taken away is gone at once here.
func (a *Accounts) forget() {
	a.standings.forget()
	a.keys.forget()
}

// Person returns the account of an id.
func (a *Accounts) Person(ctx context.Context, id uuid.UUID) (store.Person, error) {
	return a.store.Person(ctx, id)
}

// ByNumber returns the account of the number that clients of the first interface name it by.
func (a *Accounts) ByNumber(ctx context.Context, number int64) (store.Person, error) {
	return a.store.PersonByNumber(ctx, number)
}

// ByEmail returns the account of an address.
func (a *Accounts) ByEmail(ctx context.Context, email string) (store.Person, error) {
	folded, err := FoldEmail(email)
	if err != nil {
		return store.Person{}, err
	}
	return a.store.PersonByEmail(ctx, folded)
}

// People returns at most limit accounts by number, after the first skip.
func (a *Accounts) People(ctx context.Context, skip, limit int) ([]store.Person, error) {
	return a.store.People(ctx, skip, limit)
}

// unknown is an error of the store that says that there is no such thing.
func unknown(err error) bool { return errors.Is(err, store.ErrNotFound) }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), access.ErrInvalid)
}
