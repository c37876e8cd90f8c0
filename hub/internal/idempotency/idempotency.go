// Package idempotency gives the same answer to the same write when a client that did not hear the first asks again, with no second
// effect. It knows keys, bodies and answers, and no route.
//
// A request claims its key in the database, on whichever replica it comes; the answer is kept with the key for a day. A duplicate that
// comes while the first is under way is 409 with Retry-After, the same key for another request is 422. An answer that says to try again
// (5xx, 401, 403, 408, 429) gives the key up.
//
// What it does not promise: when the hub dies between the commit of a write and that of its answer, the claim is taken over after the
// lease and the write is done once more. Routes for which that matters have keys of their own in what they write, as readings have
// their instants.
package idempotency

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"fluxora.dev/hub/internal/middleware"
	"fluxora.dev/hub/internal/problem"
	"fluxora.dev/hub/internal/store"
)

// Header names a request, as the IETF's draft on idempotency keys has it.
const Header = "Idempotency-Key"

const (
	mostBody   = 4 << 20 // bytes, of a request with a key and of its answer
	mostKey    = 255
	keepFor    = 24 * time.Hour
	saveWithin = 5 * time.Second
)

// kept are the headers of an answer that are given again.
var kept = []string{"Content-Type", "Location"}

// Options is what Wrap needs.
type Options struct {
	Store  *store.Store
	Caller func(*http.Request) store.IdempotencyKey // Org and Caller of a request; an empty Caller has no keys
	Lease  time.Duration                            // longer than any request takes
	Log    *slog.Logger
}

// Wrap answers writes that have a key once.
func Wrap(next http.Handler, o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header.Values(Header)
		if len(values) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		key := o.Caller(r)
		if key.Caller == "" {
			next.ServeHTTP(w, r)
			return
		}
		if len(values) != 1 || !good(values[0]) {
			problem.Write(w, http.StatusBadRequest, "the header Idempotency-Key wants 1 to 255 visible ASCII characters, such as a UUID")
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, mostBody+1))
		switch {
		case middleware.TooLarge(err) || len(body) > mostBody:
			problem.Write(w, http.StatusRequestEntityTooLarge, "the body is too long for a request with an Idempotency-Key: want at most 4 MiB")
			return
		case err != nil:
			problem.Write(w, http.StatusBadRequest, "the body ended early")
			return
		}
		key.Route, key.Key = r.Method+" "+r.URL.Path, values[0]
		digest := sha256.Sum256(append([]byte(r.URL.RawQuery+"\n"), body...))
		claim, answer, err := o.Store.ClaimKey(r.Context(), key, digest[:], o.Lease, keepFor)
		if err != nil {
			refuse(w, r, err, o.Log)
			return
		}
		if answer != nil {
			replay(w, answer)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		run(w, r, next, claim, o)
	})
}

// run does what the request asks for and keeps the answer, also when the caller has gone meanwhile.
func run(w http.ResponseWriter, r *http.Request, next http.Handler, claim store.KeyClaim, o Options) {
	seen := &copier{Recorder: middleware.Recorder{ResponseWriter: w, Status: http.StatusOK}}
	done := false
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), saveWithin)
		defer cancel()
		var err error
		if done && keeps(seen.Status) && seen.body.Len() <= mostBody {
			a := store.KeptAnswer{Status: seen.Status, Header: map[string]string{}, Body: seen.body.Bytes()}
			for _, h := range kept {
				if v := w.Header().Get(h); v != "" {
					a.Header[h] = v
				}
			}
			err = o.Store.KeepAnswer(ctx, claim, a)
		} else {
			err = o.Store.GiveUpKey(ctx, claim)
		}
		if err != nil {
			o.Log.WarnContext(r.Context(), "an idempotency key was not settled; it is free again after its lease", "error", err)
		}
	}()
	next.ServeHTTP(seen, r)
	done = true
}

// keeps reports whether the same request would get the same answer.
func keeps(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	default:
		return status < http.StatusInternalServerError
	}
}

func refuse(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	switch {
	case errors.Is(err, store.ErrConflict):
		problem.Write(w, http.StatusUnprocessableEntity, "this Idempotency-Key was used for another request: want a fresh one for each")
	case errors.Is(err, store.ErrBusy):
		w.Header().Set("Retry-After", "1")
		problem.Write(w, http.StatusConflict, "the request with this Idempotency-Key is under way; ask again for its answer")
	default:
		log.WarnContext(r.Context(), "idempotency keys cannot be read", "error", err)
		w.Header().Set("Retry-After", "5")
		problem.Write(w, http.StatusServiceUnavailable, "the database is not reachable at the moment; nothing was done; try again")
	}
}

func replay(w http.ResponseWriter, a *store.KeptAnswer) {
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // who has gone does not read it
}

func good(key string) bool {
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return key != "" && len(key) <= mostKey
}

// copier keeps a copy of an answer.
type copier struct {
	middleware.Recorder
	body bytes.Buffer
}

func (c *copier) Write(b []byte) (int, error) {
	if c.body.Len() <= mostBody {
		c.body.Write(b)
	}
	return c.Recorder.Write(b)
}
