package uplink

import (
	"fmt"

	"fluxora.dev/proto/wire"

	"fluxora.dev/agent/internal/store"
)

// AgentStore is the agent's store as the uplink sees it: a Store and an Outbox.
type AgentStore struct {
	s *store.Store
	// Models returns what became of announced models and was not reported yet, and ModelsAcked notes that it was; both may be
	// nil.
	Models      func() []wire.ModelState
	ModelsAcked func([]wire.ModelState)
}

// FromStore returns s as the uplink sees it.
func FromStore(s *store.Store) *AgentStore { return &AgentStore{s: s} }

// Most of one report: together well below wire.MaxMessage.
const (
	reportForecasts   = 64
	reportQuarantined = 200
)

// Epoch implements Store.
func (a *AgentStore) Epoch() uint64 { return a.s.Epoch() }

// Next implements Store.
func (a *AgentStore) Next() uint64 { return a.s.Next() }

// Pending implements Store.
func (a *AgentStore) Pending() uint64 { return a.s.Pending() }

// Changed implements Store.
func (a *AgentStore) Changed() <-chan struct{} { return a.s.Changed() }

// Series implements Store.
func (a *AgentStore) Series() []wire.Series {
	var out []wire.Series
	for _, s := range a.s.Series() {
		out = append(out, wire.Series(s))
	}
	return out
}

// Unacked implements Store.
func (a *AgentStore) Unacked() []wire.Range {
	var out []wire.Range
	for _, r := range a.s.Unacked() {
		out = append(out, wire.Range(r))
	}
	return out
}

// ReadFrom implements Store.
func (a *AgentStore) ReadFrom(first uint64, most int) (wire.Batch, error) {
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

// Ack implements Store.
func (a *AgentStore) Ack(r wire.Range) error { return a.s.Ack(store.Range(r)) }

// SetReceived implements Store.
func (a *AgentStore) SetReceived(r wire.Received) error {
	beyond := make([]store.Range, len(r.Beyond))
	for i, x := range r.Beyond {
		beyond[i] = store.Range(x)
	}
	return a.s.SetReceived(r.Cursor, beyond)
}

// NextReport implements Outbox.
func (a *AgentStore) NextReport() (wire.Report, error) {
	r := wire.Report{Forecasts: a.s.UnsentForecasts(reportForecasts)}
	if a.Models != nil {
		r.Models = a.Models()
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

// ReportAcked implements Outbox.
func (a *AgentStore) ReportAcked(r wire.Report) error {
	a.s.AckForecasts(r.Forecasts)
	if n := len(r.Quarantined); n > 0 {
		a.s.AckQuarantine(r.Quarantined[n-1].ID)
	}
	if a.ModelsAcked != nil && len(r.Models) > 0 {
		a.ModelsAcked(r.Models)
	}
	return nil
}
