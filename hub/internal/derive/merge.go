package derive

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/meter"
)

// merge moves derived batches of the site into chunks.
func (d *Deriver) merge(tx *store.SiteTx) error {
	batches, err := tx.Unmerged(5 * d.o.StepMost)
	if err != nil {
		return err
	}
	if len(batches) == 0 { // somebody deleted them
		return tx.MergedAll()
	}
	arrived := map[uuid.UUID]*arrival{}
	readings := int64(0)
	for _, b := range batches {
		readings += b.Readings
		if err := gather(arrived, b); err != nil {
			return err
		}
	}
	for id, a := range arrived {
		if err := d.mergeRegister(tx, id, a); err != nil {
			return err
		}
		if err := d.fault("register"); err != nil {
			return err
		}
	}
	return tx.Merged(batches[len(batches)-1].Arrival, readings)
}

// mergeRegister merges what arrived for one register. Each reading goes to the chunk in whose time it falls, so that a late
// one costs a chunk or two and not all chunks between it and now.
func (d *Deriver) mergeRegister(tx *store.SiteTx, id uuid.UUID, a *arrival) error {
	receivedFirst, receivedEnd := a.received[0], a.received[len(a.received)-1]
	rs := store.Effective(a.readings)
	heads, tail, err := tx.Chunks(id, rs[0].At, rs[len(rs)-1].At)
	if err != nil {
		return err
	}
	if len(heads) == 0 {
		return d.put(tx, id, rs, tail, receivedFirst, receivedEnd)
	}
	for i, h := range heads {
		n := len(rs)
		last := i == len(heads)-1
		if !last {
			n, _ = slices.BinarySearchFunc(rs, heads[i+1].First, func(r meter.Reading, m meter.Millis) int { return int(min(max(r.At-m, -1), 1)) })
		}
		mine := rs[:n]
		rs = rs[n:]
		isTail := tail && last
		if len(mine) == 0 {
			continue
		}
		if h.N >= d.o.ChunkMost && mine[0].At > h.Last && isTail { // full: go on in a new one
			if err := d.put(tx, id, mine, isTail, receivedFirst, receivedEnd); err != nil {
				return err
			}
			continue
		}
		held, err := tx.TakeChunk(id, h.First)
		if err != nil {
			return err
		}
		both := store.Effective(append(held, mine...))
		if err := d.put(tx, id, both, isTail, earlier(h.ReceivedFirst, receivedFirst), later(h.ReceivedEnd, receivedEnd)); err != nil {
			return err
		}
	}
	return nil
}

// put stores readings in as few chunks as they need: full ones and a rest at the register's end, where more will come, and
// equal ones elsewhere.
func (d *Deriver) put(tx *store.SiteTx, id uuid.UUID, rs []meter.Reading, tail bool, receivedFirst, receivedEnd time.Time) error {
	size := d.o.ChunkMost
	if pieces := (len(rs) + size - 1) / size; !tail && pieces > 1 {
		size = (len(rs) + pieces - 1) / pieces
	}
	for piece := range slices.Chunk(rs, size) {
		if err := tx.PutChunk(id, piece, receivedFirst, receivedEnd); err != nil {
			return err
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
