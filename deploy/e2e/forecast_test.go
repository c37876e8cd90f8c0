package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"fluxora.dev/deploy/e2e/rest"
	"fluxora.dev/deploy/e2e/stage"
)

// servedForecast returns what an agent serves of a point.
func servedForecast(ctx context.Context, a *stage.Agent, point string) (f rest.Forecast, err error) {
	err = a.API.Get(ctx, "/v1/points/"+point+"/forecast", &f)
	return f, err
}

// waitForecasts waits until the agent serves a forecast of every point that stands on the given rung.
func (w *world) waitForecasts(a *stage.Agent, rung string, points ...string) {
	w.Helper()
	for _, p := range points {
		w.wait("a forecast of "+p+" on rung "+rung, func(ctx context.Context) (bool, error) {
			f, err := servedForecast(ctx, a, p)
			if err == nil && (f.Rung != rung || len(f.Steps) != 48) {
				err = fmt.Errorf("it is on rung %q with %d steps", f.Rung, len(f.Steps))
			}
			return err == nil, err
		})
	}
}

// hubForecast returns what the hub serves of a point, in the agent's form.
func (w *world) hubForecast(ctx context.Context, point string) (f rest.Forecast, err error) {
	id, err := w.pointID(ctx, point)
	if err != nil {
		return f, err
	}
	if err := w.hub.API.Get(ctx, "/v1/points/"+id+"/forecast", &f); err != nil {
		return f, err
	}
	if f.Provenance == nil {
		return f, fmt.Errorf("the hub's forecast of %s says nothing of where it comes from", point)
	}
	f.Point, f.Rung, f.Model, f.Issued, f.Provenance = point, f.Provenance.Rung, f.Provenance.Model, f.Provenance.Issued, nil
	return f, nil
}

// sameForecasts waits until the forecast of every point stands on the given rung and is one and the same on MQTT, retained, at
// the agent and at the hub.
func (w *world) sameForecasts(rung string, points ...string) {
	w.Helper()
	for _, p := range points {
		w.wait("one forecast of "+p+" everywhere", func(ctx context.Context) (bool, error) {
			agent, err := servedForecast(ctx, w.agent, p)
			if err != nil {
				return false, err
			}
			retained, err := w.retained(ctx, "fluxora/v1/"+site+"/forecast/"+p)
			if err != nil {
				return false, err
			}
			var published rest.Forecast
			if err := json.Unmarshal(retained, &published); err != nil {
				return false, err
			}
			hub, err := w.hubForecast(ctx, p)
			if err != nil {
				return false, err
			}
			if agent.Rung != rung || len(agent.Steps) != 48 {
				return false, fmt.Errorf("it is on rung %q with %d steps", agent.Rung, len(agent.Steps))
			}
			for where, f := range map[string]rest.Forecast{"MQTT": published, "the hub": hub} {
				if !reflect.DeepEqual(in(f, time.UTC), in(agent, time.UTC)) {
					return false, fmt.Errorf("%s has %+v, the agent %+v", where, f, agent)
				}
			}
			return true, nil
		})
	}
}

// in returns f with instants that compare by what they say.
func in(f rest.Forecast, zone *time.Location) rest.Forecast {
	f.Origin, f.Issued = f.Origin.In(zone).Truncate(time.Millisecond), f.Issued.In(zone).Truncate(time.Millisecond)
	steps := make([]rest.Step, len(f.Steps))
	for i, s := range f.Steps {
		steps[i] = rest.Step{Start: s.Start.In(zone), Values: s.Values}
	}
	f.Steps = steps
	return f
}

// retained returns what the broker keeps on a topic.
func (w *world) retained(ctx context.Context, topic string) ([]byte, error) {
	got := make(chan []byte, 1)
	stop, err := w.subscribe("retained-"+strings.ReplaceAll(topic, "/", "-"), topic, func(m mqtt.Message) {
		if m.Retained() {
			select {
			case got <- m.Payload():
			default:
			}
		}
	})
	if err != nil {
		return nil, err
	}
	defer stop()
	select {
	case b := <-got:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(2 * time.Second):
		return nil, fmt.Errorf("the broker keeps nothing on %s", topic)
	}
}

// subscribe calls take with each message, one after the other, until stop is called.
func (w *world) subscribe(client, filter string, take func(mqtt.Message)) (stop func(), err error) {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(w.broker.URL()).SetClientID(client).SetAutoReconnect(false))
	if t := c.Connect(); !t.WaitTimeout(5*time.Second) || t.Error() != nil {
		return nil, fmt.Errorf("connect %s: %w", client, t.Error())
	}
	var one sync.Mutex
	t := c.Subscribe(filter, 1, func(_ mqtt.Client, m mqtt.Message) {
		one.Lock()
		defer one.Unlock()
		take(m)
	})
	if !t.WaitTimeout(5*time.Second) || t.Error() != nil {
		c.Disconnect(50)
		return nil, fmt.Errorf("subscribe to %s: %w", filter, t.Error())
	}
	return func() { c.Disconnect(50) }, nil
}
