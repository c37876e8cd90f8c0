package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/shared/meter"
)

// Forecast is the energy expected in each interval from an origin on, with where it comes from.
type Forecast struct {
	Point      string         `json:"point" format:"uuid"`
	Site       string         `json:"site" doc:"name of the site"`
	Name       string         `json:"name" doc:"name of the point"`
	Register   string         `json:"register"`
	Unit       string         `json:"unit" enum:"Wh"`
	Origin     time.Time      `json:"origin" doc:"the instant it was made from; nothing at or after it was used"`
	Resolution string         `json:"resolution" doc:"ISO 8601"`
	Levels     []float64      `json:"levels" doc:"quantile levels, ascending"`
	Steps      []ForecastStep `json:"steps"`
	Provenance Provenance     `json:"provenance"`
}

// ForecastStep is one interval of a forecast.
type ForecastStep struct {
	Start  time.Time `json:"start"`
	Values []float64 `json:"values" doc:"energy in Wh at each level"`
}

// Provenance says how far a forecast may be trusted.
type Provenance struct {
	Rung            string     `json:"rung" enum:"active,previous,baseline,profile" doc:"what it stands on, best first"`
	Model           string     `json:"model,omitempty" doc:"id of the model version; none on the lower rungs"`
	Family          string     `json:"family,omitempty" doc:"of the model"`
	ModelAgeSeconds *float64   `json:"model_age_seconds,omitempty" doc:"from the end of what the model learnt from to the origin"`
	Completeness    float64    `json:"completeness" doc:"share of the input history that was measured, 0 to 1"`
	Issued          time.Time  `json:"issued" doc:"when the agent computed it"`
	Received        *time.Time `json:"received,omitempty" doc:"when the hub stored it"`
}

type forecastAnswer struct{ Body Forecast }

type forecastQuery struct {
	ID       string    `path:"id" format:"uuid" doc:"id of the point"`
	Register string    `query:"register" default:"energy-import" doc:"name or OBIS code of an energy register"`
	Origin   time.Time `query:"origin" doc:"the origin, exactly; the latest forecast without it"`
	Zoned
}

func (s *server) registerForecast(r *routes) {
	register(r, access.With(access.Viewer, access.ReadForecasts), get("forecast", "/v1/points/{id}/forecast", "A forecast of a point, with its provenance", http.StatusNotFound),
		func(ctx context.Context, in *forecastQuery) (*forecastAnswer, error) {
			reg, err := meter.LookupRegister(in.Register)
			if err != nil {
				return nil, invalid("register", in.Register, err.Error())
			}
			id, err := uuid.Parse(in.ID)
			if err != nil {
				return nil, huma.Error404NotFound("no such point")
			}
			r, err := s.store.ForecastRow(ctx, org(ctx), id, string(reg.Name), in.Origin)
			if err != nil {
				return nil, s.fault(ctx, err, "no such forecast: the point is unknown, or nothing was forecast for it from that origin")
			}
			var zone string
			if in.TZ == "site" {
				if zone, _, err = s.store.PointZone(ctx, org(ctx), id); err != nil {
					return nil, s.fault(ctx, err, "no such point")
				}
			}
			shown, err := in.in(zone)
			if err != nil {
				return nil, err
			}
			f := Forecast{
				Point: id.String(), Site: r.Site, Name: r.Point, Register: r.Register, Unit: "Wh", Origin: r.Origin.In(shown),
				Resolution: iso(r.Resolution), Levels: r.Levels,
				Provenance: Provenance{Rung: r.Rung, Family: r.Family, Completeness: r.Completeness, Issued: r.IssuedAt.UTC(), Received: utc(&r.ReceivedAt)},
			}
			if r.Model != nil {
				f.Provenance.Model = r.Model.String()
			}
			if r.TrainedTo != nil {
				age := r.Origin.Sub(*r.TrainedTo).Seconds()
				f.Provenance.ModelAgeSeconds = &age
			}
			n := len(r.Levels)
			f.Steps = make([]ForecastStep, len(r.Wh)/n)
			for i := range f.Steps {
				f.Steps[i] = ForecastStep{Start: r.Origin.In(shown).Add(time.Duration(i) * r.Resolution), Values: r.Wh[i*n : (i+1)*n]}
			}
			return &forecastAnswer{f}, nil
		})
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
