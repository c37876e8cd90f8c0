package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// Decomposition is what the parts of an additive model add up to in a forecast.
type Decomposition = api.Decomposition

// DecompositionQuery says which forecast is taken apart.
type DecompositionQuery struct {
	Point    string // site/point, or an id
	Register string // name or OBIS code
	Model    string // id or alias; empty: the active one
	Origin   time.Time
	Horizon  time.Duration
}

// Decompose takes a forecast apart.
func (a *Admin) Decompose(ctx context.Context, q DecompositionQuery) (Decomposition, error) {
	reg, err := meter.LookupRegister(q.Register)
	if err != nil {
		return Decomposition{}, err
	}
	points, err := a.b.store.Points(ctx, a.b.org)
	if err != nil {
		return Decomposition{}, err
	}
	id, _ := uuid.Parse(q.Point)
	i := slices.IndexFunc(points, func(p store.Point) bool {
		return p.ID == id || forecast.PointAt(p.SiteName, p.Name) == q.Point
	})
	if i < 0 {
		return Decomposition{}, fmt.Errorf("no point %q: want site/point as in /v1/points, or its id", q.Point)
	}
	art, err := jobs.ModelOf(ctx, a.b.store, a.b.org, q.Model, points[i].Resolution)
	if err != nil {
		return Decomposition{}, noModel(q.Model, err)
	}
	d, err := jobs.Decompose(ctx, a.b.store, a.b.org, points[i].ID, reg.Name, art, q.Origin, q.Horizon)
	return api.DecompositionOf(points[i].ID, d), err
}
