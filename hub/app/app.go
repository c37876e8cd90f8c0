package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/derive"
	"fluxora.dev/hub/internal/ingest"
	"fluxora.dev/hub/internal/jobs"
	"fluxora.dev/hub/internal/live"
	"fluxora.dev/hub/internal/ratelimit"
	"fluxora.dev/hub/internal/score"
	"fluxora.dev/hub/internal/store/ingeststore"
	"fluxora.dev/hub/internal/weather"
	"fluxora.dev/shared/lifecycle"
)

// App is a running hub.
type App struct {
	Admin // what the commands do, on the running hub

	group        *lifecycle.Group
	http, uplink net.Listener
	first        string
}

// New starts a hub. It runs until ctx ends, a part fails or Stop is called; Wait tells.
func New(ctx context.Context, o Options) (_ *App, err error) {
	o = o.withDefaults()
	c := o.Config
	g := lifecycle.New(ctx, o.Log, c.StopWithin)
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Stop())
		}
	}()

	// Ports first: a taken one is the commonest mistake and should not cost the start of a database.
	a := &App{group: g}
	if a.http, err = listen(g, "http.listen", c.HTTP.Listen); err != nil {
		return nil, err
	}
	if a.uplink, err = listen(g, "uplink.listen", c.Uplink.Listen); err != nil {
		return nil, err
	}

	var agents *ingest.Server
	b, err := open(ctx, g, o, true, announcer(func(org uuid.UUID) { agents.Announce(org, uuid.Nil) }))
	if err != nil {
		return nil, err
	}
	a.Admin = Admin{b: b, group: g, serving: c.Training.Enabled}
	if b.private != nil {
		g.Go("private Postgres", b.private.keep)
	}
	if a.first, err = firstToken(ctx, b); err != nil {
		return nil, err
	}

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	liveLog := o.Log.With("component", "live")
	notes, follower := live.NewNotes(b.store, liveLog), live.NewFollower(b.store, liveLog, o.Now)
	g.Go("live notes", notes.Run)
	g.Go("live", follower.Run)

	adapter := ingeststore.New(b.store, o.Now)
	agents = ingest.New(ingest.Options{
		Store: told{adapter, notes}, Enrolment: adapter, Books: adapter, Authority: b.authority,
		Log: o.Log.With("component", "uplink"), Now: o.Now, DrainTimeout: c.StopWithin / 3,
		Lag: b.store.DeriveLag,
	})
	g.Go("uplink", func(ctx context.Context) error { return agents.Serve(ctx, a.uplink) })

	g.Go("announcements", (&watch{store: b.store, announce: func(org uuid.UUID) { agents.Announce(org, uuid.Nil) }, log: o.Log.With("component", "uplink")}).run)

	deriver := derive.New(b.store, derive.Options{Log: o.Log.With("component", "derive")})
	g.Go("derive", deriver.Run)
	g.Go("score", score.New(b.store, score.Options{Log: o.Log.With("component", "score")}).Run)

	if w := c.Weather; w.Provider != "none" {
		g.Go("weather", weather.New(b.store, weather.NewOpenMeteo(weather.OpenMeteoOptions{
			URL: w.URL, Archive: w.Archive, Key: w.Key, Timeout: w.Timeout, Retries: 3, Now: o.Now,
		}), weather.Options{Every: w.Every, Look: 10 * time.Second, Quota: w.Quota, History: c.Training.History, Log: o.Log.With("component", "weather"), Now: o.Now}).Run)
	}

	trainings := newTrainingCounter(reg)
	if c.Training.Enabled {
		if err := startTraining(ctx, g, b, trainings); err != nil {
			return nil, err
		}
	}

	accounts := newAccounts(b)
	g.Go("accounts", accounts.Run)
	registerMetrics(reg, b, agents)
	handler := api.New(api.Options{
		Store: b.store, Accounts: accounts, Registry: reg, Version: apiVersion, MetricsOpen: c.HTTP.MetricsOpen,
		Timeout: c.HTTP.Timeout, MaxBody: int64(c.HTTP.MaxBody), Concurrency: c.HTTP.Concurrency,
		Live: api.Live{Follower: follower}, Origins: c.HTTP.Origins, Proxies: c.HTTP.Ranges(), Strangers: ratelimit.Rate(c.HTTP.Limits.Strangers),
		Tiers: map[access.Tier]ratelimit.Rate{
			access.Free: ratelimit.Rate(c.HTTP.Limits.Free), access.Standard: ratelimit.Rate(c.HTTP.Limits.Standard), access.Premium: ratelimit.Rate(c.HTTP.Limits.Premium),
		},
		Ready: []api.Check{{Name: "database", Ok: b.store.Ping}, {Name: "running", Ok: func(context.Context) error { return context.Cause(g.Context()) }}},
		Log:   o.Log.With("component", "api"), Now: o.Now,
	})
	g.Go("http", func(ctx context.Context) error { return serveHTTP(ctx, a.http, handler, c) })

	o.Log.Info("hub is up", "http", a.HTTPAddr(), "uplink", a.UplinkAddr(), "version", o.Version)
	return a, nil
}

// Run runs a hub until ctx ends or a part fails. An orderly end is nil.
func Run(ctx context.Context, o Options) error {
	a, err := New(ctx, o)
	if err != nil {
		return err
	}
	return a.Wait()
}

// HTTPAddr returns the address of the REST interface, host:port.
func (a *App) HTTPAddr() string { return a.http.Addr().String() }

// UplinkAddr returns the address that agents connect to, host:port.
func (a *App) UplinkAddr() string { return a.uplink.Addr().String() }

// FirstAPIToken returns the token for the REST interface if this start made it, which only the first does.
func (a *App) FirstAPIToken() string { return a.first }

// Wait blocks until the hub has ended.
func (a *App) Wait() error { return a.group.Wait() }

// Stop ends the hub in an orderly way, bounded by stop_within.
func (a *App) Stop() error { return a.group.Stop() }

// announcer tells live agents that models changed.
type announcer func(org uuid.UUID)

// Announce implements registry.Announcer.
func (f announcer) Announce(_ context.Context, org uuid.UUID) error {
	f(org)
	return nil
}

func listen(g *lifecycle.Group, key, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s; choose another address with --set %s=HOST:PORT or end what uses it: %w", key, addr, key, err)
	}
	g.OnStop(key, func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// serveHTTP serves until ctx ends, then lets requests in hand finish.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, c Config) error {
	srv := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: c.HTTP.Timeout, WriteTimeout: c.HTTP.Timeout + 5*time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.StopWithin/2)
		defer cancel()
		drained <- srv.Shutdown(late)
	})
	err := srv.Serve(l)
	if stop() {
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	return <-drained
}

func startTraining(ctx context.Context, g *lifecycle.Group, b *base, count *trainingCounter) error {
	c, log := b.o.Config, b.o.Log.With("component", "training")
	zone, err := c.Zone()
	if err != nil {
		return err
	}
	hour, minute := c.Training.TimeOfDay()
	schedule := jobs.NewSchedule(jobs.ScheduleOptions{
		Store: b.store, Asker: b.asker, Hour: hour, Minute: minute, Zone: zone,
		FirstAfter: c.Training.FirstAfter, CheckEvery: c.Training.CheckEvery, Log: log, Now: b.o.Now,
	})
	trainer, err := newTrainer(b, schedule, count.done)
	if err != nil {
		return err
	}
	if err := trainer.Start(ctx); err != nil {
		return err
	}
	g.OnStop("training", trainer.Stop)
	g.Go("training schedule", schedule.Run)
	return nil
}
