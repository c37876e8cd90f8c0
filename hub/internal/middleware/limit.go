package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"fluxora.dev/hub/internal/problem"
)

// Bound bounds the body of a request, in bytes, and the time until its handler's context ends, unless endless says that it may take any time.
func Bound(next http.Handler, timeout time.Duration, mostBody int64, endless func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > mostBody {
			problem.Write(w, http.StatusRequestEntityTooLarge, "the body has "+strconv.FormatInt(r.ContentLength, 10)+" bytes: want at most "+strconv.FormatInt(mostBody, 10))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		if !endless(r) {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// Crowd lets at most n requests run at once, so that many clients share the database's connections and the memory of answers. Others
// wait, in the order in which they came, for at most the given time; then, or when waiting already are ten times as many, the
// answer is 503 with Retry-After. Requests that are free do not count.
func Crowd(next http.Handler, n int, wait time.Duration, free func(*http.Request) bool) http.Handler {
	running, waiting := make(chan struct{}, n), make(chan struct{}, 11*n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if free(r) {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case waiting <- struct{}{}:
			defer func() { <-waiting }()
		default:
			busy(w)
			return
		}
		select {
		case running <- struct{}{}:
		default:
			late := time.NewTimer(wait)
			defer late.Stop()
			select {
			case running <- struct{}{}:
			case <-late.C:
				busy(w)
				return
			case <-r.Context().Done():
				busy(w) // nobody reads it
				return
			}
		}
		defer func() { <-running }()
		next.ServeHTTP(w, r)
	})
}

func busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	problem.Write(w, http.StatusServiceUnavailable, "too many requests are under way; try again")
}

// Recover answers 500 when a handler panics, and logs where.
func Recover(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &Recorder{ResponseWriter: w, Status: http.StatusOK}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			log.ErrorContext(r.Context(), "panic in a request", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			if seen.Wrote() {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			problem.Write(w, http.StatusInternalServerError, "the hub could not answer; its log says why")
		}()
		next.ServeHTTP(seen, r)
	})
}

// TooLarge reports whether reading a body ended because of Bound.
func TooLarge(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}
