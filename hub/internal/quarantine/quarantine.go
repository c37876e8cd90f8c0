// Package quarantine takes messages that an agent refused after all, because a person says so.
//
// It must not know SQL, nor how readings become intervals: released readings are committed as an agent's are, in a numbered batch
// of an epoch of its own that follows from the message's key, so that releasing a message twice, or again after a crash half-way,
// adds nothing. They are derived like any others, so what they touch is made anew.
//
// The hub knows no mappings: it reads Fluxora's own payload, and bare numbers. And a release here does not reach the agent's
// own history; where the agent runs, `fluxora-agent quarantine release` is the better place, and what it sends up is found
// to be held already if it was released here too.
package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Release says how a message is to be taken.
type Release struct {
	By, Why      string         // for the record; needed
	Point        string         // when not what its topic says
	Register     meter.Register // when not what its topic says
	At           meter.Millis   // of its first reading; the others keep their distances; 0 when they are right
	AcceptAbsurd bool           // take negative energy and values beyond 1 TWh or 1 TW
}

// ErrRefused says that a message cannot be taken so; the error has the reason.
var ErrRefused = errors.New("not released")

// absurd is beyond what any meter shows, in thousandths of the base unit.
const absurd = 1_000_000_000_000_000

// earliest is the start of 2020: what lies before was stamped by a clock that was not set.
const earliest meter.Millis = 1_577_836_800_000

// Do releases a message and returns how many readings it held.
func Do(ctx context.Context, s *store.Store, org uuid.UUID, k store.QuarantineKey, how Release) (readings int, err error) {
	row, err := s.QuarantineRow(ctx, org, k)
	if err != nil {
		return 0, err
	}
	if d := row.Decision; d != nil && d.How == "released" {
		return 0, fmt.Errorf("%w: it was released at %s by %s", ErrRefused, d.At.UTC(), d.By)
	}
	point, register, ps, err := decode(row, how)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	site, err := s.SiteByName(ctx, org, row.Site)
	if err != nil {
		return 0, err
	}
	agent, err := s.PutImporter(ctx, org, site.ID)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "quarantine %s %d %d", k.Agent, k.Epoch, k.ID))
	epoch := binary.BigEndian.Uint64(sum[:]) >> 1
	if _, err := s.OpenSession(ctx, org, agent, wire.Hello{Version: "quarantine", Epoch: epoch}); err != nil {
		return 0, err
	}
	series, b, err := batch(point, register.Name, ps)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := s.Declare(ctx, org, agent, epoch, series); err != nil {
		return 0, err
	}
	if _, err := s.CommitBatch(ctx, org, agent, epoch, b); err != nil {
		return 0, err
	}
	return len(ps), s.PutDecision(ctx, org, k, store.Decision{
		How: "released", By: how.By, Why: how.Why, Point: point, Register: string(register.Name), Readings: len(ps),
	})
}

// Drop decides that a message is of no use. It stays on record.
func Drop(ctx context.Context, s *store.Store, org uuid.UUID, k store.QuarantineKey, by, why string) error {
	if _, err := s.QuarantineRow(ctx, org, k); err != nil {
		return err
	}
	return s.PutDecision(ctx, org, k, store.Decision{How: "dropped", By: by, Why: why})
}

func decode(row store.QuarantineRow, how Release) (point string, register meter.RegisterInfo, ps []topic.Payload, err error) {
	_, point, name, err := topic.ParseReading(row.Topic)
	if err != nil {
		point, name = row.Point, ""
	}
	if how.Point != "" {
		point = how.Point
	}
	if how.Register != "" {
		name = how.Register
	}
	if err := meter.CheckName("point", point); err != nil {
		return "", register, nil, err
	}
	if register, err = meter.LookupRegister(string(name)); err != nil {
		return "", register, nil, err
	}
	if ps, err = topic.DecodeReadings(nil, row.Payload, register); err != nil {
		value, bad := topic.ParseDecimal(row.Payload, 3)
		if bad != nil {
			return "", register, nil, err
		}
		ps = []topic.Payload{{At: how.At, Value: value, Kind: register.Kind}}
	}
	if len(ps) == 0 {
		return "", register, nil, errors.New("it holds no reading")
	}
	first := slices.MinFunc(ps, func(a, b topic.Payload) int { return int(a.At - b.At) }).At
	for i := range ps {
		p := &ps[i]
		if how.At != 0 {
			p.At, p.Quality = p.At-first+how.At, max(p.Quality, meter.Edited)
		}
		switch {
		case p.At < earliest:
			return "", register, nil, fmt.Errorf("reading %d: instant %s: its clock was not set; say when it was taken", i+1, p.At)
		case how.AcceptAbsurd:
		case p.Value > absurd || p.Value < -absurd || p.Value < 0 && p.Kind != meter.Power:
			return "", register, nil, fmt.Errorf("reading %d: value %d, in thousandths of the base unit, is absurd", i+1, p.Value)
		}
	}
	return point, register, ps, nil
}

// batch packs readings, with the series they need.
func batch(point string, register meter.Register, ps []topic.Payload) ([]wire.Series, wire.Batch, error) {
	ids := map[meter.Series]meter.SeriesID{}
	of := map[meter.SeriesID][]meter.Reading{}
	var series []wire.Series
	for _, p := range ps {
		d := meter.Series{Point: point, Meter: p.Meter, Register: register, Kind: p.Kind, Modulus: p.Modulus}
		id, ok := ids[d]
		if !ok {
			id = meter.SeriesID(len(ids) + 1)
			ids[d], series = id, append(series, wire.Series{ID: id, Series: d})
		}
		of[id] = append(of[id], meter.Reading{Series: id, At: p.At, Value: p.Value, Quality: p.Quality})
	}
	b := wire.Batch{First: 1, Count: uint64(len(ps))}
	for _, id := range slices.Sorted(maps.Keys(of)) {
		body, err := chunk.Append(nil, of[id])
		if err != nil {
			return nil, b, err
		}
		b.Blocks = append(b.Blocks, wire.Block{Series: id, Chunk: body})
	}
	return series, b, nil
}
