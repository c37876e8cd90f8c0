package status

import (
	"net/http"
	"time"

	"fluxora.dev/shared/meter"
)

// Ledger tells what became of every reading. Its methods may be called concurrently.
type Ledger interface {
	// Ledger returns the accounts of days within [from, to), of one point when that is not empty, and what was lost.
	Ledger(point string, from, to time.Time) (Accounts, error)
	// Balance sums every account.
	Balance() (Balance, error)
}

// Accounts is what became of readings, by register of a point and day.
type Accounts struct {
	Accounts []Account   `json:"accounts"`
	Lost     []LostRange `json:"lost"` // of all points: what left the store before the hub had it
}

// Account is what became of the readings of a register of a point on a day:
// Received = Delivered + Quarantined + Evicted + Thinned + Pending.
type Account struct {
	Point       string         `json:"point"`    // empty for what cannot be told
	Register    meter.Register `json:"register"` // empty for quarantined messages
	Day         string         `json:"day"`      // UTC, of the readings' own instants
	Received    uint64         `json:"received"`
	Delivered   uint64         `json:"delivered"`
	Quarantined uint64         `json:"quarantined"`
	Evicted     uint64         `json:"evicted"`
	Thinned     uint64         `json:"thinned"`
	Pending     uint64         `json:"pending"`

	Duplicates  uint64 `json:"duplicates"`  // came again with the same value; not received
	Corrections uint64 `json:"corrections"` // of those received, those that replaced another value
	Released    uint64 `json:"released"`    // of the messages quarantined, those that were taken after all
}

// LostRange names what left the store before the hub had it.
type LostRange struct {
	Why   string    `json:"why"`
	First uint64    `json:"first"` // sequences [first, end); of a thinned range only a part went
	End   uint64    `json:"end"`
	From  time.Time `json:"from"` // instants of its readings, as far as they are known
	To    time.Time `json:"to"`
	At    time.Time `json:"at"` // when it happened
}

// Balance is the sum of all accounts.
type Balance struct {
	Received    uint64 `json:"received"`
	Delivered   uint64 `json:"delivered"`
	Quarantined uint64 `json:"quarantined"`
	Evicted     uint64 `json:"evicted"`
	Thinned     uint64 `json:"thinned"`
	Pending     uint64 `json:"pending"`
	Duplicates  uint64 `json:"duplicates"`  // counted apart
	Corrections uint64 `json:"corrections"` // of those received
	Released    uint64 `json:"released"`    // of those quarantined
	Unbalanced  uint64 `json:"unbalanced"`  // readings by which accounts and sequences differ
	Balanced    bool   `json:"balanced"`    // nothing differs, at the hub neither when it compared last
	// HubUnbalanced is how many accounts the hub found different when it compared last.
	HubUnbalanced uint32 `json:"hub_unbalanced"`
}

func (h *handler) ledgerRoutes(mux *http.ServeMux) {
	if h.o.Ledger == nil {
		return
	}
	mux.Handle("GET /v1/ledger", h.guard(h.json(h.ledger)))
	mux.Handle("GET /v1/ledger/balance", h.guard(h.json(h.balance)))
}

func (h *handler) ledger(r *http.Request) (any, error) {
	q := r.URL.Query()
	if err := onlyParams(q, "point", "from", "to"); err != nil {
		return nil, err
	}
	from, to := time.Unix(0, 0).UTC(), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, into := range map[string]*time.Time{"from": &from, "to": &to} {
		s := q.Get(name)
		if s == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return nil, bad("%s=%.40q: want a day as 2026-01-31", name, s)
		}
		*into = t
	}
	if !from.Before(to) {
		return nil, bad("to=%s is not after from=%s: want from < to", to.Format(time.DateOnly), from.Format(time.DateOnly))
	}
	return h.o.Ledger.Ledger(q.Get("point"), from, to)
}

func (h *handler) balance(r *http.Request) (any, error) {
	if err := onlyParams(r.URL.Query()); err != nil {
		return nil, err
	}
	return h.o.Ledger.Balance()
}
