package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ErrBusy is that another request does the same right now.
var ErrBusy = errors.New("is under way")

// IdempotencyKey is what a caller named one request by.
type IdempotencyKey struct {
	Org                uuid.UUID
	Caller, Route, Key string
}

// KeyClaim is the right to do what a key names, until it is answered or given up.
type KeyClaim struct {
	IdempotencyKey
	at time.Time
}

// KeptAnswer is the answer to the first request with a key.
type KeptAnswer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// ClaimKey claims a key for who does it first. A key that is answered returns the answer. It is ErrConflict when the key was used for
// another request (by sha256), and ErrBusy while the first is under way, for at most lease: one that died is taken over. Keys
// are forgotten after keep.
func (s *Store) ClaimKey(ctx context.Context, k IdempotencyKey, sha256 []byte, lease, keep time.Duration) (KeyClaim, *KeptAnswer, error) {
	claim := KeyClaim{IdempotencyKey: k}
	var answer *KeptAnswer
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `delete from idempotency where (org_id, caller, route, key) in
			(select org_id, caller, route, key from idempotency where org_id = $1 and expires_at <= now() limit 100 for update skip locked)`, k.Org); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `insert into idempotency as i (org_id, caller, route, key, sha256, claimed_at, expires_at)
			values ($1, $2, $3, $4, $5, clock_timestamp(), now() + $7)
			on conflict (org_id, caller, route, key) do update
			set sha256 = excluded.sha256, claimed_at = excluded.claimed_at, expires_at = excluded.expires_at, status = null, header = null, body = null
			where i.expires_at <= now() or i.status is null and i.claimed_at <= now() - $6::interval
			returning claimed_at`, k.Org, k.Caller, k.Route, k.Key, sha256, lease, keep).Scan(&claim.at)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var same bool
		var status *int
		found := KeptAnswer{}
		if err := tx.QueryRow(ctx, `select sha256 = $5, status, coalesce(header, '{}'), body from idempotency where org_id = $1 and caller = $2 and route = $3 and key = $4`,
			k.Org, k.Caller, k.Route, k.Key, sha256).Scan(&same, &status, &found.Header, &found.Body); err != nil {
			return err
		}
		switch {
		case !same:
			return ErrConflict
		case status == nil:
			return ErrBusy
		}
		found.Status = *status
		answer = &found
		return nil
	})
	if err != nil {
		return KeyClaim{}, nil, fmt.Errorf("claim idempotency key: %w", err)
	}
	return claim, answer, nil
}

// KeepAnswer answers a claim, unless somebody else took it over meanwhile.
func (s *Store) KeepAnswer(ctx context.Context, c KeyClaim, a KeptAnswer) error {
	if _, err := s.db.Exec(ctx, `update idempotency set status = $6, header = $7, body = $8
		where org_id = $1 and caller = $2 and route = $3 and key = $4 and claimed_at = $5`,
		c.Org, c.Caller, c.Route, c.Key, c.at, a.Status, a.Header, a.Body); err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// GiveUpKey forgets a claim, so that the next request with its key is done.
func (s *Store) GiveUpKey(ctx context.Context, c KeyClaim) error {
	if _, err := s.db.Exec(ctx, `delete from idempotency where org_id = $1 and caller = $2 and route = $3 and key = $4 and claimed_at = $5 and status is null`,
		c.Org, c.Caller, c.Route, c.Key, c.at); err != nil {
		return fmt.Errorf("give up idempotency key: %w", err)
	}
	return nil
}
