package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Session is a login.
type Session struct {
	ID        uuid.UUID
	Account   uuid.UUID
	Org       *uuid.UUID // whose rows it works on; nil: none's
	Client    string
	Address   string
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
	EndedAt   *time.Time
	EndedWhy  string
}

const sessionRows = `select session_id, account_id, in_org, client, address, created_at, seen_at, expires_at, ended_at, ended_why from people.session `

// BeginSession keeps a login with its first refresh token. It works on the organisation that the account has been a member of for longest.
func (s *Store) BeginSession(ctx context.Context, v Session, refresh []byte, by Audit) (Session, error) {
	v.ID = newID()
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `insert into people.session (session_id, account_id, in_org, client, address, created_at, seen_at, expires_at)
			select $1, account_id, (select org_id from people.membership m where m.account_id = a.account_id order by created_at, org_id limit 1), $3, $4, $5, $5, $6
			from people.account a where account_id = $2 and active for share returning in_org`,
			v.ID, v.Account, text(v.Client), text(v.Address), v.CreatedAt, v.ExpiresAt).Scan(&v.Org)
		if err != nil {
			return notFound(err, "account")
		}
		if _, err := tx.Exec(ctx, `insert into people.refresh (sha256, session_id, issued_at) values ($1, $2, $3)`, refresh, v.ID, v.CreatedAt); err != nil {
			return err
		}
		by.Actor, by.Action, by.Subject = "user "+v.Account.String(), "session.begin", v.ID.String()
		if v.Org != nil {
			by.Org = *v.Org
		}
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return Session{}, fmt.Errorf("begin session: %w", err)
	}
	return v, nil
}

// Refresh uses up a refresh token for the next one and returns the session. It is ErrNotFound when there is no such token or its session
// is over, and ErrTokenReused, which has ended the session, when the token was used before.
func (s *Store) Refresh(ctx context.Context, old, next []byte, now time.Time, by Audit) (v Session, active bool, err error) {
	reused := false
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		var session uuid.UUID
		var usedAt *time.Time
		if err := tx.QueryRow(ctx, `select session_id, used_at from people.refresh where sha256 = $1 for update`, old).Scan(&session, &usedAt); err != nil {
			return notFound(err, "refresh token")
		}
		rows, err := tx.Query(ctx, sessionRows+`where session_id = $1 for update`, session)
		if err != nil {
			return err
		}
		if v, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Session]); err != nil {
			return notFound(err, "session")
		}
		switch {
		case v.EndedAt != nil || !now.Before(v.ExpiresAt):
			return fmt.Errorf("session: %w", ErrNotFound)
		case usedAt != nil:
			reused = true
			if err := endSessions(ctx, tx, `session_id = $1`, "a refresh token came a second time", v.ID); err != nil {
				return err
			}
			by.Actor, by.Action, by.Subject, by.Detail = "user "+v.Account.String(), "session.end", v.ID.String(), map[string]any{"why": "a refresh token came a second time"}
			if v.Org != nil {
				by.Org = *v.Org
			}
			return putAudit(ctx, tx, by)
		}
		if err := tx.QueryRow(ctx, `select active from people.account where account_id = $1`, v.Account).Scan(&active); err != nil || !active {
			return notFound(err, "account")
		}
		if _, err := tx.Exec(ctx, `update people.refresh set used_at = $2 where sha256 = $1`, old, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into people.refresh (sha256, session_id, issued_at) values ($1, $2, $3)`, next, v.ID, now); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update people.session set seen_at = $2, address = $3 where session_id = $1`, v.ID, now, text(by.Address))
		return err
	})
	if err == nil && reused {
		err = ErrTokenReused
	}
	if err != nil {
		return Session{}, false, fmt.Errorf("refresh session: %w", err)
	}
	return v, active, nil
}

// Standing is what a session is good for now.
type Standing struct {
	Session  uuid.UUID
	Account  uuid.UUID
	Over     bool
	Active   bool // the account
	Platform bool
	Org      uuid.UUID // uuid.Nil: none
	Role     string    // there; empty when the account is no member any more
	Tier     string
}

// Standing returns what a session is good for, or ErrNotFound, and notes that it was seen, to the minute.
func (s *Store) Standing(ctx context.Context, session uuid.UUID, now time.Time) (Standing, error) {
	v := Standing{Session: session}
	var org *uuid.UUID
	var seen time.Time
	err := s.db.QueryRow(ctx, `
		select s.account_id, s.ended_at is not null or s.expires_at <= $2, a.active, a.platform, s.in_org, coalesce(m.role, ''), coalesce(o.tier, 'free'), s.seen_at
		from people.session s
		join people.account a on a.account_id = s.account_id
		left join people.membership m on m.account_id = s.account_id and m.org_id = s.in_org
		left join organisation o on o.org_id = s.in_org
		where s.session_id = $1`, session, now).Scan(&v.Account, &v.Over, &v.Active, &v.Platform, &org, &v.Role, &v.Tier, &seen)
	if err == nil && now.Sub(seen) > time.Minute {
		_, err = s.db.Exec(ctx, `update people.session set seen_at = $2 where session_id = $1 and seen_at < $2`, session, now)
	}
	if org != nil {
		v.Org = *org
	}
	return v, notFound(err, "session")
}

// Sessions returns the sessions of an account that go on, newest first, at most limit.
func (s *Store) Sessions(ctx context.Context, account uuid.UUID, now time.Time, limit int) ([]Session, error) {
	rows, err := s.db.Query(ctx, sessionRows+`where account_id = $1 and ended_at is null and expires_at > $2 order by session_id desc limit $3`, account, now, limit)
	if err == nil {
		var out []Session
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Session]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("list sessions: %w", err)
}

// EndSession ends one session of an account, or returns ErrNotFound.
func (s *Store) EndSession(ctx context.Context, account, session uuid.UUID, why string, by Audit) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update people.session set ended_at = clock_timestamp(), ended_why = $3 where account_id = $1 and session_id = $2 and ended_at is null`, account, session, why)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		by.Action, by.Subject, by.Detail = "session.end", session.String(), map[string]any{"why": why}
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// endSessions ends what where, a constant of this package, selects.
func endSessions(ctx context.Context, tx pgx.Tx, where, why string, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `update people.session set ended_at = clock_timestamp(), ended_why = $2 where ended_at is null and `+where, id, why)
	return err
}

// EnterOrganisation has a session work on another organisation, or returns ErrNotFound when its account may not.
func (s *Store) EnterOrganisation(ctx context.Context, account, session, org uuid.UUID, by Audit) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update people.session s set in_org = $3 from people.account a
			where s.session_id = $2 and s.account_id = $1 and a.account_id = $1 and s.ended_at is null and exists (select from organisation where org_id = $3)
			  and (a.platform or exists (select from people.membership where org_id = $3 and account_id = $1))`, account, session, org)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		by.Org, by.Action, by.Subject = org, "session.enter", session.String()
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return fmt.Errorf("enter organisation: %w", err)
	}
	return nil
}

// PurgePeople removes what is over: sessions, tokens, keys and failed logins of some time ago.
func (s *Store) PurgePeople(ctx context.Context, now time.Time) error {
	ago := now.Add(-30 * 24 * time.Hour)
	for _, sql := range []string{
		`delete from people.refresh where session_id in (select session_id from people.session where expires_at < $1 or ended_at < $1)`,
		`delete from people.session where expires_at < $1 or ended_at < $1`,
		`delete from people.attempt where last_at < $1`,
		`delete from people.oidc_login where expires_at < $1`,
		`delete from people.invitation where expires_at < $1`,
		`delete from people.signing_key where expires_at < $1`,
	} {
		if _, err := s.db.Exec(ctx, sql, ago); err != nil {
			return fmt.Errorf("purge accounts: %w", err)
		}
	}
	return nil
}
