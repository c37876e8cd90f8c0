package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// farthestTarget is how far behind its origin a target may lie and still be scored: longer than any site's horizon.
const farthestTarget = 42 * oneDay

// ForecastError is how the forecasts of one model did on a register of a point, over the targets of a UTC day.
type ForecastError struct {
	Rung  forecast.Rung
	Model uuid.UUID // zero on rungs without a model
	forecast.Score
}

// ForecastDay is what the errors of a day follow from.
type ForecastDay struct {
	Start      meter.Millis // of the UTC day
	Resolution time.Duration
	Actual     map[meter.Millis]float64 // Wh, by start, of the intervals that forecasts are held against
	Forecasts  []forecast.Forecast      // with a target on the day, by origin
}

// markErrors marks the days of a stream's targets that start within [low, high], as far as there are forecasts of them.
func markErrors(ask *pgx.Batch, org uuid.UUID, k Stream, low, high time.Time) {
	ask.Queue(`
		insert into forecast_error_due (org_id, point_id, register, day)
		select $1, $2, $3, d::date from generate_series(($4::timestamptz at time zone 'UTC')::date, ($5::timestamptz at time zone 'UTC')::date, interval '1 day') d
		where exists (select from forecast f where f.org_id = $1 and f.point_id = $2 and f.register = $3
			and f.origin < (d + interval '1 day') at time zone 'UTC' and f.origin >= d at time zone 'UTC' - $6::interval)
		order by d on conflict (org_id, point_id, register, day) do update set marks = forecast_error_due.marks + 1`,
		org, k.Point, string(k.Register), low, high, farthestTarget)
}

// forecastSpan is where the targets of a forecast lie, and of the one that it replaced.
type forecastSpan struct {
	stream             Stream
	from, to, replaced time.Time // starts of the first and the last target, and of the last of the one before
}

// markForecasts marks the days that have come and on which forecasts have a target. Later days are marked when their intervals come.
func markForecasts(ctx context.Context, tx pgx.Tx, org uuid.UUID, spans []forecastSpan) error {
	type mark struct {
		stream Stream
		day    int64 // since 1970
	}
	seen := map[mark]bool{}
	today := time.Now().Unix() / 86400
	for _, s := range spans {
		last := max(s.to.Unix(), s.replaced.Unix()) / 86400
		for day := s.from.Unix() / 86400; day <= min(last, today); day++ {
			seen[mark{s.stream, day}] = true
		}
	}
	// Everybody marks in one order, so that nobody waits in a circle.
	order := slices.SortedFunc(maps.Keys(seen), func(a, b mark) int {
		return cmp.Or(slices.Compare(a.stream.Point[:], b.stream.Point[:]), cmp.Compare(a.stream.Register, b.stream.Register), cmp.Compare(a.day, b.day))
	})
	ask := &pgx.Batch{}
	for _, m := range order {
		ask.Queue(`
			insert into forecast_error_due (org_id, point_id, register, day) values ($1, $2, $3, date '1970-01-01' + $4::int)
			on conflict (org_id, point_id, register, day) do update set marks = forecast_error_due.marks + 1`,
			org, m.stream.Point, string(m.stream.Register), m.day)
	}
	if err := tx.SendBatch(ctx, ask).Close(); err != nil {
		return fmt.Errorf("mark days to score: %w", err)
	}
	return nil
}

// ScoreDay takes a day of a register of a point that was marked at least age ago, and replaces its errors by what fn makes of it. It
// returns false when there is none, or others have them in their hands.
func (s *Store) ScoreDay(ctx context.Context, age time.Duration, fn func(ForecastDay) ([]ForecastError, error)) (found bool, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		var org uuid.UUID
		var k Stream
		var day time.Time
		err := tx.QueryRow(ctx, `
			delete from forecast_error_due where (org_id, point_id, register, day) = (
				select org_id, point_id, register, day from forecast_error_due
				where marked_at <= clock_timestamp() - $1::interval order by marked_at limit 1 for update skip locked)
			returning org_id, point_id, register, day`, age).Scan(&org, &k.Point, &k.Register, &day)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		d, err := readForecastDay(ctx, tx, org, k, day)
		if err != nil {
			return err
		}
		es, err := fn(d)
		if err != nil {
			return err
		}
		return putErrors(ctx, tx, org, k, day, es)
	})
	if err != nil {
		return found, fmt.Errorf("score forecasts: %w", err)
	}
	return found, nil
}

func readForecastDay(ctx context.Context, tx pgx.Tx, org uuid.UUID, k Stream, day time.Time) (ForecastDay, error) {
	d := ForecastDay{Start: meter.MillisOf(day), Actual: map[meter.Millis]float64{}}
	var ms int64
	err := tx.QueryRow(ctx, `select resolution_ms from fold where org_id = $1 and point_id = $2 and register = $3`, org, k.Point, string(k.Register)).Scan(&ms)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, nil // nothing happened yet
	}
	if err != nil {
		return d, err
	}
	d.Resolution = time.Duration(ms) * time.Millisecond
	rows, err := tx.Query(ctx, `
		select start, wh from interval where org_id = $1 and point_id = $2 and register = $3 and start >= $4 and start < $5
			and quality <> $6 and not recovered`, // whose energy at that time is known
		org, k.Point, string(k.Register), day, day.Add(oneDay), int16(meter.Missing))
	if err != nil {
		return d, err
	}
	var start time.Time
	var wh int64
	if _, err = pgx.ForEachRow(rows, []any{&start, &wh}, func() error { d.Actual[meter.MillisOf(start)] = float64(wh); return nil }); err != nil {
		return d, err
	}
	rows, err = tx.Query(ctx, `
		select origin, levels, wh, rung, coalesce(model_id::text, '') from forecast
		where org_id = $1 and point_id = $2 and register = $3 and origin > $4 and origin < $5 and resolution_ms = $6 order by origin`,
		org, k.Point, string(k.Register), day.Add(-farthestTarget), day.Add(oneDay), ms)
	if err != nil {
		return d, err
	}
	d.Forecasts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (forecast.Forecast, error) {
		f := forecast.Forecast{Register: k.Register, Resolution: d.Resolution}
		var origin time.Time
		err := row.Scan(&origin, &f.Levels, &f.Values, &f.Rung, &f.Model)
		f.Origin = meter.MillisOf(origin)
		return f, err
	})
	return d, err
}

func putErrors(ctx context.Context, tx pgx.Tx, org uuid.UUID, k Stream, day time.Time, es []ForecastError) error {
	ask := &pgx.Batch{}
	ask.Queue(`delete from forecast_error where org_id = $1 and point_id = $2 and register = $3 and day = $4`, org, k.Point, string(k.Register), day)
	for _, e := range es {
		ask.Queue(`
			insert into forecast_error (org_id, point_id, register, day, rung, model_id, count, actual, abs_err, squ_err, err, pinball, covered, breadth)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`, org, k.Point, string(k.Register), day, string(e.Rung), e.Model,
			e.Count, e.Actual, e.AbsErr, e.SquErr, e.Err, e.Pinball, e.Covered, e.Breadth)
	}
	return tx.SendBatch(ctx, ask).Close()
}

// ForecastErrorRow is the error of the forecasts of a model on a register of a point and a day.
type ForecastErrorRow struct {
	Point    uuid.UUID
	Register meter.Register
	Day      time.Time // UTC
	ForecastError
}

// ForecastErrors returns the errors of an organisation's forecasts on days within [from, to), of one point unless that is zero, by
// point, register, day, rung and model.
func (s *Store) ForecastErrors(ctx context.Context, org, point uuid.UUID, from, to time.Time) ([]ForecastErrorRow, error) {
	rows, err := s.db.Query(ctx, `
		select point_id, register, day, rung, model_id, count, actual, abs_err, squ_err, err, pinball, covered, breadth from forecast_error
		where org_id = $1 and ($2 = '00000000-0000-0000-0000-000000000000'::uuid or point_id = $2) and day >= $3::date and day < $4::date
		order by point_id, register, day, rung, model_id`, org, point, from, to)
	if err != nil {
		return nil, fmt.Errorf("read errors of forecasts: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ForecastErrorRow, err error) {
		err = row.Scan(&r.Point, &r.Register, &r.Day, &r.Rung, &r.Model, &r.Count, &r.Actual, &r.AbsErr, &r.SquErr, &r.Err, &r.Pinball, &r.Covered, &r.Breadth)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read errors of forecasts: %w", err)
	}
	return out, nil
}
