package demo

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"fluxora.dev/deploy/e2e/rest"
)

// watch shows what there is and what to try, and obeys the person until ctx ends.
func (d *demo) watch(ctx context.Context) error {
	if err := d.showPoints(ctx); err != nil {
		return err
	}
	d.showHints()
	lines := d.commands(ctx)
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := d.ended(); err != nil {
				return err
			}
			d.showLive(ctx)
		case line, ok := <-lines:
			if !ok {
				lines = nil
				continue
			}
			if err := d.obey(ctx, strings.TrimSpace(line)); err != nil {
				d.out.print("%s\n", err)
			}
		}
	}
}

// commands returns the lines that the person types; it is closed when there are no more.
func (d *demo) commands(ctx context.Context) <-chan string {
	lines := make(chan string)
	if d.o.In == nil {
		close(lines)
		return lines
	}
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(d.o.In); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

func (d *demo) obey(ctx context.Context, command string) error {
	switch command {
	case "":
		return nil
	case "h":
		if d.hub.Running() {
			done := d.out.stage("hub")
			if err := d.hub.Stop(30 * time.Second); err != nil {
				return err
			}
			done("stopped; the sites go on by themselves. h and Enter starts it again")
			return nil
		}
		done := d.out.stage("hub")
		if err := d.hub.Start(ctx); err != nil {
			return err
		}
		done("back")
		return nil
	case "f":
		for _, s := range d.sites {
			var ps rest.AgentPoints
			if err := s.agent.API.Get(ctx, "/v1/points", &ps); err != nil {
				return err
			}
			for _, p := range ps.Points {
				if err := s.agent.API.Post(ctx, "/v1/points/"+p.ID+"/forecast", nil); err != nil {
					return err
				}
			}
		}
		return d.showPoints(ctx)
	case "t":
		return d.showPoints(ctx)
	default:
		return fmt.Errorf("%q is no command: h stops or starts the hub, f makes new forecasts, t shows the table, Ctrl-C ends", command)
	}
}

// showPoints prints the table of points as the agents see them, so that it works without the hub too.
func (d *demo) showPoints(ctx context.Context) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nsite\tpoint\tlast reading\tnext peak\tkWh\t80 % interval\tforecast by")
	for _, s := range d.sites {
		zone, err := time.LoadLocation(s.zone)
		if err != nil {
			return fmt.Errorf("zone of %s: %w", s.name, err)
		}
		var ps rest.AgentPoints
		if err := s.agent.API.Get(ctx, "/v1/points", &ps); err != nil {
			return err
		}
		for _, p := range ps.Points {
			reading, peak, energy, band, rung := "none yet", "", "", "", "nothing yet"
			if p.LastReading != nil {
				reading = fmt.Sprintf("%s  %.3f kWh", p.LastReading.At.In(zone).Format("15:04:05"), p.LastReading.Value/1000)
			}
			var f rest.Forecast
			if err := s.agent.API.Get(ctx, "/v1/points/"+p.ID+"/forecast", &f); err == nil && len(f.Steps) > 0 && len(f.Levels) > 0 {
				top, last := f.Peak(), len(f.Levels)-1
				v := f.Steps[top].Values
				peak = f.Steps[top].Start.In(zone).Format("Mon 15:04")
				energy = fmt.Sprintf("%.1f", v[f.Median()]/1000)
				band = fmt.Sprintf("%.1f – %.1f", v[0]/1000, v[last]/1000)
				rung = f.Rung
				if rung == "active" || rung == "previous" {
					rung += " model"
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.name, p.ID, reading, peak, energy, band, rung)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the points: %w", err)
	}
	d.out.print("%s", b.String())
	return nil
}

func (d *demo) showHints() {
	first := d.sites[0]
	d.out.print(`
hub      %s        API document /openapi.json, token in %s
agents   http://127.0.0.1:%d and the next %d ports
MQTT     127.0.0.1:%d, user %s, password in %s

Three things to try, here or in another terminal:
  1  h and Enter   stops the hub; f and Enter makes new forecasts without it; h and Enter brings it back
  2  mosquitto_sub -h 127.0.0.1 -p %d -u %s -P "$(cat %s)" -t 'fluxora/#' -v
  3  curl -s -H "Authorization: Bearer $(cat %s)" %s/v1/points
     curl -s http://127.0.0.1:%d/v1/points/%s/forecast
t and Enter shows the table again. Ctrl-C ends everything; the next run goes on from %s.

`, d.hub.URL(), d.path("api-token"), first.agent.Port, len(d.sites)-1, d.o.BrokerPort, d.user, d.path("mqtt-password"),
		d.o.BrokerPort, d.user, d.path("mqtt-password"), d.path("api-token"), d.hub.URL(), first.agent.Port, d.firstPoint(), d.o.Dir)
	if d.o.Data != "" {
		d.out.print("%s", attribution)
	}
}

// attribution is due wherever the recording of ../shared/data is shown; other recordings have their own authors.
const attribution = "Readings: your file, or the COFACTOR Drammen dataset (Lien, Walnum, Sørensen, Scientific Data 12:393, 2025, CC BY 4.0),\nshifted in time by whole weeks.\n\n"

func (d *demo) firstPoint() string {
	if s := d.sites[0]; len(s.meters) > 0 {
		return s.meters[0]
	}
	return "POINT"
}

// showLive keeps one line at the bottom current.
func (d *demo) showLive(ctx context.Context) {
	taken, waiting := int64(0), int64(0)
	for _, s := range d.sites {
		if n, err := s.taken(ctx); err == nil {
			taken += n
		}
		if n, err := s.pending(ctx); err == nil {
			waiting += n
		}
	}
	hub := "hub up"
	if !d.hub.Running() {
		hub = "hub stopped"
	}
	d.out.progress("%s · %d readings taken · %d waiting for the hub", hub, taken, waiting)
}
