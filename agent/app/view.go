package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"fluxora.dev/agent/internal/history"
	"fluxora.dev/agent/internal/schedule"
	"fluxora.dev/agent/internal/status"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

// view shows the agent to the status interface.
type view struct{ *agent }

var _ status.Source = view{}

// Overview implements status.Source.
func (v view) Overview() status.Overview {
	ledger, quarantine, broker := v.store.Ledger(), v.store.QuarantineStats(), v.mqtt.Stats()
	o := status.Overview{
		Site: v.config.Site, Version: v.version,
		Readings: status.Books{
			Received: ledger.Received, Delivered: ledger.Delivered, Evicted: ledger.Evicted, Thinned: ledger.Thinned, Pending: ledger.Pending,
			Quarantined: quarantine.Kept, Duplicates: v.ingest.Stats().Repeats,
		},
		Store:  v.storeUse(),
		Broker: status.Connection{Address: v.config.MQTT.URL, Connected: broker.Connected, Since: instant(broker.Since), LastError: broker.LastError},
		Hub:    status.Connection{Address: v.hubAddress()},
	}
	if v.identity != nil {
		o.Agent = v.identity.Agent()
	}
	if v.uplink != nil {
		hub := v.uplink.Status()
		o.Hub.Connected, o.Hub.Since, o.Hub.LastAck, o.Hub.LastError = hub.Connected, instant(hub.Since), instant(hub.LastAck), hub.LastError
	}
	if m, ok := v.cache.Active(); ok {
		o.Model = m.ID
	}
	if w := v.weather.Held(); w != (wire.Held{}) {
		o.Weather = &status.Weather{ObservedTo: moment(w.To), Issued: moment(w.Issued)}
	}
	return o
}

func (v view) storeUse() status.StoreUse {
	x := v.store.Stats()
	use := status.StoreUse{Bytes: x.Bytes, MaxBytes: int64(v.config.Store.MaxBytes), WrittenPerDay: int64(x.BytesPerDay), SecondsAtRisk: x.SecondsAtRisk}
	if !math.IsInf(x.HoursUntilFull, 1) {
		use.HoursUntilFull = &x.HoursUntilFull
	}
	return use
}

func moment(t meter.Millis) *time.Time {
	if t == 0 {
		return nil
	}
	return instant(t.Time())
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Points implements status.Source.
func (v view) Points() []status.Point {
	streams := v.history.Streams()
	out := make([]status.Point, 0, len(streams))
	covered := v.predict.Coverage()
	for _, s := range streams {
		p := status.Point{Name: s.Point, Register: s.Register, Resolution: s.Resolution}
		if s.Readings > 0 {
			p.LastReading = &s.Last
		}
		if s.Closed > 0 {
			is, err := v.history.History(s.Point, s.Register, s.Closed.Add(-s.Resolution), s.Closed)
			if err != nil {
				v.log.Error("newest interval not read", "point", s.Point, "error", err)
			} else if len(is) > 0 {
				p.LastInterval = &is[len(is)-1]
			}
		}
		if f, ok := v.schedule.Latest(schedule.Target(s.Target)); ok {
			p.Rung, p.Origin = f.Rung, f.Origin
		}
		for _, c := range covered {
			if c.Point == s.Point && c.Register == s.Register {
				h := c.Hours()
				p.Coverage = append(p.Coverage, status.Coverage{
					Lead: c.Band, Nominal: c.Nominal, Within: c.Tally.Coverage(), Below: c.Below / h, Above: c.Above / h, Hours: h,
				})
			}
		}
		out = append(out, p)
	}
	return out
}

// Readings implements status.Source. A reading that was corrected stands there with both values, in order of arrival.
func (v view) Readings(ctx context.Context, point string, register meter.Register, from, to meter.Millis, limit int) ([]meter.Reading, error) {
	if err := v.known(point, register); err != nil {
		return nil, err
	}
	var rs []meter.Reading
	for _, s := range v.store.Series() {
		if s.Point != point || s.Register != register {
			continue
		}
		err := v.store.Scan(s.ID, from, to, func(r meter.Reading) error {
			// Scan gives the order of arrival; far more than is wanted is cut to the earliest now and then.
			if rs = append(rs, r); len(rs) > 4*limit+1000 {
				rs = earliest(rs, limit)
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return earliest(rs, limit), nil
}

// earliest returns the first n of rs by time.
func earliest(rs []meter.Reading, n int) []meter.Reading {
	slices.SortStableFunc(rs, func(a, b meter.Reading) int { return cmp.Compare(a.At, b.At) })
	return rs[:min(n, len(rs))]
}

// Intervals implements status.Source.
func (v view) Intervals(_ context.Context, point string, register meter.Register, from, to meter.Millis) ([]interval.Interval, error) {
	if err := v.known(point, register); err != nil {
		return nil, err
	}
	return v.history.History(point, register, from, to)
}

func (v view) known(point string, register meter.Register) error {
	if _, ok := v.history.Stream(history.Target{Point: point, Register: register}); !ok {
		return fmt.Errorf("register %s of point %.80q is %w", register, point, status.ErrUnknown)
	}
	return nil
}

// target returns what is forecast of a point.
func (v view) target(point string) (schedule.Target, error) {
	r, ok := v.forecastRegister(point)
	if !ok {
		return schedule.Target{}, fmt.Errorf("point %.80q is %w", point, status.ErrUnknown)
	}
	return schedule.Target{Point: point, Register: r}, nil
}

// Forecast implements status.Source.
func (v view) Forecast(point string) (forecast.Forecast, error) {
	t, err := v.target(point)
	if err != nil {
		return forecast.Forecast{}, err
	}
	f, ok := v.schedule.Latest(t)
	if !ok {
		return f, fmt.Errorf("forecast %s: %w yet", point, forecast.ErrNoHistory)
	}
	return f, nil
}

// MakeForecast implements status.Source. Between two closed intervals the origin is the end of the newest closed one.
func (v view) MakeForecast(ctx context.Context, point string) (forecast.Forecast, error) {
	t, err := v.target(point)
	if err != nil {
		return forecast.Forecast{}, err
	}
	f, err := v.schedule.Now(ctx, t)
	if errors.Is(err, schedule.ErrNotForecast) {
		return v.Forecast(point)
	}
	return f, err
}
