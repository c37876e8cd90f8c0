package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// Readings is what sending again sees of the store.
type Readings interface {
	Series() []store.RegisteredSeries
	Span(id meter.SeriesID) (from, to meter.Millis, ok bool)
	Scan(id meter.SeriesID, from, to meter.Millis, fn func(meter.Reading) error) error
}

// maxPart is how many readings one part holds at most, if they are at least a second apart.
const maxPart = 20_000

// Part returns the first part of what r asks for: all that the log holds from r.From to the end of a day, or less when that would be
// too much. Where the log holds nothing, the part reaches on to where it does.
func Part(log Readings, r wire.Resend) (wire.Resent, error) {
	ids := log.Series()
	ids = slices.DeleteFunc(ids, func(s store.RegisteredSeries) bool {
		return s.Point != r.Point || r.Register != "" && s.Register != r.Register
	})
	part := wire.Resent{ID: r.ID, From: r.From, To: r.To, Done: true}
	low := r.To
	for _, s := range ids {
		if from, to, ok := log.Span(s.ID); ok && to >= r.From {
			low = min(low, max(from, r.From))
		}
	}
	if low >= r.To {
		return part, nil
	}
	high := min(low.Floor(24*time.Hour).Add(24*time.Hour), r.To)
	for {
		part.To, part.Done = high, high >= r.To
		part.Held, part.Blocks = 0, nil
		sent := 0
		for _, s := range ids {
			var rs []meter.Reading
			err := log.Scan(s.ID, low, high, func(x meter.Reading) error { rs = append(rs, x); return nil })
			if err != nil {
				return part, fmt.Errorf("read %s/%s again: %w", s.Point, s.Register, err)
			}
			part.Held += uint64(len(rs))
			if rs = effective(rs); len(rs) == 0 {
				continue
			}
			if sent += len(rs); sent > maxPart && high-low > 1000 {
				break
			}
			b, err := chunk.Append(nil, rs)
			if err != nil {
				return part, fmt.Errorf("read %s/%s again: %w", s.Point, s.Register, err)
			}
			part.Blocks = append(part.Blocks, wire.Block{Series: s.ID, Chunk: b})
		}
		if sent <= maxPart || high-low <= 1000 {
			return part, nil
		}
		high = low + (high-low)/2
	}
}

// effective sorts readings, given in order of arrival, by time and keeps the last of each instant, which corrects the others.
func effective(rs []meter.Reading) []meter.Reading {
	slices.SortStableFunc(rs, func(a, b meter.Reading) int { return cmp.Compare(a.At, b.At) })
	kept := rs[:0]
	for i, r := range rs {
		if i+1 == len(rs) || rs[i+1].At != r.At {
			kept = append(kept, r)
		}
	}
	return kept
}
