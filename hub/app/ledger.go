package app

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
)

// Account is what became of an agent's readings of a register of a point on a day.
type Account = store.LedgerRow

// AccountTotals sums accounts.
type AccountTotals = store.LedgerTotals

// Accounts returns the accounts of a site, all of them, and their sums. Empty fields leave the point and the days open.
func (a *Admin) Accounts(ctx context.Context, site, point string, from, to time.Time) (rows []Account, t AccountTotals, err error) {
	if _, err := a.b.store.SiteByName(ctx, a.b.org, site); err != nil {
		return nil, t, fmt.Errorf("site %s: %w", site, err)
	}
	q := store.LedgerQuery{Site: site, Point: point, From: from, To: to}
	if t, err = a.b.store.LedgerTotals(ctx, a.b.org, q); err != nil {
		return nil, t, err
	}
	var after store.LedgerAfter
	for {
		page, err := a.b.store.LedgerRows(ctx, a.b.org, q, after, 1000)
		if err != nil {
			return nil, t, err
		}
		rows = append(rows, page...)
		if len(page) < 1000 {
			return rows, t, nil
		}
		after = page[len(page)-1].After()
	}
}

// Gaps is what of a site is missing.
type Gaps struct {
	Agents []store.AgentGaps `json:"agents"`
	Points []store.PointGaps `json:"points"`
}

// Completeness returns which sequences of a site's agents and which times within [from, to) are missing.
func (a *Admin) Completeness(ctx context.Context, site string, from, to time.Time) (g Gaps, err error) {
	if _, err = a.b.store.SiteByName(ctx, a.b.org, site); err != nil {
		return g, fmt.Errorf("site %s: %w", site, err)
	}
	if g.Agents, err = a.b.store.Gaps(ctx, a.b.org, site); err != nil {
		return g, err
	}
	g.Points, err = a.b.store.MissingIntervals(ctx, a.b.org, site, from, to, 10_000)
	return g, err
}

// Resend is a stretch of time that an agent was asked to send again.
type Resend = store.Resend

// Resync asks the agents of a site to send a point's readings within [from, to) again, and tells progress until all of it is stored
// and derived. The request lasts: when ctx ends, the running hub goes on with it. An empty register means all.
func (a *Admin) Resync(ctx context.Context, site, point string, register meter.Register, from, to time.Time, progress func([]Resend)) ([]Resend, error) {
	ids, err := a.b.store.PutResend(ctx, a.b.org, site, point, register, meter.MillisOf(from), meter.MillisOf(to))
	if err != nil {
		return nil, err
	}
	return a.followResends(ctx, ids, progress)
}

func (a *Admin) followResends(ctx context.Context, ids []uuid.UUID, progress func([]Resend)) ([]Resend, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		rs, err := a.b.store.Resends(ctx, a.b.org, ids, len(ids))
		if err != nil {
			return nil, err
		}
		done := true
		for _, r := range rs {
			done = done && r.Done
		}
		progress(rs)
		if done {
			return rs, nil
		}
		select {
		case <-ctx.Done():
			return rs, fmt.Errorf("the request stays open: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}
