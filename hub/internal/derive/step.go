package derive

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// derive takes the next batches of the site.
func (d *Deriver) derive(tx *store.SiteTx) error {
	batches, err := tx.Pending(d.o.StepMost)
	if err != nil || len(batches) == 0 {
		return err
	}
	registers, err := tx.Registers()
	if err != nil {
		return err
	}
	folds, err := tx.Folds()
	if err != nil {
		return err
	}
	p := store.Progress{Through: batches[len(batches)-1].Arrival, Accounts: map[store.AccountKey]*store.Account{}}
	incoming := map[uuid.UUID]*arrival{}
	for _, b := range batches {
		if b.Resend == (uuid.UUID{}) {
			p.Readings += b.Readings
		} else {
			p.Resent += b.Readings
		}
		if err := gather(incoming, b); err != nil {
			return err
		}
	}

	// Map order must not decide anything: streams and registers are worked off in a fixed order.
	streams := map[store.Stream][]store.RegisterInfo{}
	var order []store.Stream
	for id := range incoming {
		r, ok := registers[id]
		if !ok {
			return fmt.Errorf("register %s is not of this site", id)
		}
		if streams[r.Stream] == nil {
			order = append(order, r.Stream)
		}
		streams[r.Stream] = append(streams[r.Stream], r)
	}
	slices.SortFunc(order, func(a, b store.Stream) int {
		return cmp.Or(slices.Compare(a.Point[:], b.Point[:]), cmp.Compare(a.Register, b.Register))
	})
	for _, k := range order {
		fold, known := folds[k]
		s := stream{tx: tx, key: k, fold: fold, known: known, all: siblings(registers, k), fresh: map[uuid.UUID][]meter.Reading{}}
		slices.SortFunc(streams[k], func(a, b store.RegisterInfo) int { return cmp.Compare(a.Number, b.Number) })
		if err := s.prepare(streams[k], incoming); err != nil {
			return err
		}
		for _, r := range streams[k] {
			if err := s.take(r.ID, incoming[r.ID], &p); err != nil {
				return err
			}
		}
		if err := s.foldOn(); err != nil {
			return fmt.Errorf("point %s: %w", k.Point, err)
		}
		if err := d.fault("stream"); err != nil {
			return err
		}
	}
	return tx.Advance(p)
}

// siblings returns the registers of stream k, by number.
func siblings(all map[uuid.UUID]store.RegisterInfo, k store.Stream) []store.RegisterInfo {
	var out []store.RegisterInfo
	for _, r := range all {
		if r.Stream == k {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b store.RegisterInfo) int { return cmp.Compare(a.Number, b.Number) })
	return out
}

// arrival is what arrived for one register, in order of arrival.
type arrival struct {
	readings []meter.Reading
	ends     []int       // of each batch's readings in readings
	received []time.Time // of each batch
	from     []store.Source
}

// gather adds the readings of b to into.
func gather(into map[uuid.UUID]*arrival, b store.RawBatch) error {
	for i, id := range b.Registers {
		a := into[id]
		if a == nil {
			a = &arrival{}
			into[id] = a
		}
		var err error
		if a.readings, err = chunk.Decode(a.readings, b.Bodies[i], 0); err != nil {
			return fmt.Errorf("batch that arrived as number %d: %w", b.Arrival, err)
		}
		a.ends = append(a.ends, len(a.readings))
		a.received = append(a.received, b.ReceivedAt)
		a.from = append(a.from, b.Source)
	}
	return nil
}

// take finds which of the readings that arrived change what is held of a register, and counts the rest.
func (s *stream) take(register uuid.UUID, a *arrival, p *store.Progress) error {
	low, high := a.readings[0].At, a.readings[0].At
	inOrder := true // strictly ascending, as live readings are
	for i, r := range a.readings {
		low, high = min(low, r.At), max(high, r.At)
		inOrder = inOrder && (i == 0 || a.readings[i-1].At < r.At)
	}
	count := tally{into: p.Accounts, stream: s.key}
	isNew := !s.known || low > s.fold.Last
	if isNew && inOrder {
		batch := 0
		for i, r := range a.readings {
			for i >= a.ends[batch] {
				batch++
			}
			count.of(a.from[batch], r.At).Received++
		}
		s.fresh[register] = a.readings
		s.touch(low, high)
		return nil
	}

	held := map[meter.Millis]meter.Reading{}
	if !isNew {
		rs, err := s.tx.Held(register, low, high)
		if err != nil {
			return err
		}
		for _, r := range rs {
			held[r.At] = r
		}
	}
	changed := map[meter.Millis]meter.Reading{}
	batch := 0
	for i, r := range a.readings {
		for i >= a.ends[batch] {
			batch++
		}
		before, ok := held[r.At]
		account := count.of(a.from[batch], r.At)
		account.Received++
		switch {
		case ok && before == r:
			account.Duplicates++
			if a.from[batch].Resend == (uuid.UUID{}) { // what was asked for again is no surprise
				p.Duplicates++
			}
			continue
		case ok:
			account.Corrections++
			p.Corrections = append(p.Corrections, store.Correction{Register: register, Before: before, After: r, RecordedAt: a.received[batch]})
		}
		held[r.At], changed[r.At] = r, r
	}
	if len(changed) == 0 {
		return nil
	}
	rs := make([]meter.Reading, 0, len(changed))
	for _, r := range changed {
		rs = append(rs, r)
	}
	rs = store.Effective(rs)
	s.fresh[register] = rs
	s.touch(rs[0].At, rs[len(rs)-1].At)
	return nil
}
