package middleware

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"fluxora.dev/hub/internal/problem"
)

type requestKey struct{}

// request is what names a request in logs.
type request struct{ id, trace, span string }

// Identify gives every request an id, kept if the caller sent a good one, and continues its W3C trace; it logs the request when it is done.
func Identify(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(problem.RequestIDHeader)
		if !plain(id) {
			id = uuid.NewString()
		}
		trace, span := traced(r.Header)
		r.Header.Set(problem.RequestIDHeader, id) // for problem.Name
		w.Header().Set(problem.RequestIDHeader, id)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, request{id, trace, span}))
		start := time.Now()
		seen := &Recorder{ResponseWriter: w, Status: http.StatusOK}
		next.ServeHTTP(seen, r)
		log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", seen.Status, "took", time.Since(start))
	})
}

// plain reports whether a request id of a caller can be repeated in headers and logs.
func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// traced returns the trace that a request belongs to, a fresh one if its traceparent (W3C Trace Context, level 1) is absent or bad, and a
// span for what the hub does.
func traced(h http.Header) (trace, span string) {
	var fresh [24]byte
	_, _ = rand.Read(fresh[:]) // never fails
	trace, span = hex.EncodeToString(fresh[:16]), hex.EncodeToString(fresh[16:])
	values := h.Values("Traceparent")
	if len(values) != 1 {
		return trace, span
	}
	// version-trace-parent-flags, as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01; later versions may be longer.
	v := values[0]
	if len(v) < 55 || len(v) > 55 && (v[:2] == "00" || v[55] != '-') || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return trace, span
	}
	if !hexadecimal(v[:2]) || v[:2] == "ff" || !hexadecimal(v[3:35]) || !hexadecimal(v[36:52]) || !hexadecimal(v[53:55]) || zeros(v[3:35]) || zeros(v[36:52]) {
		return trace, span
	}
	return v[3:35], span
}

func hexadecimal(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for _, c := range []byte(s) {
		if c != '0' {
			return false
		}
	}
	return true
}

// Logger returns log with the request's id, trace and span in each record whose context is a request's.
func Logger(log *slog.Logger) *slog.Logger { return slog.New(named{log.Handler()}) }

type named struct{ slog.Handler }

func (h named) Handle(ctx context.Context, record slog.Record) error {
	if r, ok := ctx.Value(requestKey{}).(request); ok {
		record = record.Clone()
		record.AddAttrs(slog.String("request", r.id), slog.String("trace", r.trace), slog.String("span", r.span))
	}
	return h.Handler.Handle(ctx, record)
}

func (h named) WithAttrs(attrs []slog.Attr) slog.Handler { return named{h.Handler.WithAttrs(attrs)} }
func (h named) WithGroup(name string) slog.Handler       { return named{h.Handler.WithGroup(name)} }

// Recorder passes an answer on and keeps its status.
type Recorder struct {
	http.ResponseWriter
	Status int // set it to 200 before
	wrote  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *Recorder) WriteHeader(status int) {
	if !w.wrote && status >= http.StatusOK {
		w.Status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *Recorder) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Wrote reports whether the answer has begun.
func (w *Recorder) Wrote() bool { return w.wrote }

// FlushError implements what http.ResponseController looks for.
func (w *Recorder) FlushError() error { return http.NewResponseController(w.ResponseWriter).Flush() }

// Flush implements http.Flusher, for writers above that know no other way.
func (w *Recorder) Flush() { _ = w.FlushError() }

// Unwrap lets http.ResponseController reach the writer beneath.
func (w *Recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
