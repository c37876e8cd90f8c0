package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// PutWeather keeps the weather that a source observed at a site, in the place of what it said of the same hours, and the forecast
// it issued, all or nothing. Observations of finer intervals become means of their hours. The error names what is not
// plausible.
func (s *Store) PutWeather(ctx context.Context, org, site uuid.UUID, source string, observed feature.WeatherSeries, f *feature.WeatherForecast) error {
	all := feature.Weather{Observed: observed}
	if f != nil {
		all.Forecasts = []feature.WeatherForecast{*f}
	}
	if err := all.Check(); err != nil {
		return err
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := putObserved(ctx, tx, org, site, source, hourly(observed)); err != nil || f == nil {
			return err
		}
		h := hourly(f.WeatherSeries)
		_, err := tx.Exec(ctx, `
			insert into weather_forecast (org_id, site_id, issued_at, source, start_at, temperature, radiation)
			values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
			org, site, f.Issued.Time(), source, h.Start.Time(), narrow(h.Temperature), narrow(h.Radiation))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep weather: %w", err)
	}
	return nil
}

// putObserved lays hours over the days that hold them.
func putObserved(ctx context.Context, tx pgx.Tx, org, site uuid.UUID, source string, s feature.WeatherSeries) error {
	for day := s.Start.Floor(dayHours * time.Hour); !s.Empty() && day < s.End(); day = day.Add(dayHours * time.Hour) {
		temperature, radiation := make([]float32, dayHours), make([]float32, dayHours)
		known := false
		for h := range dayHours {
			t, r := s.At(day.Add(time.Duration(h) * time.Hour))
			temperature[h], radiation[h] = float32(t), float32(r)
			known = known || t == t || r == r
		}
		if !known {
			continue
		}
		if _, err := tx.Exec(ctx, `
			insert into weather_day as w (org_id, site_id, source, day, temperature, radiation) values ($1, $2, $3, $4, $5, $6)
			on conflict (org_id, site_id, source, day) do update set
				temperature = (select array_agg(coalesce(nullif(n, 'NaN'), o) order by i) from unnest(excluded.temperature, w.temperature) with ordinality as x(n, o, i)),
				radiation   = (select array_agg(coalesce(nullif(n, 'NaN'), o) order by i) from unnest(excluded.radiation, w.radiation) with ordinality as x(n, o, i))`,
			org, site, source, day.Time().UTC(), temperature, radiation); err != nil {
			return err
		}
	}
	return nil
}

// hourly returns s by the hour: means of finer intervals that are known, coarser ones repeated.
func hourly(s feature.WeatherSeries) feature.WeatherSeries {
	if s.Empty() || s.Resolution == time.Hour {
		return s
	}
	out := feature.WeatherSeries{Start: s.Start.Floor(time.Hour), Resolution: time.Hour}
	step := min(s.Resolution, time.Hour)
	for at := out.Start; at < s.End(); at = at.Add(time.Hour) {
		var sum, n [2]float64
		for part := time.Duration(0); part < time.Hour; part += step {
			t, r := s.At(at.Add(part))
			for q, v := range [2]float64{t, r} {
				if v == v {
					sum[q], n[q] = sum[q]+v, n[q]+1
				}
			}
		}
		out.Temperature, out.Radiation = append(out.Temperature, sum[0]/n[0]), append(out.Radiation, sum[1]/n[1])
	}
	return out
}

func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

// WeatherTask is a site whose weather is due.
type WeatherTask struct {
	Org, Site uuid.UUID
	Place     Place
	BackTo    *time.Time // how far back observations were asked for; nil: not yet
	Failures  int        // since it was fetched last
	History   *time.Time // when the history of the site's points begins; nil: there is none
}

// ClaimWeather returns a site whose weather is due and that no other hub takes within lease; ok is false when none is.
func (s *Store) ClaimWeather(ctx context.Context, lease time.Duration) (t WeatherTask, ok bool, err error) {
	rows, err := s.db.Query(ctx, `
		update weather_site w set next_at = now() + $1
		from site where site.org_id = w.org_id and site.site_id = w.site_id and site.latitude is not null
			and (w.org_id, w.site_id) = (select org_id, site_id from weather_site where next_at <= now() order by next_at limit 1 for update skip locked)
		returning w.org_id, w.site_id, site.latitude, site.longitude, w.back_to, w.failures,
			(select min(f.first_at) from fold f join point p on p.org_id = f.org_id and p.point_id = f.point_id where p.org_id = w.org_id and p.site_id = w.site_id)`, lease)
	if err == nil {
		var first *int64
		_, err = pgx.ForEachRow(rows, []any{&t.Org, &t.Site, &t.Place.Latitude, &t.Place.Longitude, &t.BackTo, &t.Failures, &first}, func() error {
			ok = true
			if first != nil {
				at := meter.Millis(*first).Time()
				t.History = &at
			}
			return nil
		})
	}
	if err != nil {
		return t, false, fmt.Errorf("claim weather: %w", err)
	}
	return t, ok, nil
}

// WeatherDone notes that a site's weather was fetched, or why not, and when it is due again. A zero backTo leaves how far back
// observations were asked for as it is.
func (s *Store) WeatherDone(ctx context.Context, t WeatherTask, failure error, backTo time.Time, next time.Duration) error {
	reason := ""
	if failure != nil {
		reason = failure.Error()
	}
	_, err := s.db.Exec(ctx, `
		update weather_site set next_at = now() + $3, error = $4, back_to = coalesce($5, back_to),
			failures = case when $4 = '' then 0 else failures + 1 end, fetched_at = case when $4 = '' then now() else fetched_at end
		where org_id = $1 and site_id = $2`, t.Org, t.Site, next, reason, optional(backTo))
	if err != nil {
		return fmt.Errorf("note fetched weather: %w", err)
	}
	return nil
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// SpendWeather counts a request of a provider and reports whether the day's quota allows it.
func (s *Store) SpendWeather(ctx context.Context, provider string, quota int) (bool, error) {
	var made int
	err := s.db.QueryRow(ctx, `
		insert into weather_quota as q (provider, day, requests) values ($1, (now() at time zone 'UTC')::date, 1)
		on conflict (provider, day) do update set requests = q.requests + 1 returning requests`, provider).Scan(&made)
	if err != nil {
		return false, fmt.Errorf("count requests of weather: %w", err)
	}
	return made <= quota, nil
}

// placed begins or ends the fetching of a site's weather, after its place changed: what providers said of the place before is
// deleted.
func placed(ctx context.Context, tx pgx.Tx, org, site uuid.UUID) error {
	for _, sql := range []string{
		`delete from weather_day where org_id = $1 and site_id = $2 and source <> '` + Station + `'`,
		`delete from weather_forecast where org_id = $1 and site_id = $2`,
		`delete from weather_site where org_id = $1 and site_id = $2`,
		`insert into weather_site (org_id, site_id) select org_id, site_id from site where org_id = $1 and site_id = $2 and latitude is not null`,
	} {
		if _, err := tx.Exec(ctx, sql, org, site); err != nil {
			return err
		}
	}
	return nil
}

// WeatherState is how the weather of a site does.
type WeatherState struct {
	Place     Place
	FetchedAt *time.Time
	NextAt    time.Time
	Failures  int
	Error     string
	Observed  *time.Time // the newest day
	Issued    *time.Time // the newest forecast
}

// WeatherState returns how the weather of a site does, nil when nothing is known of where it is.
func (s *Store) WeatherState(ctx context.Context, org, site uuid.UUID) (*WeatherState, error) {
	rows, err := s.db.Query(ctx, `
		select s.latitude, s.longitude, w.fetched_at, w.next_at, w.failures, w.error,
			(select max(day) from weather_day d where d.org_id = s.org_id and d.site_id = s.site_id),
			(select max(issued_at) from weather_forecast f where f.org_id = s.org_id and f.site_id = s.site_id)
		from site s join weather_site w on w.org_id = s.org_id and w.site_id = s.site_id where s.org_id = $1 and s.site_id = $2`, org, site)
	if err != nil {
		return nil, fmt.Errorf("read state of weather: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (WeatherState, error) {
		var w WeatherState
		return w, row.Scan(&w.Place.Latitude, &w.Place.Longitude, &w.FetchedAt, &w.NextAt, &w.Failures, &w.Error, &w.Observed, &w.Issued)
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}
