package weather

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/sony/gobreaker/v2"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

const (
	forecastDays = 7
	mostAnswer   = 4 << 20 // bytes: a year of hours is 400 kB
	mostHours    = 24 * 400
	breakAfter   = 5 // failed requests in a row
	breakFor     = 5 * time.Minute
)

// OpenMeteoOptions say which server.
type OpenMeteoOptions struct {
	URL     string // as https://api.open-meteo.com
	Archive string // as https://archive-api.open-meteo.com
	Key     string // of a customer; empty for the free service
	Timeout time.Duration
	Retries int
	Now     func() time.Time
}

// OpenMeteo asks an Open-Meteo server (https://open-meteo.com/en/docs). What lies in the past it takes from the same models
// that forecast, which is the nearest to an observation that there is for any place.
type OpenMeteo struct {
	o       OpenMeteoOptions
	http    *retryablehttp.Client
	breaker *gobreaker.CircuitBreaker[*http.Response]
}

// NewOpenMeteo returns a provider; it connects to nothing yet. After some failures in a row it does not ask for a while.
func NewOpenMeteo(o OpenMeteoOptions) *OpenMeteo {
	c := retryablehttp.NewClient()
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = o.Retries, 200*time.Millisecond, 10*time.Second
	c.HTTPClient.Timeout = o.Timeout
	c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Logger = nil
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	b := gobreaker.NewCircuitBreaker[*http.Response](gobreaker.Settings{
		Name: "open-meteo", Timeout: breakFor, ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= breakAfter },
	})
	return &OpenMeteo{o, c, b}
}

// Name implements Provider.
func (p *OpenMeteo) Name() string { return "open-meteo" }

// Now implements Provider.
func (p *OpenMeteo) Now(ctx context.Context, at store.Place, pastDays int) (observed, forecast feature.WeatherSeries, err error) {
	s, err := p.ask(ctx, p.o.URL+"/v1/forecast", at, url.Values{"past_days": {strconv.Itoa(pastDays)}, "forecast_days": {strconv.Itoa(forecastDays)}})
	if err != nil {
		return s, s, err
	}
	now := meter.MillisOf(p.o.Now()).Floor(time.Hour)
	observed, forecast = s, s.Since(now)
	n := min(len(s.Temperature), max(0, int(now.Sub(s.Start)/time.Hour)))
	observed.Temperature, observed.Radiation = s.Temperature[:n], s.Radiation[:n]
	if forecast.Empty() {
		return observed, forecast, fmt.Errorf("open-meteo: the answer ends at %s and forecasts nothing", s.End())
	}
	return observed, forecast, nil
}

// Archive implements Provider.
func (p *OpenMeteo) Archive(ctx context.Context, at store.Place, first, last time.Time) (feature.WeatherSeries, error) {
	return p.ask(ctx, p.o.Archive+"/v1/archive", at, url.Values{"start_date": {first.Format(time.DateOnly)}, "end_date": {last.Format(time.DateOnly)}})
}

// answer is what is read of an answer. Values may be null.
type answer struct {
	Hourly struct {
		Time        []int64    `json:"time"` // Unix seconds
		Temperature []*float64 `json:"temperature_2m"`
		Radiation   []*float64 `json:"shortwave_radiation"`
	} `json:"hourly"`
	Reason string `json:"reason"`
}

// ask asks for hourly weather.
func (p *OpenMeteo) ask(ctx context.Context, to string, at store.Place, q url.Values) (feature.WeatherSeries, error) {
	q.Set("latitude", strconv.FormatFloat(at.Latitude, 'f', 4, 64))
	q.Set("longitude", strconv.FormatFloat(at.Longitude, 'f', 4, 64))
	q.Set("hourly", "temperature_2m,shortwave_radiation")
	q.Set("timeformat", "unixtime")
	q.Set("timezone", "GMT")
	if p.o.Key != "" {
		q.Set("apikey", p.o.Key)
	}
	s, err := p.read(ctx, to+"?"+q.Encode())
	if err != nil {
		return s, fmt.Errorf("open-meteo: %w", err)
	}
	return s, nil
}

func (p *OpenMeteo) read(ctx context.Context, address string) (feature.WeatherSeries, error) {
	var none feature.WeatherSeries
	r, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return none, withoutURL(err)
	}
	res, err := p.breaker.Execute(func() (*http.Response, error) {
		res, err := p.http.Do(r)
		if err == nil && res.StatusCode >= http.StatusInternalServerError {
			_ = res.Body.Close()
			return nil, errors.New(res.Status)
		}
		return res, err
	})
	if err != nil {
		return none, withoutURL(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer+1))
	if err != nil {
		return none, err
	}
	if len(body) > mostAnswer {
		return none, fmt.Errorf("an answer of over %d bytes", mostAnswer)
	}
	var a answer
	err = json.Unmarshal(body, &a)
	if res.StatusCode != http.StatusOK {
		return none, fmt.Errorf("%s: %.200s", res.Status, a.Reason)
	}
	if err != nil {
		return none, fmt.Errorf("read answer: %w", err)
	}
	return a.series()
}

// withoutURL returns err without the address asked, which may hold the key.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// series lays the answer on intervals. Temperatures are of instants: their mean over an hour is that of both its ends.
// Radiation is the mean over the hour that ends at its instant.
func (a answer) series() (feature.WeatherSeries, error) {
	var s feature.WeatherSeries
	h := a.Hourly
	n := len(h.Time)
	if n == 0 || n > mostHours || len(h.Temperature) != n || len(h.Radiation) != n {
		return s, fmt.Errorf("an answer of %d instants, %d temperatures and %d of radiation: want as many of each, 1 to %d", n, len(h.Temperature), len(h.Radiation), mostHours)
	}
	s = feature.WeatherSeries{Start: meter.MillisOf(time.Unix(h.Time[0], 0)), Resolution: time.Hour}
	value := func(values []*float64, i int) float64 {
		if i >= n || values[i] == nil {
			return math.NaN()
		}
		return *values[i]
	}
	for i, at := range h.Time {
		if at != h.Time[0]+int64(i)*3600 {
			return s, fmt.Errorf("instant %d of the answer is %d: want one each hour", i+1, at)
		}
		begin, end := value(h.Temperature, i), value(h.Temperature, i+1)
		if end != end {
			end = begin
		}
		s.Temperature = append(s.Temperature, (begin+end)/2)
		s.Radiation = append(s.Radiation, value(h.Radiation, i+1))
	}
	if err := (&feature.Weather{Observed: s}).Check(); err != nil {
		return s, err
	}
	return s, nil
}
