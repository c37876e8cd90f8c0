package demo

import (
	"context"
	"fmt"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// fillAndTrain waits until the history has arrived everywhere, has a model trained on it, and waits until every agent
// forecasts with it.
func (d *demo) fillAndTrain(ctx context.Context) error {
	done := d.out.stage("filling")
	var received int64
	err := d.waitFor(ctx, "all history at the hub", 5*time.Minute, func(ctx context.Context) (bool, error) {
		live := true
		for _, s := range d.sites {
			ok, err := s.live(ctx)
			if err != nil {
				return false, err
			}
			live = live && ok
		}
		var backlog int64
		var err error
		if received, backlog, err = d.atHub(ctx); err != nil {
			return false, err
		}
		d.out.progress("filling   %d readings at the hub, %d on their way", received, backlog)
		return live && backlog == 0, nil
	})
	if err != nil {
		return err
	}
	done("%d readings at the hub, every meter live", received)

	done = d.out.stage("training")
	active, trained, err := d.activeModel(ctx)
	if err != nil {
		return err
	}
	if !trained {
		if err := d.train(ctx); err != nil {
			return err
		}
		if active, trained, err = d.activeModel(ctx); err != nil {
			return err
		}
	}
	if !trained {
		if d.o.Check {
			return fmt.Errorf("the training promoted no model: %s", active)
		}
		done("no model earned its place on this data: %s. The agents forecast with the baseline", active)
		return nil
	}
	done("%s", active)

	done = d.out.stage("forecasts")
	err = d.waitFor(ctx, "a model forecast of every point", 2*time.Minute, func(ctx context.Context) (bool, error) {
		have, want := 0, 0
		for _, s := range d.sites {
			var ps rest.AgentPoints
			if err := s.agent.API.Get(ctx, "/v1/points", &ps); err != nil {
				return false, err
			}
			want += s.points
			for _, p := range ps.Points {
				if p.Forecast != nil && p.Forecast.Rung == "active" {
					have++
				}
			}
		}
		d.out.progress("forecasts %d of %d points", have, want)
		return have == want, nil
	})
	if err != nil {
		return err
	}
	done("48 hours ahead, with intervals, of every point on every agent")
	return nil
}

// live reports whether every meter of the site has sent a reading of the last minute.
func (s *site) live(ctx context.Context) (bool, error) {
	var ps rest.AgentPoints
	if err := s.agent.API.Get(ctx, "/v1/points", &ps); err != nil {
		return false, err
	}
	n := 0
	for _, p := range ps.Points {
		if p.LastReading != nil && time.Since(p.LastReading.At) < time.Minute {
			n++
		}
	}
	return n == s.points, nil
}

// atHub returns how many readings the hub has committed and how many the agents still hold for it.
func (d *demo) atHub(ctx context.Context) (received, backlog int64, err error) {
	var agents rest.Agents
	if err := d.hub.API.Get(ctx, "/v1/agents", &agents); err != nil {
		return 0, 0, err
	}
	for _, a := range agents.Agents {
		received += a.Received
	}
	for _, s := range d.sites {
		n, err := s.pending(ctx)
		if err != nil {
			return 0, 0, err
		}
		backlog += n
	}
	return received, backlog, nil
}

// train asks for a training and shows its progress until it is done.
func (d *demo) train(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := d.hub.Command(ctx, "train", "--json")
		result <- err
	}()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-result:
			return err
		case <-tick.C:
			var m rest.Models
			if err := d.hub.API.Get(ctx, "/v1/models", &m); err == nil && len(m.Trainings) > 0 {
				d.out.progress("training  %s %.0f %%", m.Trainings[0].Stage, m.Trainings[0].Percent)
			}
		}
	}
}

// activeModel describes the active model and its backtest, or says why there is none.
func (d *demo) activeModel(ctx context.Context) (string, bool, error) {
	var m rest.Models
	if err := d.hub.API.Get(ctx, "/v1/models", &m); err != nil {
		return "", false, err
	}
	for _, model := range m.Models {
		if model.State != "active" {
			continue
		}
		text := fmt.Sprintf("%s over %d points is active; backtest:", model.Family, model.Points)
		for _, s := range model.Scores {
			text += fmt.Sprintf("\n%20s%-16s MASE %.3f  nMAE %4.1f %%  %2.0f %% interval covers %2.0f %%", "", s.Contender, s.MASE, 100*s.NMAE, 100*s.Nominal, 100*s.Coverage)
		}
		return text, true, nil
	}
	if len(m.Trainings) > 0 {
		return m.Trainings[0].Reason, false, nil
	}
	return "nothing was trained yet", false, nil
}

// pending returns how many readings the agent holds for the hub.
func (s *site) pending(ctx context.Context) (int64, error) {
	b, err := s.agent.Books(ctx)
	return b.Pending, err
}

// taken returns how many readings the agent has taken in all.
func (s *site) taken(ctx context.Context) (int64, error) {
	b, err := s.agent.Books(ctx)
	return b.Received, err
}
