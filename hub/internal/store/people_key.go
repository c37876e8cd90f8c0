package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// APIKey is a credential of a program. Its text is not kept.
type APIKey struct {
	ID        uuid.UUID
	Name      string
	Role      string
	Scopes    []string
	CreatedBy string // actor, as in the audit log
	CreatedAt time.Time
	ExpiresAt time.Time
	RevokedAt *time.Time
	UsedAt    *time.Time // to the minute
}

const apiKeyRows = `select key_id, name, role, scopes, created_by, created_at, expires_at, revoked_at, used_at from people.api_key `

// PutAPIKey keeps a key by the SHA-256 of its text.
func (s *Store) PutAPIKey(ctx context.Context, org uuid.UUID, k APIKey, sha256 []byte, by Audit) (APIKey, error) {
	k.ID, k.CreatedBy = newID(), by.Actor
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into people.api_key (org_id, key_id, name, sha256, role, scopes, created_by, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			org, k.ID, text(k.Name), sha256, k.Role, k.Scopes, text(k.CreatedBy), k.CreatedAt, k.ExpiresAt)
		if err != nil {
			return err
		}
		by.Org, by.Action, by.Subject, by.Detail = org, "key.create", k.ID.String(), map[string]any{"name": k.Name, "role": k.Role, "scopes": k.Scopes, "expires_at": k.ExpiresAt}
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return APIKey{}, fmt.Errorf("keep API key: %w", err)
	}
	return k, nil
}

// APIKeys returns at most limit keys of an organisation, newest first.
func (s *Store) APIKeys(ctx context.Context, org uuid.UUID, limit int) ([]APIKey, error) {
	rows, err := s.db.Query(ctx, apiKeyRows+`where org_id = $1 order by key_id desc limit $2`, org, limit)
	if err == nil {
		var out []APIKey
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[APIKey]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("list API keys: %w", err)
}

// RevokeAPIKey makes a key useless, or returns ErrNotFound.
func (s *Store) RevokeAPIKey(ctx context.Context, org, key uuid.UUID, by Audit) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `update people.api_key set revoked_at = clock_timestamp() where org_id = $1 and key_id = $2 and revoked_at is null`, org, key)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		by.Org, by.Action, by.Subject = org, "key.revoke", key.String()
		return putAudit(ctx, tx, by)
	})
	if err != nil {
		return fmt.Errorf("revoke API key: %w", err)
	}
	return nil
}

// KnownKey is a key that a request showed.
type KnownKey struct {
	APIKey
	Org  uuid.UUID
	Tier string
}

// KnownKey returns the key with the given SHA-256, or ErrNotFound, and notes that it was used, to the minute.
func (s *Store) KnownKey(ctx context.Context, sha256 []byte, now time.Time) (KnownKey, error) {
	rows, err := s.db.Query(ctx, `select k.key_id, k.name, k.role, k.scopes, k.created_by, k.created_at, k.expires_at, k.revoked_at, k.used_at, k.org_id, o.tier
		from people.api_key k join organisation o on o.org_id = k.org_id where k.sha256 = $1`, sha256)
	if err != nil {
		return KnownKey{}, fmt.Errorf("read API key: %w", err)
	}
	k, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[KnownKey])
	if err == nil && (k.UsedAt == nil || now.Sub(*k.UsedAt) > time.Minute) {
		_, err = s.db.Exec(ctx, `update people.api_key set used_at = $2 where sha256 = $1`, sha256, now)
	}
	return k, notFound(err, "API key")
}

// SigningKey is the public half of a key that access tokens are signed with.
type SigningKey struct {
	ID        string
	Public    []byte
	CreatedAt time.Time
	ExpiresAt time.Time // no token of it is good after this
}

// PutSigningKey publishes a key.
func (s *Store) PutSigningKey(ctx context.Context, k SigningKey) error {
	_, err := s.db.Exec(ctx, `insert into people.signing_key (kid, public, created_at, expires_at) values ($1, $2, $3, $4)`, k.ID, k.Public, k.CreatedAt, k.ExpiresAt)
	if err != nil {
		return fmt.Errorf("publish signing key: %w", err)
	}
	return nil
}

// SigningKeys returns the keys whose tokens may still be good, newest first.
func (s *Store) SigningKeys(ctx context.Context, now time.Time) ([]SigningKey, error) {
	rows, err := s.db.Query(ctx, `select kid, public, created_at, expires_at from people.signing_key where expires_at > $1 order by created_at desc`, now)
	if err == nil {
		var out []SigningKey
		if out, err = pgx.CollectRows(rows, pgx.RowToStructByPos[SigningKey]); err == nil {
			return out, nil
		}
	}
	return nil, fmt.Errorf("read signing keys: %w", err)
}

// Attempts returns the failed logins of the given keys, those that have none left out.
func (s *Store) Attempts(ctx context.Context, keys [][]byte) (map[string]Attempt, error) {
	rows, err := s.db.Query(ctx, `select key, failures, last_at, free_at from people.attempt where key = any($1)`, keys)
	if err != nil {
		return nil, fmt.Errorf("read failed logins: %w", err)
	}
	out := map[string]Attempt{}
	var key []byte
	var a Attempt
	if _, err = pgx.ForEachRow(rows, []any{&key, &a.Failures, &a.LastAt, &a.FreeAt}, func() error { out[string(key)] = a; return nil }); err != nil {
		return nil, fmt.Errorf("read failed logins: %w", err)
	}
	return out, nil
}

// Attempt is how often logins have failed, and from when another may be tried.
type Attempt struct {
	Failures int
	LastAt   time.Time
	FreeAt   time.Time
}

// ChangeAttempt has change make a key's failed logins anew from what they are, one change at a time. Zero failures remove it.
func (s *Store) ChangeAttempt(ctx context.Context, key []byte, change func(Attempt) Attempt) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var a Attempt
		if _, err := tx.Exec(ctx, `insert into people.attempt (key, failures, last_at, free_at) values ($1, 0, '-infinity', '-infinity') on conflict do nothing`, key); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `select failures, case when failures = 0 then 'epoch' else last_at end, case when failures = 0 then 'epoch' else free_at end
			from people.attempt where key = $1 for update`, key).Scan(&a.Failures, &a.LastAt, &a.FreeAt); err != nil {
			return err
		}
		if a = change(a); a.Failures == 0 {
			_, err := tx.Exec(ctx, `delete from people.attempt where key = $1`, key)
			return err
		}
		_, err := tx.Exec(ctx, `update people.attempt set failures = $2, last_at = $3, free_at = $4 where key = $1`, key, a.Failures, a.LastAt, a.FreeAt)
		return err
	})
	if err != nil {
		return fmt.Errorf("count failed logins: %w", err)
	}
	return nil
}

// OIDCLogin is a login under way at an identity provider.
type OIDCLogin struct {
	Nonce, Verifier string
	ExpiresAt       time.Time
}

// PutOIDCLogin keeps a login under way by the SHA-256 of its state.
func (s *Store) PutOIDCLogin(ctx context.Context, sha256 []byte, l OIDCLogin) error {
	_, err := s.db.Exec(ctx, `insert into people.oidc_login (sha256, nonce, verifier, expires_at) values ($1, $2, $3, $4)`, sha256, l.Nonce, l.Verifier, l.ExpiresAt)
	if err != nil {
		return fmt.Errorf("keep login under way: %w", err)
	}
	return nil
}

// TakeOIDCLogin returns a login under way, once, or ErrNotFound.
func (s *Store) TakeOIDCLogin(ctx context.Context, sha256 []byte, now time.Time) (OIDCLogin, error) {
	var l OIDCLogin
	err := s.db.QueryRow(ctx, `delete from people.oidc_login where sha256 = $1 and expires_at > $2 returning nonce, verifier, expires_at`, sha256, now).
		Scan(&l.Nonce, &l.Verifier, &l.ExpiresAt)
	return l, notFound(err, "login under way")
}
