package account

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"time"

	"fluxora.dev/hub/internal/store"
)

// limit is how a count of failed logins delays the next attempt: not at all up to free, then by one second, doubled with each failure,
// up to longestDelay. A count is forgotten when nothing failed for forget.
type limit struct{ free int }

var (
	ofAccount = limit{free: 10}  // from anywhere
	ofBoth    = limit{free: 5}   // one address on one account
	ofAddress = limit{free: 100} // on any accounts; many people share an address
)

const (
	longestDelay = 15 * time.Minute
	forget       = 24 * time.Hour
)

// after returns the count after one more failure.
func (l limit) after(a store.Attempt, now time.Time) store.Attempt {
	if now.Sub(a.LastAt) > forget {
		a.Failures = 0
	}
	a.Failures++
	a.LastAt, a.FreeAt = now, now
	if over := a.Failures - l.free; over > 0 {
		a.FreeAt = now.Add(min(longestDelay, time.Second<<min(over-1, 20)))
	}
	return a
}

// throttle counts failed logins of one attempt's account and address.
type throttle struct {
	store                        *store.Store
	account, address, both, good []byte // keys
}

// newThrottle returns the counts that an attempt is about. The account is named by what was typed, whether it exists or not.
func newThrottle(s *store.Store, email, address string) *throttle {
	address = network(address)
	key := func(kind string, parts ...string) []byte {
		h := sha256.New()
		for _, p := range append([]string{kind}, parts...) {
			h.Write([]byte(p))
			h.Write([]byte{0})
		}
		return h.Sum(nil)
	}
	return &throttle{
		store:   s,
		account: key("account", email), address: key("address", address), both: key("both", email, address), good: key("good", email, address),
	}
}

// network returns what failures of an address are counted by: of IPv6, the 64 bits that one customer has all of.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap()
	if p, err := a.WithZone("").Prefix(64); err == nil && a.Is6() {
		return p.String()
	}
	return a.String()
}

// check returns a ThrottledError when no attempt may be made now. An address that logged in to the account before is not held up by
// what others do to it.
func (t *throttle) check(ctx context.Context, now time.Time) error {
	held, err := t.store.Attempts(ctx, [][]byte{t.account, t.address, t.both, t.good})
	if err != nil {
		return err
	}
	until := held[string(t.address)].FreeAt
	if f := held[string(t.both)].FreeAt; f.After(until) {
		until = f
	}
	if f := held[string(t.account)].FreeAt; f.After(until) && held[string(t.good)].Failures == 0 {
		until = f
	}
	if now.Before(until) {
		return &ThrottledError{Wait: until.Sub(now)}
	}
	return nil
}

// failed counts a failure.
func (t *throttle) failed(ctx context.Context, now time.Time) error {
	for _, c := range []struct {
		key []byte
		limit
	}{{t.account, ofAccount}, {t.both, ofBoth}, {t.address, ofAddress}} {
		if err := t.store.ChangeAttempt(ctx, c.key, func(a store.Attempt) store.Attempt { return c.after(a, now) }); err != nil {
			return err
		}
	}
	return nil
}

// succeeded forgets the failures of this address on the account, and notes that it may log in. Failures of others, and on other accounts,
// stay counted, so that a guesser cannot clear them with an account of its own.
func (t *throttle) succeeded(ctx context.Context, now time.Time) error {
	held, err := t.store.Attempts(ctx, [][]byte{t.both, t.good})
	if err != nil {
		return err
	}
	if held[string(t.both)].Failures > 0 {
		if err := t.store.ChangeAttempt(ctx, t.both, func(store.Attempt) store.Attempt { return store.Attempt{} }); err != nil {
			return err
		}
	}
	if now.Sub(held[string(t.good)].LastAt) < forget {
		return nil
	}
	return t.store.ChangeAttempt(ctx, t.good, func(store.Attempt) store.Attempt { return store.Attempt{Failures: 1, LastAt: now, FreeAt: now} })
}
