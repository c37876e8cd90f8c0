package uplink

import (
	"fmt"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// newest is the newest instant of each series in a backlog.
type newest map[meter.SeriesID]meter.Millis

// corrects reports whether b may hold another value of an instant in the backlog.
func (n newest) corrects(b wire.Batch) bool {
	for _, x := range b.Blocks {
		last, ok := n[x.Series]
		if !ok {
			continue
		}
		rs, _ := chunk.Decode(nil, x.Chunk, x.Series) // what cannot be read corrects nothing
		for _, r := range rs {
			if r.At <= last {
				return true
			}
		}
	}
	return false
}

// passed returns the newest instants in what is left below the sequence live.
func (s *sender) passed(left []wire.Range, live uint64) (newest, error) {
	n := make(newest)
	var rs []meter.Reading
	for _, r := range left {
		end := min(r.End, live)
		for at := r.First; at < end; {
			b, err := s.store.ReadFrom(at, int(min(uint64(s.batch), end-at)))
			if err != nil {
				return nil, fmt.Errorf("read batch from %d: %w", at, err)
			}
			if b.Count == 0 || b.First+b.Count <= at {
				break // acked or trimmed meanwhile
			}
			for _, x := range b.Blocks {
				rs, _ = chunk.Decode(rs[:0], x.Chunk, x.Series)
				for _, r := range rs {
					if last, ok := n[x.Series]; !ok || r.At > last {
						n[x.Series] = r.At
					}
				}
			}
			at = b.First + b.Count
		}
	}
	return n, nil
}

// oneLane gives up the live lane because of the batch b in it, and returns the first of what is left.
func (s *sender) oneLane(left []wire.Range, b wire.Batch) (wire.Batch, bool, error) {
	s.live, s.newest, s.barrier = 0, nil, b.First+b.Count
	return s.read(left[0], left[0].First)
}
