package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/deploy/e2e/rest"
)

// check proves, without a person: forecasts are on MQTT, on the agents and on the hub; with the hub stopped, readings and
// forecasts go on; with the hub back, it gets everything.
func (d *demo) check(ctx context.Context) error {
	forecasts, disconnect, err := d.watchForecasts()
	if err != nil {
		return err
	}
	defer disconnect()

	points := 0
	for _, s := range d.sites {
		points += s.points
	}
	done := d.out.stage("MQTT")
	if err := d.waitFor(ctx, "every point's forecast on MQTT", time.Minute, func(context.Context) (bool, error) {
		return forecasts.count("active") == points, nil
	}); err != nil {
		return err
	}
	done("a retained model forecast of each of the %d points", points)

	done = d.out.stage("REST")
	if err := d.waitFor(ctx, "every point's model forecast at the hub", time.Minute, func(ctx context.Context) (bool, error) {
		n, err := d.hubForecasts(ctx)
		return n == points, err
	}); err != nil {
		return err
	}
	done("the same at the hub")

	done = d.out.stage("hub away")
	if err := d.hub.Stop(30 * time.Second); err != nil {
		return err
	}
	stopped := time.Now()
	for _, s := range d.sites {
		var ps rest.AgentPoints
		if err := s.agent.API.Get(ctx, "/v1/points", &ps); err != nil {
			return err
		}
		for _, p := range ps.Points {
			var f rest.Forecast
			if err := s.agent.API.Post(ctx, "/v1/points/"+p.ID+"/forecast", &f); err != nil {
				return fmt.Errorf("with the hub stopped: %w", err)
			}
			if f.Rung != "active" || len(f.Steps) != 48 {
				return fmt.Errorf("with the hub stopped, %s is forecast on rung %q with %d steps: want active with 48", p.ID, f.Rung, len(f.Steps))
			}
		}
	}
	if err := d.waitFor(ctx, "forecasts made without the hub on MQTT", time.Minute, func(context.Context) (bool, error) {
		return forecasts.issuedAfter(stopped) == points, nil
	}); err != nil {
		return err
	}
	if err := d.waitFor(ctx, "readings to wait for the hub", time.Minute, func(ctx context.Context) (bool, error) {
		for _, s := range d.sites {
			if n, err := s.pending(ctx); err != nil || n == 0 {
				return false, err
			}
		}
		return true, nil
	}); err != nil {
		return err
	}
	done("further forecasts of every point, readings kept")

	done = d.out.stage("hub back")
	if err := d.hub.Start(ctx); err != nil {
		return err
	}
	var received int64
	if err := d.waitFor(ctx, "the hub to have everything", 2*time.Minute, func(ctx context.Context) (bool, error) {
		taken := int64(0)
		for _, s := range d.sites {
			n, err := s.taken(ctx)
			if err != nil {
				return false, err
			}
			taken += n
		}
		// What the agents had taken before the hub was asked must be there.
		var err error
		received, _, err = d.atHub(ctx)
		return err == nil && received >= taken, err
	}); err != nil {
		return err
	}
	done("all %d readings are there", received)
	d.out.print("demo-check passed in %.0f s\n", time.Since(d.start).Seconds())
	return nil
}

// hubForecasts returns of how many points the hub serves a model forecast.
func (d *demo) hubForecasts(ctx context.Context) (int, error) {
	var ps rest.Points
	if err := d.hub.API.Get(ctx, "/v1/points", &ps); err != nil {
		return 0, err
	}
	n := 0
	for _, p := range ps.Points {
		var f rest.Forecast
		if err := d.hub.API.Get(ctx, "/v1/points/"+p.ID+"/forecast", &f); err != nil {
			return n, err
		}
		if f.Provenance != nil && f.Provenance.Rung == "active" && len(f.Steps) == 48 {
			n++
		}
	}
	return n, nil
}

// seen is the newest forecast of each point that came over MQTT.
type seen struct {
	mu     sync.Mutex
	points map[string]rest.Forecast
}

func (s *seen) count(rung string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.points {
		if f.Rung == rung {
			n++
		}
	}
	return n
}

func (s *seen) issuedAfter(t time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.points {
		if f.Issued.After(t) {
			n++
		}
	}
	return n
}

// watchForecasts subscribes to every site's forecasts as a client of its own.
func (d *demo) watchForecasts() (*seen, func(), error) {
	s := &seen{points: map[string]rest.Forecast{}}
	o := mqtt.NewClientOptions().AddBroker(d.brokerURL()).
		SetClientID("fluxora-demo-watch").SetUsername(d.user).SetPassword(d.password).SetConnectTimeout(5 * time.Second)
	c := mqtt.NewClient(o)
	if t := c.Connect(); t.Wait() && t.Error() != nil {
		return nil, nil, fmt.Errorf("connect to the demo's broker: %w", t.Error())
	}
	t := c.Subscribe("fluxora/v1/+/forecast/+", 1, func(_ mqtt.Client, m mqtt.Message) {
		var f rest.Forecast
		if err := json.Unmarshal(m.Payload(), &f); err == nil {
			s.mu.Lock()
			s.points[m.Topic()] = f
			s.mu.Unlock()
		}
	})
	if t.Wait() && t.Error() != nil {
		c.Disconnect(100)
		return nil, nil, fmt.Errorf("subscribe to forecasts: %w", t.Error())
	}
	return s, func() { c.Disconnect(100) }, nil
}
