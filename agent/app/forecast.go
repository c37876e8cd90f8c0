package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"fluxora.dev/agent/internal/history"
	"fluxora.dev/agent/internal/predict"
	"fluxora.dev/agent/internal/schedule"
	"fluxora.dev/agent/internal/watch"
	"fluxora.dev/agent/internal/weather"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// registers lists what may be forecast of a point, the most telling first. One forecast is made for each point.
var registers = []meter.Register{meter.EnergyImport, meter.EnergyExport, meter.PowerImport, meter.PowerExport}

// forecastRegister returns the register that is forecast of a point: the first of registers that it has readings of.
func (a *agent) forecastRegister(point string) (meter.Register, bool) {
	for _, r := range registers {
		if _, ok := a.history.Stream(history.Target{Point: point, Register: r}); ok {
			return r, true
		}
	}
	return "", false
}

// watched lists what is forecast, with the end of what is known of it.
func (a *agent) watched() (out []watch.Target) {
	for _, s := range a.history.Streams() {
		if r, ok := a.forecastRegister(s.Point); ok && r == s.Register && s.Closed > 0 {
			out = append(out, watch.Target{Point: s.Point, Register: s.Register, Resolution: s.Resolution, Closed: s.Closed})
		}
	}
	return out
}

// originMoved passes a new origin from the history to the schedule. The history is locked meanwhile, so what it must be
// asked for is asked later, by the schedule's maker.
func (a *agent) originMoved(t history.Target, origin meter.Millis) {
	a.schedule.Origin(schedule.Target(t), origin)
}

// histories shows the history to the predictor, in the zone that the site follows.
type histories struct {
	intervals *history.History
	config    Config
	zone      *time.Location
	site      *feature.Site
	weather   *weather.Keeper
}

var _ predict.Histories = histories{}

// History implements predict.Histories.
func (h histories) History(point string, register meter.Register, from, to meter.Millis) (feature.History, error) {
	is, err := h.intervals.History(point, register, from, to)
	if err != nil {
		return feature.History{}, err
	}
	resolution := h.config.PointOf(point).Resolution
	if len(is) > 0 {
		from = max(from, is[0].Start)
	}
	out, err := feature.NewHistory(is, from.Floor(resolution), to, resolution, h.zone)
	out.Site = h.weather.Around(h.site)
	return out, err
}

// maker makes the schedule's forecasts with the predictor and logs which rungs failed.
type maker struct {
	a   *agent
	log *slog.Logger
}

var _ schedule.Maker = maker{}

// Make implements schedule.Maker.
func (m maker) Make(ctx context.Context, t schedule.Target, origin meter.Millis) (forecast.Forecast, error) {
	if r, ok := m.a.forecastRegister(t.Point); ok && r != t.Register && slices.Contains(registers, r) {
		return forecast.Forecast{}, fmt.Errorf("%w: %s is forecast by its register %s", schedule.ErrNotForecast, t.Point, r)
	}
	f, drops, err := m.a.predict.Forecast(ctx, t.Point, t.Register, origin)
	for _, d := range drops {
		if d.Model != "" {
			m.log.Error("the model could not be used; going down a rung", "point", t.Point, "rung", d.Rung, "model", d.Model, "error", d.Err)
		}
	}
	return f, err
}
