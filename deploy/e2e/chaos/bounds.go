package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Bounds that no round may leave.
const (
	agentMemory    = 160 << 20 // resident, while a backlog drains
	hubMemory      = 512 << 20 // resident, Postgres aside
	moreGoroutines = 8         // than in round 0, when all was quiet
)

// goroutines is how many each program had in the beginning.
type goroutines struct{ agent, hub float64 }

// checkBounds proves invariant 8.
func (c *campaign) checkBounds(ctx context.Context, f *findings, _ time.Time, _ map[series]int64) error {
	used, err := c.world.storeBytes()
	if err != nil {
		return err
	}
	if used > storeCap {
		f.problem("the agent's store takes %d bytes: want at most %d", used, storeCap)
	}
	c.peak.disk = max(c.peak.disk, used)
	var a, h map[string]float64
	// Connections of the last fault may take a while to be given up.
	for until := time.Now().Add(20 * time.Second); ; pause(ctx, time.Second) {
		if a, err = c.world.metrics(ctx, c.world.agent.Port, ""); err != nil {
			return err
		}
		if h, err = c.world.metrics(ctx, c.world.hub.HTTPPort, c.world.token); err != nil {
			return err
		}
		if c.base == (goroutines{}) {
			c.base = goroutines{a["go_goroutines"], h["go_goroutines"]}
		}
		few := a["go_goroutines"] <= c.base.agent+moreGoroutines && h["go_goroutines"] <= c.base.hub+moreGoroutines
		if few || time.Now().After(until) {
			if !few {
				f.problem("goroutines: agent %v, hub %v: want at most %d more than %+v", a["go_goroutines"], h["go_goroutines"], moreGoroutines, c.base)
			}
			break
		}
	}
	const rss = "process_resident_memory_bytes"
	c.quiet = fmt.Sprintf("agent %v goroutines and %.0f MB, hub %v and %.0f MB", a["go_goroutines"], a[rss]/(1<<20), h["go_goroutines"], h[rss]/(1<<20))
	if a[rss] > agentMemory || h[rss] > hubMemory {
		f.problem("resident memory: agent %.0f, hub %.0f: want at most %d and %d", a[rss], h[rss], agentMemory, hubMemory)
	}
	c.peak.agent, c.peak.hub = max(c.peak.agent, int64(a[rss])), max(c.peak.hub, int64(h[rss]))
	if h["fluxora_hub_panics_total"] > 0 {
		f.problem("the hub caught %v panics", h["fluxora_hub_panics_total"])
	}
	return nil
}

// storeBytes returns the size of the agent's store on disk.
func (w *world) storeBytes() (n int64, err error) {
	err = filepath.WalkDir(w.path("site/agent/store"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// metrics returns the metrics of a program that have no labels.
func (w *world) metrics(ctx context.Context, port int, token string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", port), nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for metrics: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for metrics: %s", resp.Status)
	}
	out := make(map[string]float64)
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 8<<20))
	for lines.Scan() {
		if name, number, ok := strings.Cut(lines.Text(), " "); ok && !strings.HasPrefix(name, "#") {
			if v, err := strconv.ParseFloat(number, 64); err == nil {
				out[name] = v
			}
		}
	}
	return out, lines.Err()
}
