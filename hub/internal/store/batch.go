package store

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// Bounds of what is stored. Readings beyond them are nonsense that would overflow sums and Postgres's calendar; agents
// quarantine them long before.
const (
	maxInstant = meter.Millis(7_258_118_400_000) // year 2200
	maxValue   = 1_000_000_000_000_000_000       // 10^15 Wh
	maxBlocks  = 100_000
)

// OverlapError refuses a batch that is held in part. It is ErrOverlap.
type OverlapError struct {
	Batch    wire.Range
	Received wire.Received
}

// Error implements error.
func (e *OverlapError) Error() string {
	return fmt.Sprintf("batch [%d,%d) is held in part: cursor %d, beyond it %v", e.Batch.First, e.Batch.End, e.Received.Cursor, e.Received.Beyond)
}

// Unwrap returns ErrOverlap.
func (e *OverlapError) Unwrap() error { return ErrOverlap }

// CommitBatch stores a batch and returns what is received with it; on return it is durable. A batch that is held already
// changes nothing, one that is held in part is refused with an *OverlapError, a series that is not declared with
// ErrUndeclared, and blocks that do not decode or do not add up with ErrCorrupt. The store does not keep the blocks.
func (s *Store) CommitBatch(ctx context.Context, org, agent uuid.UUID, epoch uint64, b wire.Batch) (wire.Received, error) {
	got, err := s.commitBatch(ctx, org, agent, epoch, b)
	if err != nil {
		return wire.Received{}, fmt.Errorf("commit batch [%d,%d): %w", b.First, b.First+b.Count, err)
	}
	return got, nil
}

func (s *Store) commitBatch(ctx context.Context, org, agent uuid.UUID, epoch uint64, b wire.Batch) (wire.Received, error) {
	sum, err := checkBatch(b)
	if err != nil {
		return wire.Received{}, err
	}
	series := make([]int64, len(b.Blocks))
	bodies := make([][]byte, len(b.Blocks))
	for i, x := range b.Blocks {
		series[i], bodies[i] = int64(x.Series), x.Chunk
	}
	slices.Sort(series)
	series = slices.Compact(series)

	var got pgtype.Multirange[pgtype.Range[int64]]
	var news bool
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		var site uuid.UUID
		var contained, overlaps bool
		registers := make(map[meter.SeriesID]uuid.UUID, len(series))
		ask := &pgx.Batch{}
		ask.Queue(`
			select a.site_id, e.received, e.received @> int8range($4, $5), e.received && int8range($4, $5)
			from agent_epoch e join agent a on a.org_id = e.org_id and a.agent_id = e.agent_id
			where e.org_id = $1 and e.agent_id = $2 and e.epoch = $3 for update of e`,
			org, agent, int64(epoch), int64(b.First), int64(b.First+b.Count)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&site, &got, &contained, &overlaps) })
		ask.Queue(`
			select series, register_id from agent_series where org_id = $1 and agent_id = $2 and epoch = $3 and series = any($4)`,
			org, agent, int64(epoch), series).
			Query(func(rows pgx.Rows) error {
				var n int64
				var id uuid.UUID
				_, err := pgx.ForEachRow(rows, []any{&n, &id}, func() error { registers[meter.SeriesID(n)] = id; return nil })
				return err
			})
		if err := tx.SendBatch(ctx, ask).Close(); err != nil {
			return notFound(err, "session of the agent's epoch")
		}
		if contained {
			return nil
		}
		if overlaps {
			return &OverlapError{b.Range(), received(got)}
		}
		ids := make([]uuid.UUID, len(b.Blocks))
		for i, x := range b.Blocks {
			id, ok := registers[x.Series]
			if !ok {
				return fmt.Errorf("series %d: %w", x.Series, ErrUndeclared)
			}
			ids[i] = id
		}

		write := &pgx.Batch{}
		write.Queue(`
			with next as (
				update site_arrival set arrived = arrived + 1, readings = readings + $8
				where org_id = $1 and site_id = $6 returning arrived)
			insert into batch (org_id, agent_id, epoch, first, count, site_id, arrival, readings, t_min, t_max, registers, bodies)
			select $1, $2, $3, $4, $5, $6, arrived, $7, $9, $10, $11, $12 from next`,
			org, agent, int64(epoch), int64(b.First), int64(b.Count), site, sum.readings, sum.readings, int64(sum.min), int64(sum.max), ids, bodies).
			Exec(func(tag pgconn.CommandTag) error {
				if tag.RowsAffected() != 1 {
					return fmt.Errorf("site %s: %w", site, ErrNotFound)
				}
				return nil
			})
		write.Queue(`
			update agent_epoch set received = received + int8multirange(int8range($4, $5)), refused = refused + $6
			where org_id = $1 and agent_id = $2 and epoch = $3 returning received`,
			org, agent, int64(epoch), int64(b.First), int64(b.First+b.Count), int64(b.Refused)).
			QueryRow(func(row pgx.Row) error { return row.Scan(&got) })
		news = true
		return tx.SendBatch(ctx, write).Close()
	})
	if err != nil {
		return wire.Received{}, err
	}
	if news {
		s.wake()
	}
	return received(got), nil
}

// summary is what a batch's blocks say.
type summary struct {
	readings int64
	min, max meter.Millis
}

// checkBatch decodes every block, so that nothing is stored which could not be read.
func checkBatch(b wire.Batch) (summary, error) {
	sum := summary{min: math.MaxInt64, max: math.MinInt64}
	if b.First == 0 || b.Count == 0 || b.First > math.MaxInt64-b.Count || b.Count > math.MaxInt64/2 {
		return sum, fmt.Errorf("%w: sequences [%d,+%d): want a range from 1 on", ErrCorrupt, b.First, b.Count)
	}
	if len(b.Blocks) > maxBlocks {
		return sum, fmt.Errorf("%w: %d blocks: want at most %d", ErrCorrupt, len(b.Blocks), maxBlocks)
	}
	if err := sum.add(b.Blocks); err != nil {
		return sum, err
	}
	if uint64(sum.readings)+b.Refused != b.Count {
		return sum, fmt.Errorf("%w: %d readings and %d refused: want %d together", ErrCorrupt, sum.readings, b.Refused, b.Count)
	}
	if sum.readings == 0 {
		sum.min, sum.max = 0, -1
	}
	return sum, nil
}

// add takes blocks into the summary, decoding every one of them.
func (sum *summary) add(blocks []wire.Block) error {
	var rs []meter.Reading
	for _, x := range blocks {
		var err error
		if rs, err = chunk.Decode(rs[:0], x.Chunk, x.Series); err != nil {
			return fmt.Errorf("%w: series %d: %w", ErrCorrupt, x.Series, err)
		}
		for _, r := range rs {
			if r.At < 0 || r.At > maxInstant || r.Value > maxValue || r.Value < -maxValue {
				return fmt.Errorf("%w: series %d: value %d at %d ms: want instants from 1970 to 2200 and values within ±10^18", ErrCorrupt, x.Series, r.Value, int64(r.At))
			}
			sum.min, sum.max = min(sum.min, r.At), max(sum.max, r.At)
		}
		sum.readings += int64(len(rs))
	}
	return nil
}

// wake tells the deriver of this process that something arrived. It never blocks.
func (s *Store) wake() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// Arrived receives a value after commits of this process. Commits of other replicas are found by polling.
func (s *Store) Arrived() <-chan struct{} { return s.arrived }
