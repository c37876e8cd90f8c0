package weather_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
	"fluxora.dev/hub/internal/weather"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// sky is a provider whose weather is 5 °C observed and 9 °C forecast.
type sky struct {
	mu      sync.Mutex
	asked   int
	archive [][2]time.Time
	fail    error
}

func (p *sky) Name() string { return "sky" }

func (p *sky) Now(_ context.Context, _ store.Place, pastDays int) (observed, forecast feature.WeatherSeries, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	today := now.Truncate(24 * time.Hour)
	return even(today.AddDate(0, 0, -pastDays), now, 5), even(now.Truncate(time.Hour), now.AddDate(0, 0, 7), 9), p.fail
}

func (p *sky) Archive(_ context.Context, _ store.Place, first, last time.Time) (feature.WeatherSeries, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.archive = append(p.archive, [2]time.Time{first, last})
	return even(first, last.AddDate(0, 0, 1), -3), p.fail
}

func even(from, to time.Time, celsius float64) feature.WeatherSeries {
	s := feature.WeatherSeries{Start: meter.MillisOf(from), Resolution: time.Hour}
	for s.End() < meter.MillisOf(to.Truncate(time.Hour)) {
		s.Temperature = append(s.Temperature, celsius)
	}
	return s
}

func fetcher(s weather.Store, p weather.Provider, quota int) *weather.Fetcher {
	return weather.New(s, p, weather.Options{
		Every: time.Hour, Look: time.Minute, Quota: quota, History: 300 * 24 * time.Hour, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
}

func placed(t *testing.T) (*store.Store, uuid.UUID, store.Site) {
	t.Helper()
	s := storetest.Open(t)
	org, site, _ := storetest.Site(t, s, "org", store.Site{Name: "town"})
	site.Place = &drama
	if err := s.UpdateSite(t.Context(), org, site); err != nil {
		t.Fatal(err)
	}
	return s, org, site
}

func TestWeatherIsFetchedOnceWhenDue(t *testing.T) {
	s, org, site := placed(t)
	p := new(sky)
	hubs := []*weather.Fetcher{fetcher(s, p, 100), fetcher(s, p, 100)}
	var wg sync.WaitGroup
	for _, f := range hubs {
		wg.Go(func() {
			if _, err := f.Next(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if p.asked != 1 || len(p.archive) != 0 {
		t.Fatalf("asked %d times, of the archive %d: want once, and no archive for a site without history", p.asked, len(p.archive))
	}
	around, err := s.Surroundings(t.Context(), org, site, meter.MillisOf(now.AddDate(0, 0, -10)), meter.MillisOf(now.AddDate(0, 0, 1)), true)
	if err != nil || around.Weather.Check() != nil {
		t.Fatal(err)
	}
	w := around.Weather
	if o := w.Observed; o.End() != meter.MillisOf(now.Truncate(time.Hour)) || o.Temperature[0] != 5 || len(w.Forecasts) != 1 || w.Forecasts[0].Temperature[0] != 9 || w.Forecasts[0].Issued != meter.MillisOf(now) {
		t.Errorf("observed to %s, forecasts %+v", o.End(), w.Forecasts)
	}
	state, err := s.WeatherState(t.Context(), org, site.ID)
	if err != nil || state.FetchedAt == nil || state.Error != "" || !state.NextAt.After(time.Now().Add(30*time.Minute)) {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestAFailureIsKeptAndTriedAgain(t *testing.T) {
	s, org, site := placed(t)
	p := &sky{fail: errors.New("the sky is down")}
	f := fetcher(s, p, 100)
	if more, err := f.Next(t.Context()); !more || err != nil {
		t.Fatal(more, err)
	}
	state, err := s.WeatherState(t.Context(), org, site.ID)
	if err != nil || state.Failures != 1 || state.Error != "the sky is down" || state.FetchedAt != nil {
		t.Fatalf("%+v, %v", state, err)
	}
	around, err := s.Surroundings(t.Context(), org, site, 0, meter.MillisOf(now), true)
	if err != nil || around.Weather != nil {
		t.Errorf("%+v, %v: want no weather", around.Weather, err)
	}
	if more, err := f.Next(t.Context()); more || err != nil {
		t.Errorf("asked again at once: %t, %v", more, err)
	}
}

func TestQuotaIsKept(t *testing.T) {
	s, org, site := placed(t)
	p := new(sky)
	if _, err := fetcher(s, p, 0).Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	state, err := s.WeatherState(t.Context(), org, site.ID)
	if err != nil || p.asked != 0 || state.Failures != 1 {
		t.Errorf("asked %d times over the quota; %+v, %v", p.asked, state, err)
	}
}

// TestOldWeatherIsFetchedAsFarAsHistoryGoes: the archive is asked backwards, a year each time, no further than the points' history.
func TestOldWeatherIsFetchedAsFarAsHistoryGoes(t *testing.T) {
	s, org, site := placed(t)
	p := new(sky)
	task := store.WeatherTask{Org: org, Site: site.ID, Place: drama}
	begins := now.AddDate(0, 0, -200)
	task.History = &begins
	claimed := once{s, &task}
	f := fetcher(&claimed, p, 100)
	for range 3 {
		if _, err := f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.archive) != 1 || p.archive[0][0] != begins.Truncate(24*time.Hour) || p.archive[0][1] != now.Truncate(24*time.Hour).AddDate(0, 0, -91) {
		t.Errorf("archive asked for %v", p.archive)
	}
	around, err := s.Surroundings(t.Context(), org, site, meter.MillisOf(begins), meter.MillisOf(now), true)
	if err != nil {
		t.Fatal(err)
	}
	if o := around.Weather.Observed; o.Temperature[30] != -3 || o.Temperature[len(o.Temperature)-1] != 5 {
		t.Errorf("%g then %g °C, want -3 and 5", o.Temperature[30], o.Temperature[len(o.Temperature)-1])
	}
}

// once is a store whose site is always due.
type once struct {
	*store.Store
	task *store.WeatherTask
}

func (o *once) ClaimWeather(context.Context, time.Duration) (store.WeatherTask, bool, error) {
	return *o.task, true, nil
}

func (o *once) WeatherDone(ctx context.Context, t store.WeatherTask, failure error, backTo time.Time, next time.Duration) error {
	if !backTo.IsZero() {
		o.task.BackTo = &backTo
	}
	return o.Store.WeatherDone(ctx, t, failure, backTo, next)
}
