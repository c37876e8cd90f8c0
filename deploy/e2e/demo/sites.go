package demo

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fluxora.dev/deploy/e2e/rest"
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

	port   int // of the agent's HTTP interface
	agent  *stage.Process
	bridge *stage.Process
	api    *rest.Client
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
	dir := d.path("sites", s.name)
	data := filepath.Join(dir, "agent")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("make the agent's directory: %w", err)
	}
	if err := d.agentPort(s); err != nil {
		return err
	}
	config := filepath.Join(dir, "agent.yaml")
	text := fmt.Sprintf(`# Written by the demo.
site: %s
data_dir: %s
zone: %s
resolution: 1h
mqtt:
  url: tcp://127.0.0.1:%d
  username: %s
  password_file: %s
  max_inflight: 200
http:
  listen: 127.0.0.1:%d
`, s.name, data, s.zone, d.o.BrokerPort, d.user, d.path("mqtt-password"), s.port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the agent's settings: %w", err)
	}
	if _, err := os.Stat(filepath.Join(data, "identity", "identity.json")); errors.Is(err, fs.ErrNotExist) {
		token, err := d.hubCommand(ctx, "token", "create", "--site", s.name, "--zone", s.zone)
		if err != nil {
			return err
		}
		tokenFile := filepath.Join(dir, "enrolment-token")
		if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
			return fmt.Errorf("keep the enrolment token: %w", err)
		}
		if _, err := stage.Run(ctx, nil, d.program("fluxora-agent"), "enroll", "--config", config,
			"--hub", fmt.Sprintf("127.0.0.1:%d", d.o.UplinkPort), "--token-file", tokenFile); err != nil {
			return err
		}
		_ = os.Remove(tokenFile)
	}
	s.agent = &stage.Process{
		Name: "agent of " + s.name, Path: d.program("fluxora-agent"), Args: []string{"run", "--config", config},
		Log: d.path("logs", "agent-"+s.name+".log"),
	}
	if err := s.agent.Start(); err != nil {
		return err
	}
	parts.OnStop(s.agent.Name, func(context.Context) error { return s.agent.Stop(20 * time.Second) })
	s.api = rest.New(fmt.Sprintf("http://127.0.0.1:%d", s.port), "")
	return d.waitFor(ctx, s.agent.Name+" to be ready", 30*time.Second, func(ctx context.Context) (bool, error) {
		return true, s.api.Get(ctx, "/readyz", nil)
	})
}

// agentPort gives the site's agent its port: the next one after AgentPort, or a free one.
func (d *demo) agentPort(s *site) error {
	if d.o.AgentPort == 0 {
		var err error
		s.port, err = stage.FreePort()
		return err
	}
	s.port = d.o.AgentPort
	for _, other := range d.sites {
		if other == s {
			break
		}
		s.port++
	}
	return stage.CheckPort(s.port, "the HTTP interface of the agent of "+s.name, "--agent-port")
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
  url: tcp://127.0.0.1:%d
  username: %s
  password_file: %s
  max_inflight: 200
replay:
%s  backfill: %d
  every: 5s
`, s.name, filepath.Join(dir, "bridge"), d.o.BrokerPort, d.user, d.path("mqtt-password"), replay, d.o.Backfill)
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
