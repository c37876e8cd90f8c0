package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Station is the source of weather that a site's own instruments measured. It goes before what providers say.
const Station = "station"

const (
	dense = 60 * 24 * time.Hour // before the end of a range: all forecasts of it count
	ahead = 96                  // hours of each
)

// dayHours is how many hours a row of observed weather has.
const dayHours = 24

// Place is where a site is, in degrees (WGS 84).
type Place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// Check returns an error unless the place is on the globe.
func (p Place) Check() error {
	if !(p.Latitude >= -90 && p.Latitude <= 90 && p.Longitude >= -180 && p.Longitude <= 180) {
		return fmt.Errorf("place %g, %g: want a latitude of -90 to 90 and a longitude of -180 to 180 degrees", p.Latitude, p.Longitude)
	}
	return nil
}

func (p *Place) latitude() *float64 {
	if p == nil {
		return nil
	}
	return &p.Latitude
}

func (p *Place) longitude() *float64 {
	if p == nil {
		return nil
	}
	return &p.Longitude
}

// Surroundings returns what surrounds the points of a site, with the weather observed within [from, to) and forecast for it.
// Where no forecast was kept, perfect lets observations stand in.
func (s *Store) Surroundings(ctx context.Context, org uuid.UUID, site Site, from, to meter.Millis, perfect bool) (*feature.Site, error) {
	out := site.Around()
	observed, err := s.observed(ctx, org, site.ID, from, to)
	if err != nil {
		return nil, err
	}
	// Of forecasts long past one a day is enough, and of each the next days.
	forecasts, err := s.forecasts(ctx, `issued_at in (
			select distinct on (case when issued_at < $5 then date_trunc('day', issued_at) else issued_at end) issued_at
			from weather_forecast where org_id = $1 and site_id = $2 and issued_at >= $3 and issued_at < $4
			order by case when issued_at < $5 then date_trunc('day', issued_at) else issued_at end, issued_at)
		order by issued_at`, org, site.ID, from.Time().Add(-feature.MaxForecastAge), to.Time(), to.Time().Add(-dense))
	if err != nil {
		return nil, err
	}
	for i := range forecasts {
		f := &forecasts[i]
		f.Temperature, f.Radiation = f.Temperature[:min(len(f.Temperature), ahead)], f.Radiation[:min(len(f.Radiation), ahead)]
	}
	if !observed.Empty() || len(forecasts) > 0 {
		out.Weather = &feature.Weather{Observed: observed, Forecasts: forecasts, Perfect: perfect}
	}
	return out, nil
}

// observed returns the weather observed at a site within [from, to), hour by hour.
func (s *Store) observed(ctx context.Context, org, site uuid.UUID, from, to meter.Millis) (feature.WeatherSeries, error) {
	rows, err := s.db.Query(ctx, `
		select day, temperature, radiation from weather_day
		where org_id = $1 and site_id = $2 and day >= $3::date and day <= $4::date
		order by day, source = $5`, // what a station says comes last and replaces what others say
		org, site, from.Time().UTC(), to.Time().UTC(), Station)
	if err != nil {
		return feature.WeatherSeries{}, fmt.Errorf("read weather: %w", err)
	}
	var out feature.WeatherSeries
	var day time.Time
	var temperature, radiation []float32
	_, err = pgx.ForEachRow(rows, []any{&day, &temperature, &radiation}, func() error {
		at := meter.MillisOf(day)
		if out.Empty() {
			out = feature.WeatherSeries{Start: at, Resolution: time.Hour}
		}
		for n := int(at.Sub(out.Start)/time.Hour) + dayHours; len(out.Temperature) < n; {
			out.Temperature, out.Radiation = append(out.Temperature, math.NaN()), append(out.Radiation, math.NaN())
		}
		first := int(at.Sub(out.Start) / time.Hour)
		put(out.Temperature[first:], temperature)
		put(out.Radiation[first:], radiation)
		return nil
	})
	if err != nil {
		return feature.WeatherSeries{}, fmt.Errorf("read weather: %w", err)
	}
	return within(out, from, to), nil
}

// put writes what is known of values over into.
func put(into []float64, values []float32) {
	for i, v := range values {
		if v == v {
			into[i] = float64(v)
		}
	}
}

// within returns s without what lies outside [from, to) or is not known at its end.
func within(s feature.WeatherSeries, from, to meter.Millis) feature.WeatherSeries {
	if s.Empty() {
		return s
	}
	s = s.Since(from)
	n := len(s.Temperature)
	for ; n > 0; n-- {
		last := n - 1
		known := s.Temperature[last] == s.Temperature[last] || s.Radiation[last] == s.Radiation[last]
		if known && s.Start.Add(time.Duration(last)*time.Hour) < to {
			break
		}
	}
	if n == 0 {
		return feature.WeatherSeries{}
	}
	s.Temperature, s.Radiation = s.Temperature[:n], s.Radiation[:n]
	return s
}

// forecasts selects forecasts of the weather; where is a constant of this file.
func (s *Store) forecasts(ctx context.Context, where string, args ...any) ([]feature.WeatherForecast, error) {
	rows, err := s.db.Query(ctx, `select issued_at, start_at, temperature, radiation from weather_forecast where org_id = $1 and site_id = $2 and `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read weather forecasts: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (feature.WeatherForecast, error) {
		var issued, start time.Time
		var temperature, radiation []float32
		if err := row.Scan(&issued, &start, &temperature, &radiation); err != nil {
			return feature.WeatherForecast{}, err
		}
		return feature.WeatherForecast{Issued: meter.MillisOf(issued), WeatherSeries: feature.WeatherSeries{
			Start: meter.MillisOf(start), Resolution: time.Hour, Temperature: wide(temperature), Radiation: wide(radiation),
		}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read weather forecasts: %w", err)
	}
	return out, nil
}

func wide(values []float32) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

// NewWeather returns what of a site's weather goes beyond what was observed before to and forecast until issued, nothing of
// before from.
func (s *Store) NewWeather(ctx context.Context, org, site uuid.UUID, from, to, issued meter.Millis) (feature.WeatherSeries, *feature.WeatherForecast, error) {
	observed, err := s.observed(ctx, org, site, max(from, to), meter.MillisOf(time.Now().Add(24*time.Hour)))
	if err != nil {
		return observed, nil, err
	}
	forecasts, err := s.forecasts(ctx, `issued_at > $3 order by issued_at desc limit 1`, org, site, max(from, issued).Time())
	if err != nil || len(forecasts) == 0 {
		return observed, nil, err
	}
	return observed, &forecasts[0], nil
}
