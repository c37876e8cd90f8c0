package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/access"
	"fluxora.dev/hub/internal/api"
	"fluxora.dev/hub/internal/live"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// replica is a hub's interface with live events.
func replica(t *testing.T, s *store.Store, change func(*api.Options)) (*httptest.Server, *live.Notes, context.CancelFunc) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	follower, notes := live.NewFollower(s, log, time.Now), live.NewNotes(s, log)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() { _ = follower.Run(ctx); ended <- struct{}{} }()
	go func() { _ = notes.Run(ctx); ended <- struct{}{} }()
	t.Cleanup(func() { stop(); <-ended; <-ended })
	srv := serve(t, s, func(o *api.Options) {
		o.Live = api.Live{Follower: follower}
		if change != nil {
			change(o)
		}
	})
	return srv, notes, stop
}

// told is one event as a client reads it.
type told struct{ id, event, data string }

// tape reads events of a stream.
type tape struct {
	t    *testing.T
	stop context.CancelFunc
	in   *bufio.Scanner
}

func listen(t *testing.T, srv *httptest.Server, token, path string, headers ...string) *tape {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(stop)
	res, err := srv.Client().Do(send(t, "GET", srv.URL+path, token, nil, headers...).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("GET %s: %d %v", path, res.StatusCode, res.Header)
	}
	return &tape{t, stop, bufio.NewScanner(res.Body)}
}

// next returns the next event that has data; ok is false when the stream ended.
func (p *tape) next() (e told, ok bool) {
	p.t.Helper()
	for p.in.Scan() {
		key, value, _ := strings.Cut(p.in.Text(), ": ")
		switch key {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data = value
		case "":
			if e.data != "" {
				return e, true
			}
		}
	}
	return e, false
}

func (p *tape) want(id, event, part string) {
	p.t.Helper()
	e, ok := p.next()
	if !ok || id != "" && e.id != id || e.event != event || !strings.Contains(e.data, part) || !json.Valid([]byte(e.data)) {
		p.t.Fatalf("got %+v, %t: want %s %s with %s", e, ok, id, event, part)
	}
}

func events(t *testing.T, s *store.Store, org uuid.UUID, kind string, n int) {
	t.Helper()
	list := make([]store.LiveEvent, n)
	for i := range list {
		list[i] = store.LiveEvent{Kind: kind, Site: fmt.Sprint("site-", i%2), Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}
	}
	if err := s.AppendLiveEvents(t.Context(), org, list); err != nil {
		t.Fatal(err)
	}
}

func TestStream(t *testing.T) {
	s := storetest.Open(t)
	a, b := newTenant(t, s, "alpha"), newTenant(t, s, "beta")
	one, notes, stop := replica(t, s, nil)
	two, _, _ := replica(t, s, nil)

	first := listen(t, one, a.token, "/v1/stream")
	first.want("0", "begin", `{"id":0}`)
	other := listen(t, two, a.token, "/v1/stream")
	other.want("0", "begin", "")
	beta := listen(t, one, b.token, "/v1/stream")
	beta.want("0", "begin", "")

	notes.Note(a.org, live.Forecast, "alpha-site", "main", map[string]string{"point": "main\n"})
	for _, tape := range []*tape{first, other} { // both replicas tell
		tape.want("1", "forecast", `"site":"alpha-site","data":{"point": "main\n"}`)
	}
	notes.Note(b.org, live.Alert, "", "x", 7)
	beta.want("1", "alert", `"data":7`) // each organisation counts by itself, and sees nothing of others

	first.stop()
	events(t, s, a.org, live.Reading, 1200) // more than is read at once
	back := listen(t, two, a.token, "/v1/stream", "Last-Event-ID", "1")
	for i := range 1200 {
		back.want(fmt.Sprint(i+2), "reading", fmt.Sprintf(`{"n": %d}`, i))
	}
	some := listen(t, one, a.token, "/v1/stream/?kinds=reading&site=site-1&last_event_id=1195")
	for _, id := range []int{1195 + 2, 1199, 1201} {
		some.want(fmt.Sprint(id), "reading", "site-1")
	}
	listen(t, one, a.token, "/v1/stream", "Last-Event-ID", "99999").want("1201", "gap", `"after":99999`)

	if n, err := s.PruneLiveEvents(t.Context(), time.Now().Add(-time.Hour), 100); err != nil || n != 1101 {
		t.Errorf("%d events forgotten, %v; want 1101", n, err)
	}
	listen(t, two, a.token, "/v1/stream", "Last-Event-ID", "5").want("1101", "gap", `"after":5`)

	stop()
	for {
		if _, ok := beta.next(); !ok {
			break // a hub that stops ends its streams
		}
	}
}

func TestStreamIsGuarded(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv, _, _ := replica(t, s, func(o *api.Options) {
		o.Live.Longest = time.Nanosecond
		o.Callers = []api.Authenticator{known{"key": {Kind: access.Key, Organisation: v.org, Role: access.Viewer, Scopes: []access.Scope{access.ReadReadings}}}}
	})
	for _, tc := range []struct {
		token, path string
		status      int
	}{
		{"", "/v1/stream", 401},
		{"key", "/v1/stream?kinds=job", 403},
		{v.token, "/v1/stream?kinds=gossip", 422},
		{v.token, "/v1/stream?last_event_id=-1", 422},
		{v.token, "/v1/stream?last_event_id=99999999999999999999", 422},
	} {
		if a := ask(t, srv, tc.token, tc.path); a.status != tc.status {
			t.Errorf("GET %s: %d %s, want %d", tc.path, a.status, a.body, tc.status)
		}
	}
	short := listen(t, srv, v.token, "/v1/stream")
	for {
		if _, ok := short.next(); !ok {
			break // it ends by itself after Longest
		}
	}
	if a := ask(t, serve(t, s, nil), v.token, "/v1/stream"); a.status != http.StatusServiceUnavailable {
		t.Errorf("a hub without live events: %d", a.status)
	}
}

// TestTrainingsTellHowFarTheyAre changes a training as its worker does.
func TestTrainingsTellHowFarTheyAre(t *testing.T) {
	s := storetest.Open(t)
	v := newTenant(t, s, "alpha")
	srv, _, _ := replica(t, s, nil)
	tape := listen(t, srv, v.token, "/v1/stream?kinds=job")
	tape.want("0", "begin", "")
	run := uuid.New()
	for _, sql := range []string{
		`insert into training_run (org_id, run_id, resolution_ms, cause, state) values ($1, $2, 3600000, 'demand', 'queued')`,
		`update training_run set state = 'running', stage = 'table', percent = 1 where org_id = $1 and run_id = $2`,
		`update training_run set percent = 2 where org_id = $1 and run_id = $2`, // too small a step to tell
		`update training_run set percent = 7 where org_id = $1 and run_id = $2`,
	} {
		if _, err := s.Pool().Exec(t.Context(), sql, v.org, run); err != nil {
			t.Fatal(err)
		}
	}
	tape.want("1", "job", `"state": "queued"`)
	tape.want("2", "job", `"stage": "table"`)
	tape.want("3", "job", `"percent": 7`)
}
