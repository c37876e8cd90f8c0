package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/live"
	"fluxora.dev/hub/internal/store"
)

const streamPath = "/v1/stream"

// Live is what streams of events need. The zero value serves none.
type Live struct {
	Follower  *live.Follower
	Heartbeat time.Duration // between signs of life; 0: 15 s
	Stall     time.Duration // after which a client that does not read is dropped; 0: 10 s
	Longest   time.Duration // after which a client must connect again, and show its credential; 0: 15 min
}

const (
	mostStreams       = 2000 // of all callers
	mostStreamsOfOne  = 32
	historyAtOnce     = 500
	reconnectAfterMs  = 3000
	streamContentType = "text/event-stream"
)

// scopes says which scope each kind of event needs.
var scopes = map[string]access.Scope{
	live.Reading: access.ReadReadings, live.Forecast: access.ReadForecasts, live.Alert: access.ReadAlerts, live.Job: access.ReadModels,
}

// streams counts open streams, so that they are bounded.
type streams struct {
	Live
	mu   sync.Mutex
	all  int
	each map[string]int
}

func newStreams(l Live) *streams {
	l.Heartbeat, l.Stall, l.Longest = cmp.Or(l.Heartbeat, 15*time.Second), cmp.Or(l.Stall, 10*time.Second), cmp.Or(l.Longest, 15*time.Minute)
	return &streams{Live: l, each: map[string]int{}}
}

// enter counts a stream of a caller, if there may be one more.
func (s *streams) enter(who string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= mostStreams || s.each[who] >= mostStreamsOfOne {
		return nil, false
	}
	s.all++
	s.each[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.each[who]--; s.each[who] == 0 {
			delete(s.each, who)
		}
	}, true
}

type streamQuery struct {
	Kinds  []string `query:"kinds" enum:"reading,forecast,alert,job" doc:"only these kinds; all that the credential is good for without it"`
	Site   string   `query:"site" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"only what is of this site"`
	Last   string   `header:"Last-Event-ID" maxLength:"20" doc:"id of the last event that was seen; browsers send it by themselves"`
	LastID string   `query:"last_event_id" maxLength:"20" doc:"the same, for who cannot set headers"`
}

func (s *server) registerStream(r *routes) {
	op := get("stream", streamPath, "What happens, as Server-Sent Events: readings, forecasts, alerts and jobs, each with its number as id", http.StatusTooManyRequests)
	op.Description = "Begins with an event `begin`, whose id is the newest number, and goes on after Last-Event-ID when that is sent. An event `gap` says that " +
		"older ones are forgotten (they are kept for a day): read anew what you show. A sign of life comes every 15 s. After 15 min the stream ends; connect again."
	op.Responses = map[string]*huma.Response{"200": {Description: "The events", Content: map[string]*huma.MediaType{streamContentType: {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	register(r, access.With(access.Viewer, access.ReadReadings), op, s.stream)
}

func (s *server) stream(ctx context.Context, in *streamQuery) (*huma.StreamResponse, error) {
	if s.live.Follower == nil {
		return nil, huma.Error503ServiceUnavailable("this hub tells no live events")
	}
	c := callerOf(ctx)
	f := follow{server: s, org: c.Organisation, site: in.Site, kinds: map[string]bool{}, at: -1}
	for kind, scope := range scopes {
		asked := slices.Contains(in.Kinds, kind)
		if asked && !c.Has(scope) {
			return nil, huma.Error403Forbidden(fmt.Sprintf("the credential is not good for the scope %s, which events of kind %s need", scope, kind))
		}
		f.kinds[kind] = asked || len(in.Kinds) == 0 && c.Has(scope)
	}
	if last := cmp.Or(in.Last, in.LastID); last != "" {
		at, err := strconv.ParseInt(last, 10, 64)
		if err != nil || at < 0 {
			return nil, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "header.Last-Event-ID", Message: "want the id of an event of this stream", Value: last})
		}
		f.at = at
	}
	leave, ok := s.live.enter(string(c.Kind) + " " + c.Subject)
	if !ok {
		return nil, huma.ErrorWithHeaders(huma.Error429TooManyRequests(fmt.Sprintf("too many streams are open: at most %d of one caller", mostStreamsOfOne)),
			http.Header{"Retry-After": {strconv.Itoa(retrySeconds)}})
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer leave()
		_, w := humago.Unwrap(ctx)
		f.run(ctx.Context(), w)
	}}, nil
}

// follow is one client that follows along.
type follow struct {
	*server
	org   uuid.UUID
	site  string
	kinds map[string]bool
	at    int64 // seq of the last event that the client has; -1 when it wants none of before

	w      http.ResponseWriter
	writes *http.ResponseController
}

// run tells the client what happens until it goes, stops reading, has been there long enough, or the hub stops.
func (f *follow) run(ctx context.Context, w http.ResponseWriter) {
	f.w, f.writes = w, http.NewResponseController(w)
	_ = f.writes.SetReadDeadline(time.Time{}) // the server's bound on reading a request would end the stream
	w.Header().Set("Content-Type", streamContentType)
	w.Header().Set("X-Accel-Buffering", "no") // for nginx
	defer f.live.Follower.Follow(f.org)()
	longest, beat := time.NewTimer(f.live.Longest), time.NewTicker(f.live.Heartbeat)
	defer longest.Stop()
	defer beat.Stop()
	err := f.send(fmt.Sprintf("retry: %d\n\n", reconnectAfterMs))
	for err == nil {
		state := f.live.Follower.Since(f.org, f.at)
		if state.Ended {
			return
		}
		var more bool
		if more, err = f.tell(ctx, state); err != nil || more {
			continue
		}
		select {
		case <-state.News:
		case <-beat.C:
			err = f.send(fmt.Sprintf(": still here\nid: %d\n\n", max(f.at, 0)))
		case <-longest.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// tell sends what the client lacks, and reports whether there may be more at once.
func (f *follow) tell(ctx context.Context, state live.State) (more bool, err error) {
	switch {
	case state.Head < 0:
		return false, nil
	case f.at < 0:
		f.at = state.Head
		return true, f.send(fmt.Sprintf("id: %d\nevent: begin\ndata: {\"id\":%d}\n\n", f.at, f.at))
	case f.at > state.Head: // an id of another database
		return true, f.gap(state.Head)
	case f.at == state.Head:
		return false, nil
	}
	events := state.Events
	if len(events) == 0 {
		if events, err = f.store.LiveEvents(ctx, f.org, f.at, historyAtOnce); err != nil {
			return false, err
		}
		if len(events) == 0 {
			return true, f.gap(state.Head)
		}
		if events[0].Seq > f.at+1 {
			if err := f.gap(events[0].Seq - 1); err != nil {
				return false, err
			}
		}
	}
	return true, f.events(events)
}

// gap says that events up to a seq cannot be told any more.
func (f *follow) gap(to int64) error {
	from := f.at
	f.at = to
	return f.send(fmt.Sprintf("id: %d\nevent: gap\ndata: {\"after\":%d,\"id\":%d}\n\n", to, from, to))
}

func (f *follow) events(events []store.LiveEvent) error {
	var b []byte
	for _, e := range events {
		f.at = e.Seq
		if !f.kinds[e.Kind] || f.site != "" && e.Site != f.site {
			continue
		}
		b = fmt.Appendf(b, "id: %d\nevent: %s\ndata: {\"at\":%q,\"site\":%q,\"data\":%s}\n\n", e.Seq, e.Kind, e.At.UTC().Format(time.RFC3339Nano), e.Site, e.Data)
	}
	if len(b) == 0 {
		return nil
	}
	return f.send(string(b))
}

// send writes and flushes; a client that takes too long is given up.
func (f *follow) send(text string) error {
	if err := f.writes.SetWriteDeadline(time.Now().Add(f.live.Stall)); err != nil {
		return err
	}
	if _, err := f.w.Write([]byte(text)); err != nil {
		return err
	}
	return f.writes.Flush()
}
