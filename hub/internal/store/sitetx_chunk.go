package store

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

// Held returns the effective readings of a register within [from, to], in time order, as far as they are derived.
func (t *SiteTx) Held(register uuid.UUID, from, to meter.Millis) ([]meter.Reading, error) {
	var out []meter.Reading
	rows, err := t.tx.Query(t.ctx, `
		select body from chunk where org_id = $1 and register_id = $2 and t_min <= $4 and t_max >= $3 order by t_min`,
		t.Org, register, int64(from), int64(to))
	if err != nil {
		return nil, fmt.Errorf("read chunks: %w", err)
	}
	var body []byte
	decode := func() (err error) {
		out, err = chunk.Decode(out, body, 0)
		return err
	}
	if _, err := pgx.ForEachRow(rows, []any{&body}, decode); err != nil {
		return nil, fmt.Errorf("read chunks: %w", err)
	}
	rows, err = t.tx.Query(t.ctx, `
		select x.body from batch b, unnest(b.registers, b.bodies) with ordinality as x(register_id, body, block)
		where b.org_id = $1 and b.site_id = $2 and b.arrival <= $6 and b.t_min <= $5 and b.t_max >= $4 and x.register_id = $3
		order by b.arrival, x.block`, t.Org, t.Site, register, int64(from), int64(to), t.derived)
	if err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	if _, err := pgx.ForEachRow(rows, []any{&body}, decode); err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	out = slices.DeleteFunc(out, func(r meter.Reading) bool { return r.At < from || r.At > to })
	return Effective(out), nil
}

// Extent returns the first and last instant held of a register, as far as it is derived.
func (t *SiteTx) Extent(register uuid.UUID) (first, last meter.Millis, ok bool, err error) {
	var low, high *int64
	err = t.tx.QueryRow(t.ctx, `
		select min(t_min), max(t_max) from (
			select t_min, t_max from chunk where org_id = $1 and register_id = $3
			union all
			select t_min, t_max from batch where org_id = $1 and site_id = $2 and arrival <= $4 and $3 = any(registers)) h`,
		t.Org, t.Site, register, t.derived).Scan(&low, &high)
	if err != nil {
		return 0, 0, false, fmt.Errorf("extent of register %s: %w", register, err)
	}
	if low == nil {
		return 0, 0, false, nil
	}
	return meter.Millis(*low), meter.Millis(*high), true, nil
}

// Effective sorts readings, given in order of arrival, by time, and keeps the last one of every instant. It works in place.
func Effective(rs []meter.Reading) []meter.Reading {
	slices.SortStableFunc(rs, func(a, b meter.Reading) int { return cmp.Compare(a.At, b.At) })
	out := rs[:0]
	for i, r := range rs {
		if i+1 < len(rs) && rs[i+1].At == r.At {
			continue
		}
		out = append(out, r)
	}
	return out
}

// ChunkHead is a chunk without its readings.
type ChunkHead struct {
	First, Last                meter.Millis
	N                          int
	ReceivedFirst, ReceivedEnd time.Time // arrival of its earliest and its latest batch
}

// Chunks returns the heads of the register's chunks that readings within [from, to] belong to, in time order, and whether
// the last of them is the register's last. A chunk reaches up to the start of the next one.
func (t *SiteTx) Chunks(register uuid.UUID, from, to meter.Millis) (heads []ChunkHead, tail bool, err error) {
	rows, err := t.tx.Query(t.ctx, `
		select t_min, t_max, n, received_from, received_to from chunk
		where org_id = $1 and register_id = $2 and t_min <= $4
		  and t_min >= coalesce((select max(t_min) from chunk where org_id = $1 and register_id = $2 and t_min <= $3), $3)
		order by t_min`, t.Org, register, int64(from), int64(to))
	if err != nil {
		return nil, false, fmt.Errorf("read chunks: %w", err)
	}
	if heads, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ChunkHead]); err != nil {
		return nil, false, fmt.Errorf("read chunks: %w", err)
	}
	err = t.tx.QueryRow(t.ctx, `select not exists (select from chunk where org_id = $1 and register_id = $2 and t_min > $3)`,
		t.Org, register, int64(to)).Scan(&tail)
	if err != nil {
		return nil, false, fmt.Errorf("read chunks: %w", err)
	}
	return heads, tail, nil
}

// TakeChunk removes a chunk and returns its readings.
func (t *SiteTx) TakeChunk(register uuid.UUID, first meter.Millis) ([]meter.Reading, error) {
	var body []byte
	err := t.tx.QueryRow(t.ctx, `delete from chunk where org_id = $1 and register_id = $2 and t_min = $3 returning body`,
		t.Org, register, int64(first)).Scan(&body)
	if err != nil {
		return nil, notFound(err, "chunk")
	}
	return chunk.Decode(nil, body, 0)
}

// PutChunk stores readings, which must be in time order, as one chunk.
func (t *SiteTx) PutChunk(register uuid.UUID, rs []meter.Reading, receivedFirst, receivedEnd time.Time) error {
	body, err := chunk.Append(nil, rs)
	if err != nil {
		return err
	}
	_, err = t.tx.Exec(t.ctx, `
		insert into chunk (org_id, register_id, t_min, t_max, n, received_from, received_to, body) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.Org, register, int64(rs[0].At), int64(rs[len(rs)-1].At), len(rs), receivedFirst, receivedEnd, body)
	if err != nil {
		return fmt.Errorf("put chunk: %w", err)
	}
	return nil
}

// MergedAll notes that no derived batch is left to merge.
func (t *SiteTx) MergedAll() error { return t.Merged(t.derived, t.unmerged) }

// Merged removes the batches up to arrival through, which hold so many readings and are now in chunks.
func (t *SiteTx) Merged(through, readings int64) error {
	if through > t.derived {
		return fmt.Errorf("merge up to arrival %d: only %d are derived", through, t.derived)
	}
	_, err := t.tx.Exec(t.ctx, `delete from batch where org_id = $1 and site_id = $2 and arrival > $3 and arrival <= $4`, t.Org, t.Site, t.merged, through)
	if err != nil {
		return fmt.Errorf("remove merged batches: %w", err)
	}
	_, err = t.tx.Exec(t.ctx, `
		update site_derived set merged = $3, unmerged = unmerged - $4,
			merged_at = case when derived = $3 then clock_timestamp() else merged_at end
		where org_id = $1 and site_id = $2`, t.Org, t.Site, through, readings)
	if err != nil {
		return fmt.Errorf("note merged batches: %w", err)
	}
	t.merged = through
	t.unmerged -= readings
	return nil
}
