package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/watch"
)

// WatchReport is the latest examination of the points of one resolution and of the model that serves them.
type WatchReport struct {
	Resolution string    `json:"resolution" doc:"ISO 8601"`
	At         time.Time `json:"at"`
	Model      string    `json:"model,omitempty" doc:"id of the model version; absent when there was none"`
	Reason     string    `json:"reason,omitempty" doc:"why a training was asked for"`
	Run        string    `json:"run,omitempty" doc:"id of that training"`
	watch.Summary
}

// WatchReports is the latest examination of each resolution.
type WatchReports struct {
	Reports []WatchReport `json:"reports"`
}

// Finding is something out of the ordinary at a point.
type Finding struct {
	Point    string    `json:"point" format:"uuid"`
	Site     string    `json:"site" doc:"name of the site"`
	Name     string    `json:"name" doc:"name of the point"`
	Register string    `json:"register"`
	Kind     string    `json:"kind" enum:"shape,forecast" doc:"shape: of a day, beside such days; forecast: beside what was forecast"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Wh       float64   `json:"wh" doc:"used"`
	UsualWh  float64   `json:"usual_wh" doc:"usual, or forecast"`
	Score    float64   `json:"score" doc:"how odd it is, 0 to 1"`
	Reason   string    `json:"reason" example:"used 3.2 times what is usual on Sundays 02:00–05:00: 12.3 kWh instead of 3.8 kWh"`
	Found    time.Time `json:"found"`
}

// Findings is the newest findings.
type Findings struct {
	Findings []Finding `json:"findings" doc:"newest first"`
}

type (
	watchAnswer    struct{ Body WatchReports }
	findingsAnswer struct{ Body Findings }
	findingsQuery  struct {
		Site   string    `query:"site" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"name of a site; only its points"`
		Before time.Time `query:"before" doc:"only those that begin before it; the newest without it"`
		Limit  int       `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many at most"`
	}
)

func (s *server) registerWatch(r *routes) {
	register(r, access.With(access.Viewer, access.ReadModels), get("watch", "/v1/watch", "How models do beside the baseline, and what has drifted: the latest examination of each resolution"),
		func(ctx context.Context, _ *struct{}) (*watchAnswer, error) {
			rows, err := s.store.WatchReports(ctx, org(ctx))
			if err != nil {
				return nil, s.fault(ctx, err, "")
			}
			out := &watchAnswer{WatchReports{Reports: make([]WatchReport, len(rows))}}
			for i, r := range rows {
				if out.Body.Reports[i], err = watchReportOf(r); err != nil {
					return nil, s.fault(ctx, err, "")
				}
			}
			return out, nil
		})
	register(r, access.With(access.Viewer, access.ReadModels), get("findings", "/v1/findings", "What was out of the ordinary, with the reason, the newest first"),
		func(ctx context.Context, in *findingsQuery) (*findingsAnswer, error) {
			before := in.Before
			if before.IsZero() {
				before = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			rows, err := s.store.Findings(ctx, org(ctx), in.Site, before, in.Limit)
			if err != nil {
				return nil, s.fault(ctx, err, "")
			}
			out := &findingsAnswer{Findings{Findings: make([]Finding, len(rows))}}
			for i, f := range rows {
				out.Body.Findings[i] = Finding{
					Point: f.Point.String(), Site: f.Site, Name: f.Name, Register: f.Register, Kind: f.Kind, Start: f.Start.UTC(), End: f.End.UTC(),
					Wh: f.Wh, UsualWh: f.UsualWh, Score: f.Score, Reason: f.Reason, Found: f.FoundAt.UTC(),
				}
			}
			return out, nil
		})
}

func watchReportOf(r store.WatchReport) (WatchReport, error) {
	out := WatchReport{Resolution: iso(r.Resolution), At: r.At.UTC(), Reason: r.Reason}
	if err := json.Unmarshal(r.Report, &out.Summary); err != nil {
		return out, fmt.Errorf("read examination: %w", err)
	}
	if r.Model != nil {
		out.Model = r.Model.String()
	}
	if r.Run != nil {
		out.Run = r.Run.String()
	}
	return out, nil
}
