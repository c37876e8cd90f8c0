package app

import (
	"context"
	"slices"

	"fluxora.dev/agent/internal/artifact"
	"fluxora.dev/agent/internal/identity"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/agent/internal/uplink"
	"fluxora.dev/agent/internal/watch"
	"fluxora.dev/proto/wire"
)

// uplinkStore shows the store to the uplink, in the uplink's types.
type uplinkStore struct {
	*store.Store
	config  Config
	lineage *identity.Lineage
}

var _ uplink.Store = uplinkStore{}

// Epoch implements uplink.Store.
func (s uplinkStore) Epoch() uint64 { return s.lineage.Epoch(s.Store.Epoch()) }

// Series implements uplink.Store.
func (s uplinkStore) Series() []wire.Series {
	registered := s.Store.Series()
	out := make([]wire.Series, len(registered))
	for i, r := range registered {
		out[i] = wire.Series{ID: r.ID, Series: r.Series, MaxWatts: s.config.PointOf(r.Point).MaxWatts}
	}
	return out
}

// Unacked implements uplink.Store.
func (s uplinkStore) Unacked() []wire.Range {
	unacked := s.Store.Unacked()
	out := make([]wire.Range, len(unacked))
	for i, r := range unacked {
		out[i] = wire.Range(r)
	}
	return out
}

// ReadFrom implements uplink.Store.
func (s uplinkStore) ReadFrom(first uint64, most int) (wire.Batch, error) {
	b, err := s.Store.ReadFrom(first, most)
	out := wire.Batch{First: b.First, Count: b.Count, Refused: b.Refused, Blocks: make([]wire.Block, len(b.Blocks))}
	for i, block := range b.Blocks {
		out.Blocks[i] = wire.Block(block)
	}
	return out, err
}

// Ack implements uplink.Store.
func (s uplinkStore) Ack(r wire.Range) error { return s.Store.Ack(store.Range(r)) }

// SetAside implements uplink.Store.
func (s uplinkStore) SetAside(r wire.Range, why string) error {
	return s.Store.SetAside(store.Range(r), why)
}

// SetReceived implements uplink.Store.
func (s uplinkStore) SetReceived(r wire.Received) error {
	beyond := make([]store.Range, len(r.Beyond))
	for i, b := range r.Beyond {
		beyond[i] = store.Range(b)
	}
	return s.Store.SetReceived(r.Cursor, beyond)
}

// outbox collects what the hub is told beside readings.
type outbox struct {
	store  *store.Store
	models *artifact.Cache
	watch  *watch.Watch
}

var _ uplink.Outbox = outbox{}

// Most forecasts, quarantined messages and days of live errors in one report; a quarantined message has up to 4 KiB.
const (
	reportForecasts   = 50
	reportQuarantined = 100
	reportDays        = 200
)

// NextReport implements uplink.Outbox.
func (o outbox) NextReport() (wire.Report, error) {
	quarantined, err := o.store.UnsentQuarantine(reportQuarantined)
	if err != nil {
		return wire.Report{}, err
	}
	r := wire.Report{Forecasts: o.store.UnsentForecasts(reportForecasts), Models: o.models.States()}
	for _, q := range quarantined {
		r.Quarantined = append(r.Quarantined, wire.Quarantined(q))
	}
	for _, d := range o.watch.Untold(reportDays) {
		r.Live = append(r.Live, wire.LiveDay(d))
	}
	return r, nil
}

// ReportAcked implements uplink.Outbox.
func (o outbox) ReportAcked(r wire.Report) error {
	o.store.AckForecasts(r.Forecasts)
	if len(r.Quarantined) > 0 {
		last := slices.MaxFunc(r.Quarantined, func(a, b wire.Quarantined) int { return int(a.ID) - int(b.ID) })
		o.store.AckQuarantine(last.ID)
	}
	o.models.Reported(r.Models)
	told := make([]watch.Day, len(r.Live))
	for i, d := range r.Live {
		told[i] = watch.Day(d)
	}
	o.watch.Told(told)
	return nil
}

// fetcher downloads artifacts over the uplink.
type fetcher struct{ *uplink.Client }

var _ artifact.Fetcher = fetcher{}

// Artifact implements artifact.Fetcher.
func (f fetcher) Artifact(ctx context.Context, id string, offset uint64, fn func([]byte) error) error {
	return f.Client.Artifact(ctx, id, offset, fn)
}
