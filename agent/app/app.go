// Package app puts the agent together: it builds the parts in one straight line, connects them and takes them down again.
//
// It is the one package of the agent that others may import, so that an end-to-end test can run it. It must not decide
// anything that a part could decide: what is here only passes one part's words to another.
package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fluxora.dev/agent/internal/artifact"
	"fluxora.dev/agent/internal/clock"
	"fluxora.dev/agent/internal/history"
	"fluxora.dev/agent/internal/identity"
	"fluxora.dev/agent/internal/ingest"
	"fluxora.dev/agent/internal/ledger"
	"fluxora.dev/agent/internal/mqtt"
	"fluxora.dev/agent/internal/predict"
	"fluxora.dev/agent/internal/schedule"
	"fluxora.dev/agent/internal/status"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/agent/internal/store/thin"
	"fluxora.dev/agent/internal/uplink"
	"fluxora.dev/agent/internal/watch"
	"fluxora.dev/agent/internal/weather"
	"fluxora.dev/proto/wire"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/lifecycle"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/topic"
)

// Options say what to run.
type Options struct {
	Config  Config
	Log     *slog.Logger
	Version string
	Now     func() time.Time // believed; by default the machine's clocks are read, and believed as far as package clock says

	// Ready, when set, is told the address of the status interface once everything runs.
	Ready func(address string)
}

// clockRecord names the clock's record in the store.
const clockRecord = "clock"

// grace is how long the parts have to stop.
const grace = 15 * time.Second

// errReconfigured ends a run because the hub decided something that the parts are built on.
var errReconfigured = errors.New("the hub changed the site's configuration")

// Run runs the agent until ctx ends. When the hub changes what the parts are built on, it builds them anew.
func Run(ctx context.Context, o Options) error {
	for {
		err := runOnce(ctx, o)
		if !errors.Is(err, errReconfigured) {
			return err
		}
		o.Log.Info("the hub changed the site's configuration; starting anew with it")
	}
}

func runOnce(ctx context.Context, o Options) error {
	a := &agent{config: o.Config, version: o.Version, log: o.Log, parts: lifecycle.New(ctx, o.Log, grace)}
	if a.clock = clock.Fixed(o.Now); o.Now == nil {
		a.clock = clock.New(clock.Machine(o.Config.Clock.OffsetFile), a.component("clock"))
	}
	a.now = a.clock.Now
	if err := a.build(); err != nil {
		return errors.Join(err, a.parts.Stop())
	}
	if o.Ready != nil && a.status != nil {
		o.Ready(a.status.Addr())
	}
	return a.parts.Wait()
}

// agent is the running parts.
type agent struct {
	config  Config
	version string
	now     func() time.Time
	log     *slog.Logger
	parts   *lifecycle.Group

	revision atomic.Uint64 // of what the hub decided for the site, in force
	clock    *clock.Clock
	store    *store.Store
	history  *history.History
	books    *ledger.Books
	ingest   *ingest.Ingest
	mqtt     *mqtt.Client
	identity *identity.Identity // nil until enrolled
	cache    *artifact.Cache
	predict  *predict.Predictor
	watch    *watch.Watch
	weather  *weather.Keeper
	schedule *schedule.Schedule
	uplink   *uplink.Client // nil without a hub
	status   *status.Server // nil when not wanted
	settling sync.Mutex     // of the quarantine, one message at a time
}

func (a *agent) component(name string) *slog.Logger { return a.log.With("component", name) }

// build makes the parts, from the disk outwards: first what keeps readings, then what is made of them, and the broker last,
// so that no message comes before everything is ready for it.
func (a *agent) build() error {
	for _, step := range []func() error{a.openStore, a.openIdentity, a.openModels, a.openHistory, a.startForecasts, a.startUplink, a.startIngest, a.startStatus} {
		if err := step(); err != nil {
			return err
		}
	}
	a.log.Info("agent runs", "site", a.config.Site, "version", a.version, "broker", a.config.MQTT.URL, "hub", a.hubAddress(), "pending", a.store.Pending())
	return nil
}

func (a *agent) openStore() (err error) {
	a.store, err = store.Open(storeDir(a.config), store.Options{
		MaxBytes: int64(a.config.Store.MaxBytes), Retention: a.config.Store.Retention, MaxSeries: a.config.Limits.Series,
		MinFree: int64(a.config.Store.MinFree), CommitWindow: a.config.Store.CommitWindow, FlashBudget: int64(a.config.Store.FlashBudget),
		Thin: a.spare, Keep: func(key []byte) bool { return bytes.HasPrefix(key, []byte("i/")) }, // intervals stand by themselves
		Now: a.now, Log: a.component("store"),
	})
	if err != nil {
		return err
	}
	a.parts.OnStop("store", func(context.Context) error { return a.store.Close() })
	record, err := a.store.Value(clockRecord)
	if err != nil {
		return err
	}
	if err := a.clock.Restore(record, func(b []byte) error { return a.store.Put(clockRecord, b) }); err != nil {
		a.log.Error("going on with the clock as it is", "error", err)
	}
	a.parts.Go("clock", a.clock.Run)
	for _, d := range a.store.Damage() {
		a.log.Error("the store was damaged", "what", d)
	}
	decided, err := hubDecided(a.store)
	if err != nil {
		a.log.Error("going on with the agent's own settings", "error", err)
	}
	a.revision.Store(decided.Revision)
	a.config = decidedBy(a.config, decided)
	return nil
}

// spare says which readings the store may spare when it has no more room.
func (a *agent) spare(of meter.Series, rs []meter.Reading) []bool {
	p := a.config.PointOf(of.Point)
	return thin.Spare(of, rs, interval.Options{Resolution: p.Resolution, MaxWatts: p.MaxWatts})
}

func (a *agent) openIdentity() (err error) {
	a.identity, err = identity.Load(identityDir(a.config), a.now)
	switch {
	case errors.Is(err, identity.ErrNotEnrolled):
		a.log.Warn("not enrolled at a hub: readings are kept and forecasts made here; 'fluxora-agent enroll' connects a hub")
		return nil
	case err != nil:
		return err
	case a.identity.Site() != a.config.Site:
		return fmt.Errorf("enrolled for site %s, but the settings are for site %s: set site, or enroll with another token", a.identity.Site(), a.config.Site)
	}
	return nil
}

func (a *agent) openModels() (err error) {
	a.cache, err = artifact.Open(artifact.Options{
		Dir: filepath.Join(a.config.DataDir, "models"), Key: a.artifactKey, Check: checkArtifact,
		Log: a.component("artifact"), Version: a.version,
	})
	return err
}

// openHistory brings the intervals up to date with what was stored. The schedule comes before it, to be told of origins.
func (a *agent) openHistory() (err error) {
	a.schedule = schedule.New(maker{a, a.component("predict")}, a.store, a, a.now, a.component("schedule"))
	for _, f := range a.store.Forecasts() {
		a.schedule.Restore(f)
	}
	if a.books, err = ledger.Open(a.store, a.component("ledger")); err != nil {
		return err
	}
	a.history, err = history.Open(a.store, history.Options{Config: a.config, Books: a.books, OnOrigin: a.originMoved, Now: a.now, Log: a.component("history")})
	if err != nil {
		return err
	}
	a.parts.OnStop("history", func(context.Context) error { return a.history.Write() })
	return nil
}

func (a *agent) startForecasts() error {
	zone, err := time.LoadLocation(a.config.Zone)
	if err != nil {
		return fmt.Errorf("zone %q: %w", a.config.Zone, err)
	}
	a.weather = weather.Open(a.store, a.now, a.component("weather"))
	past, cached := histories{a.history, a.config, zone, a.config.Around(), a.weather}, &models{cache: a.cache, log: a.component("models")}
	a.predict = predict.New(past, cached, predict.Options{
		Site: a.config.Site, Horizon: a.config.Forecast.Horizon, Levels: a.config.Forecast.Levels, Now: a.now,
		States: adapterStates{a.store}, Log: a.component("predict"),
	})
	if err := (adapterStates{a.store}).prune(); err != nil {
		a.log.Error("states of points that are gone not deleted", "error", err)
	}
	a.watch = watch.New(past, cached, a.component("watch"))
	a.parts.Go("history", a.history.Run)
	a.parts.Go("forecasts", a.schedule.Make)
	a.parts.Go("watch", func(ctx context.Context) error { return a.watch.Run(ctx, time.Hour, a.watched) })
	a.parts.Go("models", func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-a.cache.Changed():
				a.schedule.Again()
			}
		}
	})
	return nil
}

func (a *agent) startUplink() error {
	if a.identity == nil {
		return nil
	}
	lineage, err := identity.OpenLineage(identityDir(a.config))
	if err != nil {
		a.log.Error("going on as an agent that was never connected", "error", err)
	}
	a.uplink = uplink.New(uplink.Options{
		Identity: a.identity, Store: uplinkStore{a.store, a.config, lineage}, Lineage: lineage, Outbox: outbox{a.store, a.cache, a.watch}, Books: uplinkBooks{a}, Log: a.component("uplink"),
		Now: a.now, Hub: a.hubAddress(), Version: a.version,
		ConfigRevision: a.revision.Load,
		OnConfig:       a.reconfigure, OnModels: a.cache.Announce,
		Weather: a.weather.Held, OnWeather: a.weather.Take,
		OnTime: func(hub meter.Millis) { a.clock.Hub(hub.Time()) },
	})
	a.parts.Go("uplink", a.uplink.Run)
	a.parts.Go("artifacts", func(ctx context.Context) error { return a.cache.Run(ctx, fetcher{a.uplink}) })
	return nil
}

func (a *agent) startIngest() error {
	c := a.config.MQTT
	var err error
	if a.ingest, err = ingest.New(a.store, ingest.Options{
		Config: a.config, Now: a.now, Clock: a.clock, Window: a.store.Window, Log: a.component("ingest"),
		Apart: func(correction bool, of meter.SeriesID, at meter.Millis) {
			what := ledger.Duplicate
			if correction {
				what = ledger.Correction
			}
			a.books.Count(what, of, at)
		},
	}); err != nil {
		return err
	}
	password, err := secret(c.PasswordFile)
	if err != nil {
		return fmt.Errorf("mqtt.password_file: %w", err)
	}
	tls, err := mqtt.TLS(c.CAFile, c.CertFile, c.KeyFile)
	if err != nil {
		return err
	}
	// The messages' way ends with the ingest, not with ctx: what is taken in while stopping is committed and acked.
	a.parts.Go("ingest", a.ingest.Run)
	a.mqtt = mqtt.New(mqtt.Options{
		URL: c.URL, ClientID: a.config.Client(), Username: c.Username, Password: password, TLS: tls,
		Filters: a.ingest.Filters(), WillTopic: topic.StatusTopic(a.config.Site, "agent"), Status: a.statusPayload, Log: a.component("mqtt"),
		OnConnect: a.schedule.Republish,
	}, func(m mqtt.Message) { a.ingest.Take(a.parts.Context(), m) })
	a.mqtt.Start()
	a.parts.OnStop("mqtt", func(ctx context.Context) error { a.mqtt.Stop(ctx); return nil })
	a.parts.Go("publish", a.schedule.Publish) // forecasts of the run before wait already
	return nil
}

func (a *agent) startStatus() (err error) {
	if a.config.HTTP.Listen == "" {
		return nil
	}
	token, err := secret(a.config.HTTP.TokenFile)
	if err != nil {
		return fmt.Errorf("http.token_file: %w", err)
	}
	a.status, err = status.Listen(view{a}, status.Registry(a.metrics()), status.Options{
		Listen: a.config.HTTP.Listen, Token: token, Now: a.now, Parts: a.health, Log: a.component("status"),
		Quarantine: quarantine{a}, Ledger: statusBooks{a.books, a.store, a.history.CatchUp, a.uplink},
	})
	if err != nil {
		return err
	}
	a.parts.Go("status", a.status.Serve)
	return nil
}

// reconfigure takes what the hub decided for the site. It is called by the uplink, which must not wait.
func (a *agent) reconfigure(s wire.SiteConfig) {
	if s.Revision == a.revision.Load() {
		return
	}
	now, then := a.config, decidedBy(a.config, s)
	same := now.Zone == then.Zone && now.Resolution == then.Resolution && now.Forecast.Horizon == then.Forecast.Horizon &&
		slices.Equal(now.Forecast.Levels, then.Forecast.Levels) &&
		now.Country == then.Country && slices.Equal(now.Vacations, then.Vacations) && maps.Equal(now.Facts, then.Facts)
	if err := keepDecided(a.store, s); err != nil {
		a.log.Error("the site's configuration could not be kept; the hub will tell it again", "error", err)
		return
	}
	if same {
		a.revision.Store(s.Revision)
		return
	}
	a.parts.Go("configuration", func(context.Context) error { return errReconfigured })
}

// statusPayload is what the broker keeps of the agent on its status topic.
func (a *agent) statusPayload(online bool) []byte {
	return topic.EncodeStatus(topic.Status{Online: online, Version: a.version, At: meter.MillisOf(a.now())})
}

// PublishForecast implements schedule.Publisher.
func (a *agent) PublishForecast(ctx context.Context, f forecast.Forecast) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return a.mqtt.Publish(ctx, topic.ForecastTopic(a.config.Site, f.Point), topic.EncodeForecast(f), true)
}

// health is what /readyz tells. Without a hub or a broker the agent goes on, but only with the broker does it do its work.
func (a *agent) health() []status.Part {
	broker := a.mqtt.Stats()
	parts := []status.Part{
		{Name: "store", OK: true, Needed: true, Detail: fmt.Sprintf("%d of %d bytes", a.store.Bytes(), a.config.Store.MaxBytes)},
		{Name: "broker", OK: broker.Connected, Needed: true, Detail: broker.LastError},
	}
	if a.uplink != nil {
		hub := a.uplink.Status()
		parts = append(parts, status.Part{Name: "hub", OK: hub.Connected, Detail: hub.LastError})
	}
	return parts
}

func (a *agent) artifactKey() ed25519.PublicKey {
	if a.identity == nil {
		return nil
	}
	return a.identity.ArtifactKey()
}

func (a *agent) hubAddress() string {
	if a.config.Hub.Address != "" || a.identity == nil {
		return a.config.Hub.Address
	}
	return a.identity.Hub()
}

// secret reads a file that holds one secret, without the line's end; no path gives none.
func secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}
