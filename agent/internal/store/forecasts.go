package store

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

func (k pointRegister) key() []byte { return []byte(k.Point + "/" + string(k.Register)) }

// PutForecast keeps f as the latest forecast of its point and register. It lasts from the next Flush on.
func (s *Store) PutForecast(f forecast.Forecast) error {
	if err := f.Check(); err != nil {
		return fmt.Errorf("put forecast: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := pointRegister{f.Point, f.Register}
	s.latest[key] = &storedForecast{Forecast: f}
	s.dirty.forecasts[key] = true
	return nil
}

// Forecast returns the latest forecast of a point and register.
func (s *Store) Forecast(point string, register meter.Register) (f forecast.Forecast, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.latest[pointRegister{point, register}]; l != nil {
		return l.Forecast, true
	}
	return forecast.Forecast{}, false
}

// Forecasts returns the latest forecast of every point and register, by name.
func (s *Store) Forecasts() []forecast.Forecast {
	return s.forecasts(func(*storedForecast) bool { return true })
}

// UnsentForecasts returns up to most of the latest forecasts that the hub has not got.
func (s *Store) UnsentForecasts(most int) []forecast.Forecast {
	fs := s.forecasts(func(l *storedForecast) bool { return !l.Sent })
	return fs[:min(len(fs), most)]
}

func (s *Store) forecasts(want func(*storedForecast) bool) []forecast.Forecast {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []forecast.Forecast
	for _, l := range s.latest {
		if want(l) {
			out = append(out, l.Forecast)
		}
	}
	slices.SortFunc(out, func(a, b forecast.Forecast) int {
		return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Register, b.Register))
	})
	return out
}

// AckForecasts records that the hub has these forecasts. One that was replaced meanwhile stays unsent.
func (s *Store) AckForecasts(fs []forecast.Forecast) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range fs {
		key := pointRegister{f.Point, f.Register}
		if l := s.latest[key]; l != nil && l.Forecast.Origin == f.Origin && l.Forecast.Issued == f.Issued {
			l.Sent = true
			s.dirty.forecasts[key] = true
		}
	}
}

func (s *Store) loadForecasts(b *bbolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		l := new(storedForecast)
		if err := json.Unmarshal(v, l); err != nil {
			return fmt.Errorf("%w: forecast %s: %w", errDamaged, k, err)
		}
		s.latest[pointRegister{l.Forecast.Point, l.Forecast.Register}] = l
		return nil
	})
}
