package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ForecastRow is a stored forecast with its provenance.
type ForecastRow struct {
	Site         string
	Point        string
	Register     string
	Origin       time.Time
	Resolution   time.Duration
	Levels       []float64
	Wh           []float64 // steps × levels, row-major
	Rung         string
	Model        *uuid.UUID
	Family       string     // of the model, empty without one
	TrainedTo    *time.Time // of the model
	Completeness float64
	IssuedAt     time.Time
	ReceivedAt   time.Time
}

// ForecastRow returns the forecast of a point and register from the given origin, or the latest one when origin is zero. It
// is ErrNotFound when the organisation has no such forecast.
func (s *Store) ForecastRow(ctx context.Context, org, point uuid.UUID, register string, origin time.Time) (ForecastRow, error) {
	var f ForecastRow
	var ms int64
	at := &origin
	if origin.IsZero() {
		at = nil
	}
	err := s.db.QueryRow(ctx, `select coalesce(s.name, ''), p.name, f.register, f.origin, f.resolution_ms, f.levels, f.wh, f.rung, f.model_id,
			coalesce(m.family, ''), m.trained_to, f.completeness, f.issued_at, f.received_at
		from forecast f
		join point p on p.org_id = f.org_id and p.point_id = f.point_id
		left join site s on s.org_id = p.org_id and s.site_id = p.site_id
		left join model m on m.org_id = f.org_id and m.model_id = f.model_id
		where f.org_id = $1 and f.point_id = $2 and f.register = $3 and ($4::timestamptz is null or f.origin = $4)
		order by f.origin desc limit 1`, org, point, register, at).
		Scan(&f.Site, &f.Point, &f.Register, &f.Origin, &ms, &f.Levels, &f.Wh, &f.Rung, &f.Model,
			&f.Family, &f.TrainedTo, &f.Completeness, &f.IssuedAt, &f.ReceivedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return f, fmt.Errorf("read forecast of point %s: %w", point, ErrNotFound)
	}
	if err != nil {
		return f, fmt.Errorf("read forecast of point %s: %w", point, err)
	}
	f.Resolution = time.Duration(ms) * time.Millisecond
	return f, nil
}
