// Package weather keeps the weather at the site as the hub tells it: what was observed over the last weeks and the newest
// forecast.
//
// It outlives restarts and the hub's absence; a forecast that is too old is no longer used (feature.MaxForecastAge), and then
// features of weather are missing. It must not know the uplink nor the store's format.
//
// Invariants: what is held has passed feature.Weather.Check; what was handed out does not change; a damaged copy is left, said
// and asked for again, and never keeps the agent from starting.
package weather

import (
	"log/slog"
	"sync"
	"time"

	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// name is that under which the store keeps the weather.
const name = "weather"

// Store keeps a few kilobytes under a name, durably.
type Store interface {
	Put(name string, value []byte) error
	Value(name string) ([]byte, error)
}

// Keeper holds the weather. It is safe for concurrent use.
type Keeper struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	mu   sync.Mutex
	held *feature.Weather // nil: none
}

// Open returns a keeper of what the store has.
func Open(store Store, now func() time.Time, log *slog.Logger) *Keeper {
	k := &Keeper{store: store, now: now, log: log}
	b, err := store.Value(name)
	if err == nil && b != nil {
		var w wire.Weather
		if w, err = wire.UnmarshalWeather(b); err == nil {
			k.held = k.with(w)
		}
	}
	if err != nil {
		log.Error("the weather kept cannot be read; the hub will tell it again", "error", err)
	}
	return k
}

// with returns what is held with w in it. Only the newest forecast stays.
func (k *Keeper) with(w wire.Weather) *feature.Weather {
	var forecasts []feature.WeatherForecast
	if w.Forecast != nil {
		forecasts = append(forecasts, *w.Forecast)
	}
	from := meter.MillisOf(k.now()).Add(-wire.WeatherSpan)
	return k.held.With(w.Observed, forecasts, from, 1)
}

// Take takes in what the hub tells.
func (k *Keeper) Take(w wire.Weather) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = k.with(w)
	all := wire.Weather{Observed: k.held.Observed}
	if n := len(k.held.Forecasts); n > 0 {
		all.Forecast = &k.held.Forecasts[n-1]
	}
	b, err := wire.MarshalWeather(all)
	if err == nil {
		err = k.store.Put(name, b)
	}
	if err != nil {
		k.log.Error("the weather could not be kept; after a restart the hub will tell it again", "error", err)
	}
}

// Held says how far what is held goes.
func (k *Keeper) Held() wire.Held {
	k.mu.Lock()
	defer k.mu.Unlock()
	var h wire.Held
	if k.held == nil {
		return h
	}
	if o := k.held.Observed; !o.Empty() {
		h.To = o.End()
	}
	if n := len(k.held.Forecasts); n > 0 {
		h.Issued = k.held.Forecasts[n-1].Issued
	}
	return h
}

// Around returns site with the weather there. Neither may be changed.
func (k *Keeper) Around(site *feature.Site) *feature.Site {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil {
		return site
	}
	var out feature.Site
	if site != nil {
		out = *site
	}
	out.Weather = k.held
	return &out
}
