package importer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// batchReadings is how many readings a batch has. It is part of how a file is cut into sequences, so it enters the epoch.
const batchReadings = 10_000

// Options tell Import what the table means.
type Options struct {
	Register meter.Register                     // energy-import when empty
	Progress func(meters, of int, readings int) // called after each meter; may be nil
}

// Report says what an import did.
type Report struct {
	Points   int
	Readings int // committed now or by an earlier import of the same file
}

// Import commits the rows of t to the site, a point for each meter. Importing the same table again adds nothing.
func Import(ctx context.Context, s *store.Store, org uuid.UUID, site store.Site, t *Table, o Options) (Report, error) {
	var rep Report
	if o.Register == "" {
		o.Register = meter.EnergyImport
	}
	if t.Resolution > site.Resolution || site.Resolution%t.Resolution != 0 {
		return rep, fmt.Errorf("import: the table's resolution is %s, the site's %s: want one that divides it", t.Resolution, site.Resolution)
	}
	agent, err := s.PutImporter(ctx, org, site.ID)
	if err != nil {
		return rep, fmt.Errorf("import: %w", err)
	}
	how := sha256.Sum256(fmt.Appendf(t.Digest[:], "1 %s %d", o.Register, batchReadings))
	epoch := binary.BigEndian.Uint64(how[:])
	if _, err := s.OpenSession(ctx, org, agent, wire.Hello{Version: "import", Epoch: epoch}); err != nil {
		return rep, fmt.Errorf("import: %w", err)
	}
	next := uint64(1)
	for i, m := range t.Meters {
		var series []wire.Series
		for n := range 2 {
			series = append(series, wire.Series{ID: meter.SeriesID(2*i + n + 1), Series: meter.Series{
				Point: m.Name, Meter: fmt.Sprintf("table-%s-%c", strings.ToLower(t.Resolution.String()), 'a'+n), Register: o.Register, Kind: meter.Energy,
			}})
		}
		if err := s.Declare(ctx, org, agent, epoch, series); err != nil {
			return rep, fmt.Errorf("import meter %s: %w", m.Name, err)
		}
		rs := readings(m.Rows, meter.Millis(t.Resolution.Milliseconds()), series[0].ID)
		for len(rs) > 0 {
			part := rs[:min(len(rs), batchReadings)]
			rs = rs[len(part):]
			b := wire.Batch{First: next, Count: uint64(len(part))}
			for _, x := range series {
				var own []meter.Reading
				for _, r := range part {
					if r.Series == x.ID {
						own = append(own, r)
					}
				}
				if len(own) == 0 {
					continue
				}
				body, err := chunk.Append(nil, own)
				if err != nil {
					return rep, fmt.Errorf("import meter %s: %w", m.Name, err)
				}
				b.Blocks = append(b.Blocks, wire.Block{Series: x.ID, Chunk: body})
			}
			if _, err := s.CommitBatch(ctx, org, agent, epoch, b); err != nil {
				return rep, fmt.Errorf("import meter %s: %w", m.Name, err)
			}
			next += b.Count
			rep.Readings += len(part)
		}
		rep.Points++
		if o.Progress != nil {
			o.Progress(i+1, len(t.Meters), rep.Readings)
		}
	}
	return rep, nil
}

// readings returns the energy of rows at their ends. A stretch of rows that follow on one another begins with a zero at its
// start and is of series a or a+1 by turns.
func readings(rows []Row, resolution meter.Millis, a meter.SeriesID) []meter.Reading {
	out := make([]meter.Reading, 0, len(rows)+16)
	series := a + 1
	for i, r := range rows {
		if i+1 < len(rows) && rows[i+1].Start == r.Start {
			continue // the later row counts
		}
		if n := len(out); n == 0 || out[n-1].At < r.Start {
			series = 2*a + 1 - series
			out = append(out, meter.Reading{Series: series, At: r.Start})
		}
		out = append(out, meter.Reading{Series: series, At: r.Start + resolution, Value: r.Energy})
	}
	return out
}
