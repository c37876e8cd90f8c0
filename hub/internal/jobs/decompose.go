package jobs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// Decompose says what the parts of an artifact's additive model add up to, of a forecast of a register of a point from an origin on; from the
// end of its history without one. It is store.ErrNotFound when there is no such history, and forecast.ErrNoParts when the artifact
// holds no additive model.
func Decompose(ctx context.Context, st *store.Store, org, point uuid.UUID, register meter.Register, art *model.Artifact, origin time.Time, horizon time.Duration) (forecast.Decomposition, error) {
	fail := func(err error) (forecast.Decomposition, error) {
		return forecast.Decomposition{}, fmt.Errorf("decompose forecast of point %s %s: %w", point, register, err)
	}
	targets, err := st.TrainingPoints(ctx, org, art.Resolution)
	if err != nil {
		return fail(err)
	}
	points, err := st.Points(ctx, org)
	if err != nil {
		return fail(err)
	}
	i := slices.IndexFunc(targets, func(p store.TrainingPoint) bool { return p.Point == point && p.Register == string(register) })
	k := slices.IndexFunc(points, func(p store.Point) bool { return p.ID == point })
	if i < 0 || k < 0 {
		return fail(fmt.Errorf("there is no history of resolution %s: %w", art.Resolution, store.ErrNotFound))
	}
	at := targets[i].To.Floor(art.Resolution)
	if !origin.IsZero() {
		at = meter.MillisOf(origin)
	}
	ahead := cmp.Or(horizon, art.Horizon)
	l := newLoader(st, org, art.Resolution, at.Add(-art.Spec.Reach()), at.Add(ahead))
	h, _, err := l.load(ctx, targets[i], max(targets[i].From, at.Add(-art.Spec.Reach())), min(targets[i].To, at))
	if err != nil {
		return fail(err)
	}
	m := forecast.Maker{Site: points[k].SiteName}
	d, err := m.Decompose(h, points[k].Name, register, at, int(ahead/art.Resolution), art)
	if err != nil {
		return fail(err)
	}
	return d, nil
}

// ModelOf returns the artifact of a model version by id or alias, or without a name the active one of a resolution.
func ModelOf(ctx context.Context, st *store.Store, org uuid.UUID, name string, resolution time.Duration) (*model.Artifact, error) {
	row, encoded, err := store.ModelRow{}, []byte(nil), error(nil)
	if name == "" {
		row, encoded, err = st.ModelInState(ctx, org, resolution, "active")
	} else {
		row, encoded, err = st.Model(ctx, org, name)
	}
	if err != nil {
		return nil, err
	}
	art, err := model.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", row.ID, err)
	}
	art.ID = row.ID.String()
	return art, nil
}
