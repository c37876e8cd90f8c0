package middleware

import (
	"net/http"
	"strings"

	"github.com/rs/cors"
)

// Secure sets the headers that keep a browser from doing more with an answer than showing it. Handlers may set others.
func Secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// Origins lets pages of the given origins (scheme://host:port) read answers; of no others, and of none when there are none.
// Credentials are headers, never cookies, so none are allowed for.
func Origins(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next // rs/cors takes an empty list for everybody
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Traceparent", "X-Request-ID"},
		ExposedHeaders: []string{"ETag", "Idempotency-Replayed", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID", "X-Total-Count"},
		MaxAge:         600, // seconds
	}).Handler(next)
}

// Slash takes the trailing slash off paths, so that each route is found with and without.
func Slash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; len(p) > 1 && strings.HasSuffix(p, "/") {
			u := *r.URL
			u.Path, u.RawPath = strings.TrimSuffix(p, "/"), strings.TrimSuffix(u.RawPath, "/")
			bare := *r
			bare.URL = &u
			r = &bare
		}
		next.ServeHTTP(w, r)
	})
}
