package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// Decomposition is what the parts of an additive model add up to.
type Decomposition struct {
	Point      string              `json:"point" format:"uuid"`
	Name       string              `json:"name" doc:"name of the point"`
	Register   string              `json:"register"`
	Unit       string              `json:"unit" enum:"Wh"`
	Origin     time.Time           `json:"origin" doc:"nothing at or after it was used"`
	Resolution string              `json:"resolution" doc:"ISO 8601"`
	Model      string              `json:"model" doc:"id of the model version"`
	Steps      []DecompositionStep `json:"steps"`
}

// DecompositionStep is one interval of a decomposition.
type DecompositionStep struct {
	Start time.Time          `json:"start"`
	Parts map[string]float64 `json:"parts" doc:"Wh by part: profile, trend, daily, weekly, yearly, holidays, weather"`
	Sum   float64            `json:"sum" doc:"Wh: what the additive model forecasts, before it is kept from falling below zero"`
	Share float64            `json:"share" doc:"that the additive model has of the forecast: 1, or its weight in an ensemble"`
}

// DecompositionOf returns a decomposition as the interface shows it.
func DecompositionOf(point uuid.UUID, d forecast.Decomposition) Decomposition {
	out := Decomposition{
		Point: point.String(), Name: d.Point, Register: string(d.Register), Unit: "Wh", Origin: d.Origin.Time().UTC(), Resolution: iso(d.Resolution), Model: d.Model,
		Steps: make([]DecompositionStep, len(d.Steps)),
	}
	for i, s := range d.Steps {
		out.Steps[i] = DecompositionStep{Start: d.Origin.Add(time.Duration(i) * d.Resolution).Time().UTC(), Parts: s.Wh, Sum: s.Sum, Share: s.Share}
	}
	return out
}

type (
	decompositionQuery struct {
		ID       string    `path:"id" format:"uuid" doc:"id of the point"`
		Register string    `query:"register" default:"energy-import" doc:"name or OBIS code of an energy register"`
		Origin   time.Time `query:"origin" doc:"instant to forecast from, on a boundary of intervals; the end of the history without it"`
		Model    string    `query:"model" maxLength:"200" doc:"id or alias of a model version; the active one without it"`
		Hours    int       `query:"hours" default:"24" minimum:"1" maximum:"168" doc:"how far ahead"`
	}
	decompositionAnswer struct{ Body Decomposition }
)

func (s *server) registerDecomposition(r *routes) {
	register(r, access.With(access.Viewer, access.ReadForecasts), get("decomposition", "/v1/points/{id}/decomposition", "What the parts of an additive model add up to in a forecast", http.StatusNotFound, http.StatusConflict),
		func(ctx context.Context, in *decompositionQuery) (*decompositionAnswer, error) {
			reg, err := meter.LookupRegister(in.Register)
			if err != nil {
				return nil, invalid("register", in.Register, err.Error())
			}
			id, err := uuid.Parse(in.ID)
			if err != nil {
				return nil, huma.Error404NotFound("no such point")
			}
			_, resolution, err := s.store.PointZone(ctx, org(ctx), id)
			if err != nil {
				return nil, s.fault(ctx, err, "no such point")
			}
			art, err := jobs.ModelOf(ctx, s.store, org(ctx), in.Model, resolution)
			if err != nil {
				return nil, s.fault(ctx, err, "no such model: /v1/models lists them")
			}
			d, err := jobs.Decompose(ctx, s.store, org(ctx), id, reg.Name, art, in.Origin, time.Duration(in.Hours)*time.Hour)
			switch {
			case errors.Is(err, forecast.ErrNoParts), errors.Is(err, forecast.ErrModel), errors.Is(err, forecast.ErrShortHistory), errors.Is(err, forecast.ErrNoHistory):
				return nil, huma.Error409Conflict(err.Error())
			case errors.Is(err, store.ErrNotFound):
				return nil, s.fault(ctx, err, "no history of that register at the resolution of the model")
			case err != nil && !in.Origin.IsZero() && meter.MillisOf(in.Origin).Floor(art.Resolution) != meter.MillisOf(in.Origin):
				return nil, invalid("origin", in.Origin.Format(time.RFC3339), err.Error())
			case err != nil:
				return nil, s.fault(ctx, err, "")
			}
			return &decompositionAnswer{DecompositionOf(id, d)}, nil
		})
}
