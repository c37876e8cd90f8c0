package idempotency_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/idempotency"
	"fluxora.dev/hub/internal/store"
	"fluxora.dev/hub/internal/store/storetest"
)

// desk is a handler whose work can be held up, behind Wrap.
type desk struct {
	http.Handler
	done   atomic.Int64
	begun  chan struct{}
	resume chan int // the status to answer with
}

func open(t *testing.T, s *store.Store, org uuid.UUID, lease time.Duration) *desk {
	t.Helper()
	d := &desk{begun: make(chan struct{}, 10), resume: make(chan int, 10)}
	requests := s.ForRequests(func(context.Context) uuid.UUID { return org })
	d.Handler = idempotency.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.begun <- struct{}{}
		status := <-d.resume
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Location", "/v1/things/7")
		w.WriteHeader(status)
		fmt.Fprintf(w, "%d %s", d.done.Add(1), body)
	}), idempotency.Options{
		Store: requests, Lease: lease, Log: slog.New(slog.DiscardHandler),
		Caller: func(r *http.Request) store.IdempotencyKey {
			return store.IdempotencyKey{Org: org, Caller: r.Header.Get("X-Caller")}
		},
	})
	return d
}

func (d *desk) ask(caller, path, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Caller", caller)
	if key != "" {
		r.Header.Set(idempotency.Header, key)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func TestOnce(t *testing.T) {
	s := storetest.Open(t)
	org, _, _ := storetest.Site(t, s, "alpha", store.Site{Name: "a"})
	d, replica := open(t, s, org, time.Minute), open(t, s, org, time.Minute)

	d.resume <- 201
	first := d.ask("user 1", "/v1/data?x=1", "k", "body")
	again := replica.ask("user 1", "/v1/data?x=1", "k", "body") // would wait for ever if it were done
	if first.Code != 201 || again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" || again.Header().Get("Location") != "/v1/things/7" {
		t.Errorf("first %d %q, again %d %q %v", first.Code, first.Body, again.Code, again.Body, again.Header())
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"another body":  d.ask("user 1", "/v1/data?x=1", "k", "other"),
		"another query": d.ask("user 1", "/v1/data?x=2", "k", "body"),
	} {
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "another request") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for _, key := range []string{"", "a b", strings.Repeat("x", 256), "é", "\x01"} {
		r := httptest.NewRequest(http.MethodPost, "/v1/data", nil)
		r.Header.Set("X-Caller", "user 1")
		r.Header[idempotency.Header] = []string{key}
		w := httptest.NewRecorder()
		if d.ServeHTTP(w, r); w.Code != http.StatusBadRequest {
			t.Errorf("key %q: %d, want 400", key, w.Code)
		}
	}
	if w := d.ask("user 1", "/v1/data", "big", strings.Repeat("x", 5<<20)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %d", w.Code)
	}
	// Each of these is another request, and is done.
	for _, other := range [][3]string{{"user 2", "/v1/data?x=1", "k"}, {"user 1", "/v1/other", "k"}, {"user 1", "/v1/data?x=1", "k2"}, {"user 1", "/v1/data", ""}, {"", "/v1/data", "k"}} {
		d.resume <- 200
		if w := d.ask(other[0], other[1], other[2], "body"); w.Code != 200 {
			t.Errorf("%v: %d %s", other, w.Code, w.Body)
		}
	}
	if n := d.done.Load(); n != 6 {
		t.Errorf("done %d times, want 6", n)
	}
}

func TestDuplicateUnderWay(t *testing.T) {
	s := storetest.Open(t)
	org, _, _ := storetest.Site(t, s, "alpha", store.Site{Name: "a"})
	d, replica := open(t, s, org, time.Minute), open(t, s, org, time.Minute)
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- d.ask("user 1", "/v1/data", "k", "body") }()
	<-d.begun
	if w := replica.ask("user 1", "/v1/data", "k", "body"); w.Code != http.StatusConflict || w.Header().Get("Retry-After") == "" {
		t.Errorf("duplicate under way: %d %s", w.Code, w.Body)
	}
	d.resume <- 201
	if w := <-first; w.Code != 201 {
		t.Errorf("the first: %d", w.Code)
	}
	if w := replica.ask("user 1", "/v1/data", "k", "body"); w.Code != 201 || w.Body.String() != "1 body" {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

func TestFailuresGiveTheKeyUp(t *testing.T) {
	s := storetest.Open(t)
	org, _, _ := storetest.Site(t, s, "alpha", store.Site{Name: "a"})
	d := open(t, s, org, time.Minute)
	for _, status := range []int{500, 503, 429, 403} {
		d.resume <- status
		if w := d.ask("user 1", "/v1/data", "k", "body"); w.Code != status {
			t.Errorf("%d, want %d", w.Code, status)
		}
	}
	d.resume <- 0
	func() {
		defer func() { _ = recover() }()
		d.ask("user 1", "/v1/data", "k", "body")
	}()
	d.resume <- 409 // says the same each time
	if w := d.ask("user 1", "/v1/data", "k", "body"); w.Code != 409 {
		t.Errorf("after failures: %d", w.Code)
	}
	if w := d.ask("user 1", "/v1/data", "k", "body"); w.Code != 409 || w.Header().Get("Idempotency-Replayed") == "" {
		t.Errorf("a refusal again: %d %v", w.Code, w.Header())
	}
}

// TestADeadHubIsTakenOver claims a key as a hub does that dies before it answers.
func TestADeadHubIsTakenOver(t *testing.T) {
	s := storetest.Open(t)
	org, _, _ := storetest.Site(t, s, "alpha", store.Site{Name: "a"})
	key := store.IdempotencyKey{Org: org, Caller: "user 1", Route: "POST /v1/data", Key: "k"}
	dead, _, err := s.ClaimKey(t.Context(), key, []byte("x"), time.Minute, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, s, org, 0)
	d.resume <- 201
	if w := d.ask("user 1", "/v1/data", "k", "body"); w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := s.KeepAnswer(t.Context(), dead, store.KeptAnswer{Status: 200}); err != nil { // it was only slow
		t.Fatal(err)
	}
	if err := s.GiveUpKey(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	if w := d.ask("user 1", "/v1/data", "k", "body"); w.Code != 201 {
		t.Errorf("the slow one changed the answer to %d", w.Code)
	}
}

func TestKeysExpire(t *testing.T) {
	s := storetest.Open(t)
	org, _, _ := storetest.Site(t, s, "alpha", store.Site{Name: "a"})
	for i := range 3 {
		key := store.IdempotencyKey{Org: org, Caller: "user 1", Route: "POST /v1/data", Key: fmt.Sprint(i / 2)}
		if _, answer, err := s.ClaimKey(t.Context(), key, []byte(fmt.Sprint(i)), time.Minute, 0); err != nil || answer != nil {
			t.Errorf("claim %d: %+v, %v", i, answer, err)
		}
	}
}
