package weather_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"fluxora.dev/agent/internal/weather"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// values is a store in memory that may fail.
type values struct {
	held map[string][]byte
	fail error
}

func (v *values) Put(name string, b []byte) error {
	if v.fail == nil {
		v.held[name] = b
	}
	return v.fail
}

func (v *values) Value(name string) ([]byte, error) { return v.held[name], v.fail }

var now = time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)

func open(v *values) *weather.Keeper {
	return weather.Open(v, func() time.Time { return now }, slog.New(slog.DiscardHandler))
}

// hours are n hours of weather, the last of which ends so much after now.
func hours(n int, end time.Duration, first float64) feature.WeatherSeries {
	s := feature.WeatherSeries{Start: meter.MillisOf(now.Add(end - time.Duration(n)*time.Hour)), Resolution: time.Hour}
	for i := range n {
		s.Temperature = append(s.Temperature, first+float64(i)/100)
	}
	return s
}

func TestWeatherOutlivesARestart(t *testing.T) {
	v := &values{held: map[string][]byte{}}
	k := open(v)
	site := &feature.Site{Country: "NO"}
	if k.Around(site) != site || k.Held() != (wire.Held{}) {
		t.Error("without weather the site is changed")
	}
	k.Take(wire.Weather{Observed: hours(50*24, -time.Hour, -5)})
	before := k.Around(site)
	k.Take(wire.Weather{Observed: hours(2, 0, 7), Forecast: &feature.WeatherForecast{Issued: meter.MillisOf(now), WeatherSeries: hours(48, 48*time.Hour, 1)}})
	if len(before.Weather.Forecasts) != 0 || before.Country != "NO" {
		t.Error("what was handed out changed")
	}
	for _, k := range []*weather.Keeper{k, open(v)} {
		got := k.Around(nil).Weather
		if err := got.Check(); err != nil {
			t.Fatal(err)
		}
		if n := len(got.Observed.Temperature); n != int(wire.WeatherSpan/time.Hour) || got.Observed.Temperature[n-2] != 7 {
			t.Errorf("%d hours observed, the last but one %g: want %s and 7", n, got.Observed.Temperature[n-2], wire.WeatherSpan)
		}
		if h := k.Held(); h.To != meter.MillisOf(now) || h.Issued != meter.MillisOf(now) {
			t.Errorf("held %+v", h)
		}
	}
}

func TestDamagedWeatherIsAskedForAgain(t *testing.T) {
	v := &values{held: map[string][]byte{"weather": []byte("\xff\xffrubbish")}}
	if h := open(v).Held(); h != (wire.Held{}) {
		t.Errorf("held %+v of rubbish", h)
	}
	v.fail = errors.New("no space left")
	k := open(v)
	k.Take(wire.Weather{Observed: hours(3, 0, 1)})
	if k.Held().To == 0 {
		t.Error("weather that could not be kept is not used either")
	}
}
