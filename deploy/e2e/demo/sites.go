package demo

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fluxora.dev/deploy/e2e/stage"
	"fluxora.dev/shared/lifecycle"
)

// site is one site of the demo with its programs.
type site struct {
	name    string
	kind    string   // what is shown of it
	zone    string   // IANA name
	meters  []string // of the recording; empty for a synthetic profile
	profile string   // of the synthetic site; empty for a recording
	points  int

	agent  *stage.Agent
	bridge *stage.Process
}

const (
	siteCount      = 3
	pointsPerSite  = 4
	recordingsZone = "Europe/Oslo"
)

// categories are the words for the kinds of building in the Drammen recording.
var categories = map[string]string{"Kdg": "kindergartens", "Sch": "schools", "Nsh": "nursing-homes", "Off": "offices"}

// chooseSites returns three sites of four meters: of the recording when there is one, else synthetic ones.
func (d *demo) chooseSites(ctx context.Context) ([]*site, error) {
	if d.o.Data == "" {
		var sites []*site
		for _, profile := range []string{"office", "school", "home"} {
			sites = append(sites, &site{name: profile, kind: "synthetic " + profile, zone: recordingsZone, profile: profile, points: pointsPerSite})
		}
		return sites, nil
	}
	groups, order, err := d.metersByCategory(ctx)
	if err != nil {
		return nil, err
	}
	var sites []*site
	for _, category := range order {
		if len(sites) == siteCount {
			break
		}
		meters := groups[category]
		if len(meters) > pointsPerSite {
			meters = meters[:pointsPerSite]
		}
		name := categories[category]
		if name == "" {
			name = fmt.Sprintf("site-%d", len(sites)+1)
		}
		sites = append(sites, &site{name: name, kind: name, zone: recordingsZone, meters: meters, points: len(meters)})
	}
	if len(sites) == 0 {
		return nil, fmt.Errorf("%s names no meters: want the columns meter_id, timestamp, kwh", d.o.Data)
	}
	return sites, nil
}

// metersByCategory returns the meters of the recording by the category that a meters.csv beside it gives, or cut into
// groups in their order when there is none.
func (d *demo) metersByCategory(ctx context.Context) (groups map[string][]string, order []string, err error) {
	groups = map[string][]string{}
	add := func(category, meter string) {
		if _, known := groups[category]; !known {
			order = append(order, category)
		}
		groups[category] = append(groups[category], meter)
	}
	path := filepath.Join(filepath.Dir(d.o.Data), "meters.csv")
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		out, err := stage.Run(ctx, nil, d.program("fluxora-bridge"), "--file", d.o.Data, "--list")
		if err != nil {
			return nil, nil, err
		}
		n := 0
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); len(fields) > 0 {
				add(fmt.Sprint(n/pointsPerSite), fields[0])
				n++
			}
		}
		return groups, order, nil
	case err != nil:
		return nil, nil, fmt.Errorf("read meters: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	column := map[string]int{}
	for i, row := range rows {
		if i == 0 {
			for j, name := range row {
				column[name] = j
			}
			if _, ok := column["meter_id"]; !ok {
				return nil, nil, fmt.Errorf("%s has no column meter_id", path)
			}
			continue
		}
		category := fmt.Sprint((i - 1) / pointsPerSite)
		if j, ok := column["category"]; ok {
			category = row[j]
		}
		add(category, row[column["meter_id"]])
	}
	return groups, order, nil
}

// startAgent enrols the site's agent, unless a run before did, and starts it.
func (d *demo) startAgent(ctx context.Context, parts *lifecycle.Group, s *site) error {
	port, err := d.agentPort(s)
	if err != nil {
		return err
	}
	s.agent, err = stage.NewAgent(d.o.Bin, d.path("sites", s.name), d.path("logs", "agent-"+s.name+".log"), stage.AgentOptions{
		Site: s.name, Zone: s.zone, Broker: d.brokerURL(), User: d.user, PasswordFile: d.path("mqtt-password"), Port: port,
	})
	if err != nil {
		return err
	}
	if !s.agent.Enrolled() {
		if err := s.agent.Enrol(ctx, d.hub, s.zone); err != nil {
			return err
		}
	}
	if err := s.agent.Start(ctx); err != nil {
		return err
	}
	parts.OnStop(s.agent.Name, func(context.Context) error { return s.agent.Stop(20 * time.Second) })
	return nil
}

func (d *demo) brokerURL() string { return fmt.Sprintf("tcp://127.0.0.1:%d", d.o.BrokerPort) }

// agentPort returns the port of the site's agent: the next one after AgentPort, or a free one.
func (d *demo) agentPort(s *site) (int, error) {
	if d.o.AgentPort == 0 {
		return stage.FreePort()
	}
	port := d.o.AgentPort + slices.Index(d.sites, s)
	return port, stage.CheckPort(port, "the HTTP interface of the agent of "+s.name, "--agent-port")
}

// startBridge starts the site's bridge.
func (d *demo) startBridge(parts *lifecycle.Group, s *site) error {
	dir := d.path("sites", s.name)
	replay := fmt.Sprintf("  profiles: [%s]\n  count: %d\n", s.profile, s.points)
	if s.profile == "" {
		replay = fmt.Sprintf("  file: %s\n  meters: [%s]\n", d.o.Data, strings.Join(s.meters, ", "))
	}
	config := filepath.Join(dir, "bridge.yaml")
	text := fmt.Sprintf(`# Written by the demo.
site: %s
data_dir: %s
mqtt:
  url: %s
  username: %s
  password_file: %s
  max_inflight: 200
  wait_for_agent: true
replay:
%s  backfill: %d
  every: 5s
`, s.name, filepath.Join(dir, "bridge"), d.brokerURL(), d.user, d.path("mqtt-password"), replay, d.o.Backfill)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the bridge's settings: %w", err)
	}
	s.bridge = &stage.Process{
		Name: "bridge of " + s.name, Path: d.program("fluxora-bridge"), Args: []string{"--config", config},
		Log: d.path("logs", "bridge-"+s.name+".log"),
	}
	if err := s.bridge.Start(); err != nil {
		return err
	}
	parts.OnStop(s.bridge.Name, func(context.Context) error { return s.bridge.Stop(20 * time.Second) })
	return nil
}
