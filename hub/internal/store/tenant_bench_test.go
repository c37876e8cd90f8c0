package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// BenchmarkRequests asks what row-level security costs the reads that dashboards live on: 200 points with a year of hourly intervals.
func BenchmarkRequests(b *testing.B) {
	s := storetest.Open(b)
	ctx := context.Background()
	org, site, _ := storetest.Site(b, s, "alpha", store.Site{Name: "alpha-site"})
	points := make([]uuid.UUID, 200)
	for i := range points {
		points[i] = uuid.New()
		_, err := s.Exec(ctx, `insert into point (org_id, point_id, site_id, name) values ($1, $2, $3, $4)`, org, points[i], site.ID, fmt.Sprint("p", i))
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, sql := range []string{
		`insert into interval select org_id, point_id, 'energy-import', t, 1000, 0, false from point, generate_series(timestamptz '2025-01-01', '2025-12-31 23:00Z', '1 hour') t`,
		`insert into forecast select org_id, point_id, 'energy-import', t, 3600000, '{0.1,0.5,0.9}', array_fill(1.0::float8, array[144]), 'baseline', null, 1, t
			from point, generate_series(timestamptz '2025-12-01', '2025-12-31 23:00Z', '1 hour') t`,
		`analyze`,
	} {
		if _, err := s.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	to := time.Date(2025, 12, 20, 0, 0, 0, 0, time.UTC)
	for name, s := range map[string]*store.Store{"owner": s, "request": s.ForRequests(func(context.Context) uuid.UUID { return org })} {
		b.Run("latest forecast/"+name, func(b *testing.B) {
			for i := range b.N {
				if _, err := s.ForecastRow(ctx, org, points[i%200], "energy-import", time.Time{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("7 days of hours/"+name, func(b *testing.B) {
			for i := range b.N {
				if rows, err := s.EnergyRows(ctx, org, points[i%200], "energy-import", "", to.AddDate(0, 0, -7), to, 1000); err != nil || len(rows) != 168 {
					b.Fatal(len(rows), err)
				}
			}
		})
		b.Run("sites/"+name, func(b *testing.B) {
			for range b.N {
				if _, err := s.SiteRows(ctx, org, "", 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
