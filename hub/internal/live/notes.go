package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/store"
)

// The kinds of events.
const (
	Reading  = "reading"  // readings of a site were committed
	Forecast = "forecast" // a point was forecast
	Alert    = "alert"    // an alert began, changed or ended
	Job      = "job"      // a training is queued, working or done; written by the table of trainings itself
)

// Kinds returns all kinds of events.
func Kinds() []string { return []string{Reading, Forecast, Alert, Job} }

const (
	gather    = 250 * time.Millisecond
	mostNotes = 50_000 // gathered at once; about 20 MB
	batch     = 500    // notes written at once
	lastNotes = 2 * time.Second
)

// Notes gathers what happened and writes it.
type Notes struct {
	store *store.Store
	log   *slog.Logger

	mu      sync.Mutex
	pending map[subject]store.LiveEvent
	order   []subject
	lost    int
}

// subject is what a note is about.
type subject struct {
	org              uuid.UUID
	kind, site, name string
}

// NewNotes returns one that writes nothing until Run.
func NewNotes(s *store.Store, log *slog.Logger) *Notes {
	return &Notes{store: s, log: log, pending: map[subject]store.LiveEvent{}}
}

// Note notes that something of a kind happened. It replaces an unwritten note about the same name, and never blocks. The data are encoded as JSON.
func (n *Notes) Note(org uuid.UUID, kind, site, name string, data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		n.log.Error("an event cannot be told", "kind", kind, "error", err)
		return
	}
	about := subject{org, kind, site, name}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.pending[about]; !ok {
		if len(n.pending) >= mostNotes {
			n.lost++
			return
		}
		n.order = append(n.order, about)
	}
	n.pending[about] = store.LiveEvent{Kind: kind, Site: site, Data: raw}
}

// Run writes notes until ctx is done, and then those that are left.
func (n *Notes) Run(ctx context.Context) error {
	tick := time.NewTicker(gather)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.write(ctx)
		case <-ctx.Done():
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNotes)
			defer cancel()
			n.write(late)
			return nil
		}
	}
}

// write writes what was gathered. What cannot be written now is given up: who follows learns of it from what comes next.
func (n *Notes) write(ctx context.Context) {
	n.mu.Lock()
	pending, order, lost := n.pending, n.order, n.lost
	n.pending, n.order, n.lost = map[subject]store.LiveEvent{}, nil, 0
	n.mu.Unlock()
	byOrg := map[uuid.UUID][]store.LiveEvent{}
	for _, about := range order {
		byOrg[about.org] = append(byOrg[about.org], pending[about])
	}
	var err error
	for org, events := range byOrg {
		for len(events) > 0 {
			some := events[:min(batch, len(events))]
			events = events[len(some):]
			if err == nil {
				err = n.store.AppendLiveEvents(ctx, org, some)
			}
			if err != nil {
				lost += len(some)
			}
		}
	}
	if lost > 0 {
		n.log.Warn("events were not told to who follows live; readings and forecasts are not touched by that", "events", lost, "error", err)
	}
}
