package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/meter"
)

// Due says when a site's batches are worth deriving and merging.
type Due struct {
	Readings      int64         // derive when so many readings wait …
	Delay         time.Duration // … or when the last time is so long ago
	MergeReadings int64         // merge when so many readings are derived but not merged …
	MergeAge      time.Duration // … or when the last time is so long ago
}

// SiteTx is the transaction that derives from one site's batches. While it is open no other worker has the site, on this
// hub or on another. Everything it writes becomes visible together, with the count of what was derived.
type SiteTx struct {
	Org, Site  uuid.UUID
	Zone       string        // of the site now
	Resolution time.Duration // of the site now
	Changed    bool          // intervals and rollups were made with another zone or resolution
	Waiting    bool          // there are batches to derive

	ctx             context.Context
	tx              pgx.Tx
	derived, merged int64 // arrivals
	unmerged        int64 // readings
	mergedAgo       time.Duration
}

// DeriveSite takes the site that waits longest among those that are due and not in another worker's hands, and runs fn with it.
// It returns false when there is none. When fn fails with an error that will not go away by itself, the site is left
// alone for a while, so that it cannot hold up the others.
func (s *Store) DeriveSite(ctx context.Context, due Due, fn func(*SiteTx) error) (bool, error) {
	var t SiteTx
	found := false
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var ms int64
		t = SiteTx{ctx: ctx, tx: tx}
		err := tx.QueryRow(ctx, `
			select d.org_id, d.site_id, s.zone, s.resolution_ms, s.zone <> d.zone or s.resolution_ms <> d.resolution_ms,
			       a.arrived > d.derived, d.derived, d.merged, d.unmerged, clock_timestamp() - d.merged_at
			from site_derived d
			join site_arrival a on a.org_id = d.org_id and a.site_id = d.site_id
			join site s on s.org_id = d.org_id and s.site_id = d.site_id
			where (a.arrived > d.derived and (a.readings - d.readings >= $1 or d.derived_at <= clock_timestamp() - $2::interval)
			       or d.merged < d.derived and (d.unmerged >= $3 or d.merged_at <= clock_timestamp() - $4::interval)
			       or s.zone <> d.zone or s.resolution_ms <> d.resolution_ms)
			  and (d.failures = 0 or d.failed_at <= clock_timestamp() - interval '1 second' * least(600, 2 ^ least(d.failures, 12)))
			order by d.derived_at limit 1 for update of d skip locked`,
			due.Readings, due.Delay, due.MergeReadings, due.MergeAge).
			Scan(&t.Org, &t.Site, &t.Zone, &ms, &t.Changed, &t.Waiting, &t.derived, &t.merged, &t.unmerged, &t.mergedAgo)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		t.Resolution = time.Duration(ms) * time.Millisecond
		return fn(&t)
	})
	if err == nil {
		return found, nil
	}
	err = fmt.Errorf("derive site %s: %w", t.Site, err)
	if found && !Retry(err) && ctx.Err() == nil {
		_, failed := s.db.Exec(ctx, `
			update site_derived set failures = failures + 1, failed_at = clock_timestamp(), failure = $3 where org_id = $1 and site_id = $2`,
			t.Org, t.Site, text(err.Error()))
		err = errors.Join(err, failed)
	}
	return found, err
}

// Underived returns how many sites have batches that are not derived or not merged, whoever works on them. Sites whose last step
// failed do not count.
func (s *Store) Underived(ctx context.Context) (int, error) {
	var n int
	err := s.db.QueryRow(ctx, `
		select count(*) from site_derived d
		join site_arrival a on a.org_id = d.org_id and a.site_id = d.site_id
		where d.failures = 0 and (a.arrived > d.derived or d.merged < d.derived)`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count underived sites: %w", err)
	}
	return n, nil
}

// MergeDue reports whether derived batches are worth merging.
func (t *SiteTx) MergeDue(due Due) bool {
	return t.merged < t.derived && (t.unmerged >= due.MergeReadings || t.mergedAgo >= due.MergeAge)
}

// RegisterInfo is a register of one physical meter.
type RegisterInfo struct {
	ID       uuid.UUID
	Stream   Stream
	Kind     meter.Kind
	Modulus  int64
	Number   uint32  // of the registers of its point
	MaxWatts float64 // the most that the point's connection can carry; 0 when unknown
}

// Stream is a register of a point, over all its meters: what intervals are made of.
type Stream struct {
	Point    uuid.UUID
	Register meter.Register
}

// RawBatch is a batch as it arrived.
type RawBatch struct {
	Arrival    int64
	ReceivedAt time.Time
	Readings   int64
	Registers  []uuid.UUID // of Bodies
	Bodies     [][]byte
	Source
}

// Pending returns the batches that come next, in order of arrival: at least one, if there is one, and no more once they hold
// most readings.
func (t *SiteTx) Pending(most int64) ([]RawBatch, error) {
	return t.batches(t.derived, 1<<62, most)
}

// Unmerged returns the batches that are derived and not merged, in order of arrival, as far as Pending does.
func (t *SiteTx) Unmerged(most int64) ([]RawBatch, error) {
	return t.batches(t.merged, t.derived, most)
}

func (t *SiteTx) batches(after, last, most int64) ([]RawBatch, error) {
	rows, err := t.tx.Query(t.ctx, `
		select b.arrival, b.received_at, b.readings, b.registers, b.bodies, b.agent_id, b.epoch, b.resend_id
		from (select arrival, sum(readings) over (order by arrival) - readings as before
		      from batch where org_id = $1 and site_id = $2 and arrival > $3 and arrival <= $4
		      order by arrival limit 5000) n
		join batch b on b.org_id = $1 and b.site_id = $2 and b.arrival = n.arrival
		where n.before < $5 order by b.arrival`, t.Org, t.Site, after, last, most)
	if err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (RawBatch, error) {
		var b RawBatch
		var epoch int64
		var resend *uuid.UUID
		err := row.Scan(&b.Arrival, &b.ReceivedAt, &b.Readings, &b.Registers, &b.Bodies, &b.Agent, &epoch, &resend)
		b.Epoch = uint64(epoch)
		if resend != nil {
			b.Resend = *resend
		}
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("read batches: %w", err)
	}
	return out, nil
}

// Registers returns every register of the site.
func (t *SiteTx) Registers() (map[uuid.UUID]RegisterInfo, error) {
	rows, err := t.tx.Query(t.ctx, `
		select g.register_id, g.point_id, g.name, g.kind, g.modulus, g.number, p.max_watts
		from point p join register g on g.org_id = p.org_id and g.point_id = p.point_id
		where p.org_id = $1 and p.site_id = $2`, t.Org, t.Site)
	if err != nil {
		return nil, fmt.Errorf("read registers: %w", err)
	}
	out := map[uuid.UUID]RegisterInfo{}
	var r RegisterInfo
	var kind string
	_, err = pgx.ForEachRow(rows, []any{&r.ID, &r.Stream.Point, &r.Stream.Register, &kind, &r.Modulus, &r.Number, &r.MaxWatts}, func() (err error) {
		r.Kind, err = meter.ParseKind(kind)
		out[r.ID] = r
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read registers: %w", err)
	}
	return out, nil
}

// Correction is a value that replaced another one.
type Correction struct {
	Register      uuid.UUID
	Before, After meter.Reading
	RecordedAt    time.Time
}

// Progress is what deriving some batches came to.
type Progress struct {
	Through     int64 // arrival of the last of them
	Readings    int64
	Resent      int64 // readings that came again
	Duplicates  int64
	Corrections []Correction
	Accounts    map[AccountKey]*Account
}

// Advance notes that the batches up to p.Through are derived.
func (t *SiteTx) Advance(p Progress) error {
	rows := make([][]any, len(p.Corrections))
	for i, c := range p.Corrections {
		rows[i] = []any{t.Org, c.Register, c.After.At.Time(), newID(), c.Before.Value, int16(c.Before.Quality), c.After.Value, int16(c.After.Quality), c.RecordedAt}
	}
	_, err := t.tx.CopyFrom(t.ctx, pgx.Identifier{"correction"}, []string{
		"org_id", "register_id", "at", "correction_id",
		"before_value", "before_quality", "after_value", "after_quality", "recorded_at",
	}, pgx.CopyFromRows(rows))
	if err != nil {
		return fmt.Errorf("put corrections: %w", err)
	}
	if err := t.book(p.Accounts); err != nil {
		return err
	}
	_, err = t.tx.Exec(t.ctx, `
		update site_derived set derived = $3, readings = readings + $4, unmerged = unmerged + $4 + $7, duplicates = duplicates + $5,
			corrections = corrections + $6, derived_at = clock_timestamp(), failures = 0, failed_at = null
		where org_id = $1 and site_id = $2`, t.Org, t.Site, p.Through, p.Readings, p.Duplicates, len(p.Corrections), p.Resent)
	if err != nil {
		return fmt.Errorf("advance: %w", err)
	}
	t.derived = p.Through
	t.unmerged += p.Readings + p.Resent
	return nil
}

// Remade notes that intervals and rollups are made with the site's zone and resolution.
func (t *SiteTx) Remade() error {
	_, err := t.tx.Exec(t.ctx, `update site_derived set zone = $3, resolution_ms = $4, failures = 0 where org_id = $1 and site_id = $2`,
		t.Org, t.Site, t.Zone, t.Resolution.Milliseconds())
	if err != nil {
		return fmt.Errorf("note zone and resolution: %w", err)
	}
	t.Changed = false
	return nil
}
