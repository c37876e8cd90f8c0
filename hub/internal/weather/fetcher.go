package weather

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Provider is a source of weather. It must be safe for concurrent use.
type Provider interface {
	// Name says who it is, in the store and in logs.
	Name() string
	// Now returns what was observed over the last days, and the forecast for the days to come.
	Now(ctx context.Context, at store.Place, pastDays int) (observed, forecast feature.WeatherSeries, err error)
	// Archive returns what was observed on days long past, the last included.
	Archive(ctx context.Context, at store.Place, first, last time.Time) (feature.WeatherSeries, error)
}

// Store is where weather is kept; *store.Store is one.
type Store interface {
	ClaimWeather(ctx context.Context, lease time.Duration) (store.WeatherTask, bool, error)
	WeatherDone(ctx context.Context, t store.WeatherTask, failure error, backTo time.Time, next time.Duration) error
	PutWeather(ctx context.Context, org, site uuid.UUID, source string, observed feature.WeatherSeries, f *feature.WeatherForecast) error
	SpendWeather(ctx context.Context, provider string, quota int) (bool, error)
}

const (
	lease       = 10 * time.Minute
	settleDays  = 5   // observations change for so many days, while the provider learns more
	recentDays  = 90  // that Now can give
	archiveDays = 365 // asked for at once
	longest     = 24 * time.Hour
)

// ErrQuota says that the day's requests are used up.
var ErrQuota = errors.New("the day's quota of requests is used up")

// Options say how often to ask.
type Options struct {
	Every   time.Duration // a site
	Look    time.Duration // how often to look for sites that are due
	Quota   int           // requests a day
	History time.Duration // how far back observations are of use
	Log     *slog.Logger
	Now     func() time.Time
}

// Fetcher keeps the weather of all sites up to date.
type Fetcher struct {
	store    Store
	provider Provider
	o        Options
}

// New returns a fetcher that does not run yet.
func New(s Store, p Provider, o Options) *Fetcher { return &Fetcher{s, p, o} }

// Run fetches until ctx ends.
func (f *Fetcher) Run(ctx context.Context) error {
	tick := time.NewTicker(f.o.Look)
	defer tick.Stop()
	for {
		for {
			more, err := f.Next(ctx)
			if err != nil && ctx.Err() == nil {
				f.o.Log.WarnContext(ctx, "weather not looked for; trying on", "error", err)
			}
			if err != nil || !more {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Next fetches the weather of one site that is due. It reports false when none is. An error is the store's: the provider's are
// kept beside the site.
func (f *Fetcher) Next(ctx context.Context) (bool, error) {
	t, ok, err := f.store.ClaimWeather(ctx, lease)
	if err != nil || !ok {
		return false, err
	}
	backTo, failure := f.fetch(ctx, t)
	if ctx.Err() != nil {
		return false, context.Cause(ctx) // the lease ends by itself
	}
	next := f.o.Every + rand.N(f.o.Every/8+1)
	if failure != nil {
		f.o.Log.WarnContext(ctx, "no weather for a site", "site", t.Site, "provider", f.provider.Name(), "error", failure)
		next = min(longest, f.o.Every/4<<min(t.Failures, 6))
		if errors.Is(failure, ErrQuota) {
			now := f.o.Now().UTC()
			next = now.Truncate(24*time.Hour).Add(24*time.Hour).Sub(now) + rand.N(time.Hour)
		}
	}
	return true, f.store.WeatherDone(ctx, t, failure, backTo, next)
}

// fetch asks for what a site needs and keeps it. It returns how far back observations have now been asked for.
func (f *Fetcher) fetch(ctx context.Context, t store.WeatherTask) (backTo time.Time, err error) {
	today := f.o.Now().UTC().Truncate(24 * time.Hour)
	days := settleDays
	if t.BackTo == nil {
		days = recentDays
	}
	if err := f.spend(ctx); err != nil {
		return time.Time{}, err
	}
	observed, coming, err := f.provider.Now(ctx, t.Place, days)
	if err != nil {
		return time.Time{}, err
	}
	issued := feature.WeatherForecast{Issued: meter.MillisOf(f.o.Now()), WeatherSeries: coming}
	if err := f.store.PutWeather(ctx, t.Org, t.Site, f.provider.Name(), observed, &issued); err != nil {
		return time.Time{}, err
	}
	if t.BackTo == nil {
		backTo = today.AddDate(0, 0, -recentDays)
		t.BackTo = &backTo
	}
	// Older days, as far as the points' history goes, a year each time.
	want := today.Add(-f.o.History)
	if t.History == nil || !want.Before(*t.BackTo) {
		return backTo, nil
	}
	if t.History.After(want) {
		want = t.History.UTC().Truncate(24 * time.Hour)
	}
	if !want.Before(*t.BackTo) {
		return backTo, nil
	}
	last := t.BackTo.AddDate(0, 0, -1)
	first := last.AddDate(0, 0, -archiveDays)
	if first.Before(want) {
		first = want
	}
	if err := f.spend(ctx); err != nil {
		return backTo, err
	}
	old, err := f.provider.Archive(ctx, t.Place, first, last)
	if err != nil {
		return backTo, err
	}
	return first, f.store.PutWeather(ctx, t.Org, t.Site, f.provider.Name(), old, nil)
}

func (f *Fetcher) spend(ctx context.Context) error {
	ok, err := f.store.SpendWeather(ctx, f.provider.Name(), f.o.Quota)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %d", ErrQuota, f.o.Quota)
	}
	return err
}
