package derive

import (
	"time"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
)

const dayMillis = meter.Millis(24 * time.Hour / time.Millisecond)

// tally counts readings of one stream for the ledger, by who sent them and by day. It looks an account up only when the sender or
// the day changes.
type tally struct {
	into   map[store.AccountKey]*store.Account
	stream store.Stream

	from    store.Source
	low     meter.Millis // of the day of account
	account *store.Account
}

// of returns the account of a reading.
func (t *tally) of(from store.Source, at meter.Millis) *store.Account {
	if t.account != nil && at >= t.low && at-t.low < dayMillis && from == t.from {
		return t.account
	}
	t.from, t.low = from, at.Floor(24*time.Hour)
	k := store.AccountKey{Source: from, Stream: t.stream, Day: int32(t.low / dayMillis)}
	if t.account = t.into[k]; t.account == nil {
		t.account = &store.Account{}
		t.into[k] = t.account
	}
	return t.account
}
