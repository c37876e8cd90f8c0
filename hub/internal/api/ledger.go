package api

import (
	"context"
	"net/http"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
)

// Account is what became of an agent's readings of a register of a point on a day.
type Account struct {
	Agent    string     `json:"agent_id" format:"uuid"`
	Epoch    uint64     `json:"epoch" doc:"of the agent's store"`
	Site     string     `json:"site"`
	Point    string     `json:"point" doc:"empty for quarantined messages that name none"`
	Register string     `json:"register" doc:"empty for quarantined messages"`
	Day      string     `json:"day" format:"date" doc:"UTC, of the readings' own instants"`
	Claimed  *time.Time `json:"claimed,omitempty" doc:"when the agent sent its account last"`
	Counts
}

// Counts is what became of readings. It balances when agent.delivered + surplus = received + settled + lost.
type Counts struct {
	Received    int64 `json:"received" doc:"readings that came under sequences, derived"`
	Duplicates  int64 `json:"duplicates" doc:"of them, those that were held already"`
	Corrections int64 `json:"corrections" doc:"of them, those that replaced another value"`
	Resent      int64 `json:"resent" doc:"readings that came again because the hub asked"`
	Restored    int64 `json:"restored" doc:"of them, those that were missing or different"`
	Settled     int64 `json:"settled" doc:"of a difference, what a resend proved to be held"`
	Lost        int64 `json:"lost" doc:"of a difference, what the agent holds no more either"`
	Surplus     int64 `json:"surplus" doc:"of what is here, what the agent does not call delivered: it wrote it off, or its books were lost"`
	Unbalanced  int64 `json:"unbalanced" doc:"readings by which both sides differed when last compared"`
	Claim       Claim `json:"agent" doc:"what the agent says"`
}

// Claim is what an agent says became of its readings: received = delivered + quarantined + evicted + thinned + pending.
type Claim struct {
	Received    int64 `json:"received"`
	Delivered   int64 `json:"delivered"`
	Quarantined int64 `json:"quarantined"`
	Evicted     int64 `json:"evicted"`
	Thinned     int64 `json:"thinned"`
	Pending     int64 `json:"pending"`
}

// Ledger is a page of accounts, with the sums of all of them.
type Ledger struct {
	Totals   LedgerTotals `json:"totals"`
	Accounts []Account    `json:"accounts" doc:"by day, site, point and register"`
	Next     string       `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

// LedgerTotals sums all accounts that were asked for, whatever the page.
type LedgerTotals struct {
	Accounts  int64  `json:"accounts"`
	Differing int64  `json:"differing" doc:"accounts that do not balance"`
	Underived int64  `json:"underived" doc:"readings of the site that are in no account yet"`
	Resends   int64  `json:"resends" doc:"requests that agents have not answered in full"`
	Balanced  bool   `json:"balanced" doc:"no account differs, nothing waits to be derived or sent again"`
	Sum       Counts `json:"sum" doc:"unbalanced is the sum of the amounts"`
}

func countsOf(c store.LedgerCounts) Counts {
	return Counts{
		Received: c.Received, Duplicates: c.Duplicates, Corrections: c.Corrections, Resent: c.Resent, Restored: c.Restored,
		Settled: c.Settled, Lost: c.Lost, Surplus: c.Surplus, Unbalanced: c.Unbalanced, Claim: Claim(c.Claimed),
	}
}

type ledgerQuery struct {
	Site   string `query:"site" maxLength:"100" doc:"name of a site; all without it"`
	Point  string `query:"point" maxLength:"100" doc:"name of a point; all without it"`
	From   string `query:"from" format:"date" doc:"first day, UTC"`
	To     string `query:"to" format:"date" doc:"the day behind the last"`
	Limit  int    `query:"limit" default:"1000" minimum:"1" maximum:"10000" doc:"how many at most"`
	Cursor string `query:"cursor" maxLength:"600" doc:"the member next of the page before; empty for the first page"`
}

// Completeness is what of a site the hub lacks.
type Completeness struct {
	Site   string      `json:"site"`
	From   time.Time   `json:"from"`
	To     time.Time   `json:"to"`
	Agents []AgentGaps `json:"agents"`
	Points []PointGaps `json:"points"`
}

// AgentGaps is which sequences of an agent the hub lacks.
type AgentGaps struct {
	Agent   string          `json:"agent" format:"uuid"`
	Epoch   uint64          `json:"epoch"`
	Next    uint64          `json:"next" doc:"the agent gave out every sequence below it, as far as the hub knows"`
	Refused uint64          `json:"refused" doc:"sequences that came without a reading: evicted, thinned, damaged or unstorable"`
	Missing []SequenceRange `json:"missing"`
}

// SequenceRange is the sequences [first, end).
type SequenceRange struct {
	First uint64 `json:"first"`
	End   uint64 `json:"end"`
}

// PointGaps is of which time a point's register has no intervals.
type PointGaps struct {
	Point     string      `json:"point"`
	Register  string      `json:"register"`
	Intervals int64       `json:"intervals" doc:"known within [from, to)"`
	Missing   []TimeRange `json:"missing"`
}

// TimeRange is a stretch of time [from, to).
type TimeRange struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

type completenessQuery struct {
	Site string    `query:"site" required:"true" maxLength:"100" doc:"name of the site"`
	From time.Time `query:"from" doc:"RFC 3339; seven days before to without it"`
	To   time.Time `query:"to" doc:"RFC 3339, exclusive; now without it"`
}

type (
	ledgerAnswer       struct{ Body Ledger }
	completenessAnswer struct{ Body Completeness }
)

// Bounds of a completeness answer.
const (
	completenessSpan  = 400 * 24 * time.Hour
	completenessLimit = 10_000 // stretches
)

func (s *server) registerLedger(r *routes) {
	register(r, access.With(access.Viewer, access.ReadFleet), get("ledger", "/v1/ledger", "What became of every reading, by point, register and day, on both sides"), s.ledger)
	register(r, access.With(access.Viewer, access.ReadFleet), get("completeness", "/v1/completeness", "Which sequences and which times of a site the hub lacks", http.StatusNotFound), s.completeness)
}

func (s *server) ledger(ctx context.Context, in *ledgerQuery) (*ledgerAnswer, error) {
	q := store.LedgerQuery{Site: in.Site, Point: in.Point}
	for _, d := range []struct {
		name, value string
		into        *time.Time
	}{{"from", in.From, &q.From}, {"to", in.To, &q.To}} {
		if d.value == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, d.value)
		if err != nil || t.Before(earliest) || t.After(latest) {
			return nil, invalid(d.name, d.value, "want a day as 2026-01-31, from 1970 to 2200")
		}
		*d.into = t
	}
	var after store.LedgerAfter
	if err := decodeCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	if _, err := time.Parse(time.DateOnly, after.Day); after.Day != "" && err != nil {
		return nil, notOurs(in.Cursor)
	}
	t, err := s.store.LedgerTotals(ctx, org(ctx), q)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	rows, err := s.store.LedgerRows(ctx, org(ctx), q, after, in.Limit+1)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	rows, more := cut(rows, in.Limit)
	out := &ledgerAnswer{Ledger{Accounts: make([]Account, len(rows)), Totals: LedgerTotals{
		Accounts: t.Accounts, Differing: t.Differing, Underived: t.Underived, Resends: t.Resends,
		Balanced: t.Differing == 0 && t.Underived == 0 && t.Resends == 0, Sum: countsOf(t.LedgerCounts),
	}}}
	for i, r := range rows {
		out.Body.Accounts[i] = Account{
			Agent: r.Agent.String(), Epoch: r.Epoch, Site: r.Site, Point: r.Point, Register: r.Register, Day: r.Day.Format(time.DateOnly),
			Claimed: utc(r.ClaimedAt), Counts: countsOf(r.LedgerCounts),
		}
	}
	if more {
		out.Body.Next = encodeCursor(rows[len(rows)-1].After())
	}
	return out, nil
}

func (s *server) completeness(ctx context.Context, in *completenessQuery) (*completenessAnswer, error) {
	from, to, err := s.span(&intervalsQuery{From: in.From, To: in.To})
	if err != nil {
		return nil, err
	}
	if to.Sub(from) > completenessSpan {
		return nil, invalid("from", in.From, "want at most 400 days before to")
	}
	if _, err := s.store.SiteByName(ctx, org(ctx), in.Site); err != nil {
		return nil, s.fault(ctx, err, "no such site")
	}
	agents, err := s.store.Gaps(ctx, org(ctx), in.Site)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	points, err := s.store.MissingIntervals(ctx, org(ctx), in.Site, from, to, completenessLimit)
	if err != nil {
		return nil, s.fault(ctx, err, "")
	}
	out := &completenessAnswer{Completeness{
		Site: in.Site, From: from.UTC(), To: to.UTC(), Agents: make([]AgentGaps, len(agents)), Points: make([]PointGaps, len(points)),
	}}
	for i, a := range agents {
		g := AgentGaps{Agent: a.Agent.String(), Epoch: a.Epoch, Next: a.Next, Refused: a.Refused, Missing: []SequenceRange{}}
		for _, m := range a.Missing {
			g.Missing = append(g.Missing, SequenceRange(m))
		}
		out.Body.Agents[i] = g
	}
	for i, p := range points {
		g := PointGaps{Point: p.Point, Register: p.Register, Intervals: p.Intervals, Missing: []TimeRange{}}
		for _, m := range p.Missing {
			g.Missing = append(g.Missing, TimeRange(m))
		}
		out.Body.Points[i] = g
	}
	return out, nil
}
