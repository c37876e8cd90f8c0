package uplink_test

import (
	"fmt"

	"fluxora.dev/proto/wire"

	"fluxora.dev/agent/internal/store"
)

// agentStore is the agent's real store as the uplink sees it.
type agentStore struct {
	s           *store.Store
	Models      func() []wire.ModelState
	ModelsAcked func([]wire.ModelState)
	Live        func() []wire.LiveDay
	LiveAcked   func([]wire.LiveDay)
}

func fromStore(s *store.Store) *agentStore { return &agentStore{s: s} }

// Most of one report: together well below wire.MaxMessage.
const (
	reportForecasts   = 64
	reportQuarantined = 200
)

func (a *agentStore) Epoch() uint64 { return a.s.Epoch() }

func (a *agentStore) Next() uint64 { return a.s.Next() }

func (a *agentStore) Pending() uint64 { return a.s.Pending() }

func (a *agentStore) Changed() <-chan struct{} { return a.s.Changed() }

func (a *agentStore) Series() []wire.Series {
	var out []wire.Series
	for _, s := range a.s.Series() {
		out = append(out, wire.Series{ID: s.ID, Series: s.Series})
	}
	return out
}

func (a *agentStore) Unacked() []wire.Range {
	var out []wire.Range
	for _, r := range a.s.Unacked() {
		out = append(out, wire.Range(r))
	}
	return out
}

func (a *agentStore) ReadFrom(first uint64, most int) (wire.Batch, error) {
	b, err := a.s.ReadFrom(first, most)
	if err != nil {
		return wire.Batch{}, err
	}
	out := wire.Batch{First: b.First, Count: b.Count, Refused: b.Refused, Blocks: make([]wire.Block, len(b.Blocks))}
	for i, block := range b.Blocks {
		out.Blocks[i] = wire.Block(block)
	}
	return out, nil
}

func (a *agentStore) Ack(r wire.Range) error { return a.s.Ack(store.Range(r)) }

func (a *agentStore) SetAside(r wire.Range, why string) error {
	return a.s.SetAside(store.Range(r), why)
}

func (a *agentStore) SetReceived(r wire.Received) error {
	beyond := make([]store.Range, len(r.Beyond))
	for i, x := range r.Beyond {
		beyond[i] = store.Range(x)
	}
	return a.s.SetReceived(r.Cursor, beyond)
}

func (a *agentStore) NextReport() (wire.Report, error) {
	r := wire.Report{Forecasts: a.s.UnsentForecasts(reportForecasts)}
	if a.Models != nil {
		r.Models = a.Models()
	}
	if a.Live != nil {
		r.Live = a.Live()
	}
	qs, err := a.s.UnsentQuarantine(reportQuarantined)
	if err != nil {
		return wire.Report{}, fmt.Errorf("read the quarantine: %w", err)
	}
	for _, q := range qs {
		r.Quarantined = append(r.Quarantined, wire.Quarantined(q))
	}
	return r, nil
}

func (a *agentStore) ReportAcked(r wire.Report) error {
	a.s.AckForecasts(r.Forecasts)
	if n := len(r.Quarantined); n > 0 {
		a.s.AckQuarantine(r.Quarantined[n-1].ID)
	}
	if a.ModelsAcked != nil && len(r.Models) > 0 {
		a.ModelsAcked(r.Models)
	}
	if a.LiveAcked != nil && len(r.Live) > 0 {
		a.LiveAcked(r.Live)
	}
	return nil
}
