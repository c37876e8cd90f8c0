package app

import (
	"encoding/json"
	"fmt"
	"time"

	"fluxora.dev/agent/internal/history"
	"fluxora.dev/agent/internal/ledger"
	"fluxora.dev/agent/internal/status"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/agent/internal/uplink"
	"fluxora.dev/proto/wire"
)

// uplinkBooks shows the books to the uplink.
type uplinkBooks struct{ *agent }

var _ uplink.Books = uplinkBooks{}

// NextLedger implements uplink.Books. What the hub may have acked must be counted first.
func (b uplinkBooks) NextLedger() (wire.Ledger, error) {
	if err := b.history.CatchUp(); err != nil {
		return wire.Ledger{}, err
	}
	return b.books.Next()
}

// Compared implements uplink.Books.
func (b uplinkBooks) Compared(l wire.Ledger) { b.books.Compared(l) }

// Again implements uplink.Books.
func (b uplinkBooks) Again(r wire.Resend) { b.books.Again(r) }

// Resent implements uplink.Books.
func (b uplinkBooks) Resent(r wire.Resend) (wire.Resent, error) { return ledger.Part(b.store, r) }

// statusBooks shows the books to people.
type statusBooks struct {
	books   *ledger.Books
	store   *store.Store
	catchUp func() error
	uplink  *uplink.Client // nil without one
}

var _ status.Ledger = statusBooks{}

// Ledger implements status.Ledger.
func (b statusBooks) Ledger(point string, from, to time.Time) (status.Accounts, error) {
	out := status.Accounts{Accounts: []status.Account{}, Lost: []status.LostRange{}}
	if err := b.catchUp(); err != nil {
		return out, err
	}
	as, err := b.books.Accounts(point, int32(from.Unix()/86400), int32(to.Unix()/86400))
	if err != nil {
		return out, err
	}
	for _, a := range as {
		out.Accounts = append(out.Accounts, status.Account{
			Point: a.Point, Register: a.Register, Day: time.Unix(int64(a.Day)*86400, 0).UTC().Format(time.DateOnly), Received: a.Received,
			Delivered: a.Delivered, Quarantined: a.Quarantined, Evicted: a.Evicted, Thinned: a.Thinned, Pending: a.Pending,
			Duplicates: a.Duplicates, Corrections: a.Corrections, Released: a.Released,
		})
	}
	for _, l := range append(b.store.Lost(), b.store.Thinned()...) {
		out.Lost = append(out.Lost, status.LostRange{Why: l.Why, First: l.First, End: l.End, From: l.From.Time(), To: l.To.Time(), At: l.At.Time()})
	}
	return out, nil
}

// Balance implements status.Ledger.
func (b statusBooks) Balance() (status.Balance, error) {
	if err := b.catchUp(); err != nil {
		return status.Balance{}, err
	}
	t, err := b.books.Balance()
	if err != nil {
		return status.Balance{}, err
	}
	out := status.Balance{
		Received: t.Received, Delivered: t.Delivered, Quarantined: t.Quarantined, Evicted: t.Evicted, Thinned: t.Thinned, Pending: t.Pending,
		Unbalanced: t.Unbalanced, Duplicates: t.Duplicates, Corrections: t.Corrections, Released: t.Released,
	}
	if b.uplink != nil {
		out.HubUnbalanced = b.uplink.Status().Unbalanced
	}
	out.Balanced = out.Unbalanced == 0 && out.HubUnbalanced == 0
	return out, nil
}

// Ledger returns the accounts as the running agent's GET /v1/ledger does, from the data directory of an agent that does not run.
func Ledger(c Config, point string, from, to time.Time) ([]byte, error) {
	s, err := store.Open(storeDir(c), store.Options{
		MaxBytes: int64(c.Store.MaxBytes), Retention: c.Store.Retention, MaxSeries: c.Limits.Series,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	books, err := ledger.Open(s, nil)
	if err != nil {
		return nil, err
	}
	h, err := history.Open(s, history.Options{Config: c, Books: books})
	if err != nil {
		return nil, err
	}
	as, err := (statusBooks{books: books, store: s, catchUp: h.CatchUp}).Ledger(point, from, to)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return json.Marshal(as)
}

// bookMetrics are the metrics of the ledger.
func (a *agent) bookMetrics() []status.Metric {
	if a.uplink == nil {
		return nil
	}
	one := func(name, help string, is bool, fn func() float64) status.Metric {
		return status.Metric{Name: name, Help: help, Gauge: is, Values: status.One(fn)}
	}
	return []status.Metric{
		one("ledger_unbalanced_accounts", "Accounts that the hub found different when it compared last.", true, func() float64 { return float64(a.uplink.Status().Unbalanced) }),
		one("ledger_compared_total", "Times that the hub compared accounts.", false, func() float64 { return float64(a.uplink.Status().Compared) }),
		one("resent_parts_total", "Parts of readings sent again because the hub asked.", false, func() float64 { return float64(a.uplink.Status().Resent) }),
	}
}
