package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Person is somebody who can log in.
type Person struct {
	ID        uuid.UUID
	Number    int64  // its id for clients of the first interface
	Email     string // folded
	FullName  string
	Password  string // argon2id in PHC form; empty when it has none
	Active    bool
	Platform  bool // administers all organisations
	Vouched   bool // the address is its own, says somebody we trust
	CreatedAt time.Time
}

// NewPerson is what an account begins with.
type NewPerson struct {
	Person
	Org        uuid.UUID // that it becomes a member of; uuid.Nil: none
	OwnOrg     string    // name of an organisation that is made for it, with it as administrator; empty: none
	Role       string    // in Org
	Invitation []byte    // SHA-256 of one that is used up for it and says Org and Role; nil: none
	Issuer     string    // of an identity, with Subject; empty: none
	Subject    string
}

const accountRows = `select account_id, number, email, full_name, password, active, platform, vouched, created_at from people.account `

// PutPerson makes an account. It is ErrConflict when the address has one and ErrNotFound when the invitation is not good for it.
func (s *Store) PutPerson(ctx context.Context, n NewPerson, by Audit) (Person, error) {
	n.ID = newID()
	var made Person
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if n.Invitation != nil {
			var err error
			if n.Org, n.Role, err = useInvitation(ctx, tx, n.Invitation, n.Email); err != nil {
				return err
			}
			n.Vouched = true
		}
		_, err := tx.Exec(ctx, `insert into people.account (account_id, email, full_name, password, active, platform, vouched) values ($1, $2, $3, $4, true, $5, $6)`,
			n.ID, n.Email, n.FullName, n.Password, n.Platform, n.Vouched)
		if err != nil {
			return conflict(err)
		}
		if n.OwnOrg != "" {
			n.Org, n.Role = newID(), "admin"
			if _, err := tx.Exec(ctx, `insert into organisation (org_id, name, tier) values ($1, $2, 'free')`, n.Org, n.OwnOrg); err != nil {
				return conflict(err)
			}
		}
		if n.Org != uuid.Nil {
			if _, err := tx.Exec(ctx, `insert into people.membership (org_id, account_id, role) values ($1, $2, $3)`, n.Org, n.ID, n.Role); err != nil {
				return err
			}
		}
		if n.Issuer != "" {
			if _, err := tx.Exec(ctx, `insert into people.identity (issuer, subject, account_id) values ($1, $2, $3)`, n.Issuer, n.Subject, n.ID); err != nil {
				return conflict(err)
			}
		}
		by.Org, by.Action, by.Subject = n.Org, "account.create", n.ID.String()
		if by.Actor == "" {
			by.Actor = "user " + by.Subject
		}
		by.Detail = map[string]any{"email": n.Email, "role": n.Role, "platform": n.Platform, "invited": n.Invitation != nil}
		if err := putAudit(ctx, tx, by); err != nil {
			return err
		}
		made, err = person(ctx, tx, `where account_id = $1`, n.ID)
		return err
	})
	if err != nil {
		return Person{}, fmt.Errorf("make account: %w", err)
	}
	return made, nil
}

// conflict turns a violated uniqueness into ErrConflict.
func conflict(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" {
		return fmt.Errorf("%s: %w", pg.ConstraintName, ErrConflict)
	}
	return err
}

func person(ctx context.Context, q querier, where string, args ...any) (Person, error) {
	rows, err := q.Query(ctx, accountRows+where, args...)
	if err != nil {
		return Person{}, fmt.Errorf("read account: %w", err)
	}
	a, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Person])
	return a, notFound(err, "account")
}

// Person returns the account of an id, or ErrNotFound.
func (s *Store) Person(ctx context.Context, id uuid.UUID) (Person, error) {
	return person(ctx, s.db, `where account_id = $1`, id)
}

// PersonByEmail returns the account of a folded address, or ErrNotFound.
func (s *Store) PersonByEmail(ctx context.Context, email string) (Person, error) {
	return person(ctx, s.db, `where email = $1`, email)
}

// PersonByNumber returns the account with the given number, or ErrNotFound.
func (s *Store) PersonByNumber(ctx context.Context, number int64) (Person, error) {
	return person(ctx, s.db, `where number = $1`, number)
}

// PersonByIdentity returns the account that an identity provider's subject is known as, or ErrNotFound.
func (s *Store) PersonByIdentity(ctx context.Context, issuer, subject string) (Person, error) {
	return person(ctx, s.db, `where account_id = (select account_id from people.identity where issuer = $1 and subject = $2)`, issuer, subject)
}

// PutIdentity notes who an account is for an identity provider.
func (s *Store) PutIdentity(ctx context.Context, issuer, subject string, id uuid.UUID, by Audit) error {
	return s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into people.identity (issuer, subject, account_id) values ($1, $2, $3)`, issuer, subject, id); err != nil {
			return fmt.Errorf("note identity: %w", conflict(err))
		}
		by.Action, by.Subject, by.Detail = "account.identity", id.String(), map[string]any{"issuer": issuer}
		return putAudit(ctx, tx, by)
	})
}

// People returns at most limit accounts by number, after the first skip.
func (s *Store) People(ctx context.Context, skip, limit int) ([]Person, error) {
	rows, err := s.db.Query(ctx, accountRows+`order by number offset $1 limit $2`, skip, limit)
	if err == nil {
		var out []Person
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Person]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("list accounts: %w", err)
}

// PersonChange is what of an account changes; nil fields stay.
type PersonChange struct {
	Email, FullName, Password *string
	Active, Platform          *bool
	EndSessions               string // why all its sessions end; empty: they go on
}

// ChangePerson changes an account. It is ErrNotFound without one, ErrConflict when another has the address, and ErrLast when nobody
// would be left who administers all organisations.
func (s *Store) ChangePerson(ctx context.Context, id uuid.UUID, c PersonChange, by Audit) (Person, error) {
	var changed Person
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if c.Active != nil && !*c.Active || c.Platform != nil && !*c.Platform {
			if err := checkLastPlatform(ctx, tx, id); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `update people.account set email = coalesce($2, email), full_name = coalesce($3, full_name), password = coalesce($4, password),
			active = coalesce($5, active), platform = coalesce($6, platform), vouched = vouched and $2::text is null where account_id = $1`,
			id, c.Email, c.FullName, c.Password, c.Active, c.Platform)
		if err == nil && tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		if err != nil {
			return conflict(err)
		}
		if c.EndSessions != "" {
			if err := endSessions(ctx, tx, `account_id = $1`, c.EndSessions, id); err != nil {
				return err
			}
		}
		by.Action, by.Subject, by.Detail = "account.change", id.String(), map[string]any{}
		for name, v := range map[string]any{"email": deref(c.Email), "full_name": deref(c.FullName), "active": deref(c.Active), "platform": deref(c.Platform)} {
			if v != nil {
				by.Detail[name] = v
			}
		}
		if c.Password != nil {
			by.Detail["password"] = "changed"
		}
		if err := putAudit(ctx, tx, by); err != nil {
			return err
		}
		changed, err = person(ctx, tx, `where account_id = $1`, id)
		return err
	})
	if err != nil {
		return Person{}, fmt.Errorf("change account: %w", err)
	}
	return changed, nil
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// Rehash replaces the stored form of a password, unless it was changed meanwhile.
func (s *Store) Rehash(ctx context.Context, id uuid.UUID, before, after string) error {
	_, err := s.db.Exec(ctx, `update people.account set password = $3 where account_id = $1 and password = $2`, id, before, after)
	if err != nil {
		return fmt.Errorf("rehash password: %w", err)
	}
	return nil
}

// ErrLast says that a change would leave nobody to administer.
var ErrLast = errors.New("nobody would be left to administer")

// checkLastPlatform returns ErrLast when the account is the only active one that administers all organisations.
func checkLastPlatform(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	rows, err := tx.Query(ctx, `select account_id from people.account where platform and active order by account_id for update`)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err == nil && len(ids) == 1 && ids[0] == id {
		err = ErrLast
	}
	return err
}

// DeletePerson removes an account with its sessions, memberships and identities. The audit log stays. It is ErrNotFound without one,
// and ErrLast when nobody would be left who administers all organisations.
func (s *Store) DeletePerson(ctx context.Context, id uuid.UUID, by Audit) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := checkLastPlatform(ctx, tx, id); err != nil {
			return err
		}
		for _, sql := range []string{
			`delete from people.refresh where session_id in (select session_id from people.session where account_id = $1)`,
			`delete from people.session where account_id = $1`, `delete from people.membership where account_id = $1`,
			`delete from people.identity where account_id = $1`,
		} {
			if _, err := tx.Exec(ctx, sql, id); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `delete from people.account where account_id = $1`, id)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		by.Action, by.Subject = "account.delete", id.String()
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	return nil
}
