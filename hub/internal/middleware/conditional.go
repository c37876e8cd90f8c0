package middleware

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// mostHeld bounds, in bytes, what is held of an answer to hash it. A longer one goes without a tag.
const mostHeld = 4 << 20

// Conditional gives answers to reads a weak entity tag of their bytes, and 304 instead of the bytes to who has them already (RFC 9110,
// section 13). The tag is the same on every replica.
func Conditional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		held := &holder{ResponseWriter: w, status: http.StatusOK, body: buffers.Get().(*bytes.Buffer)}
		defer held.free()
		next.ServeHTTP(held, r)
		if held.passed {
			return
		}
		if held.status == http.StatusOK && w.Header().Get("ETag") == "" {
			tag := fmt.Sprintf(`W/"%x-%x"`, held.body.Len(), xxhash.Sum64(held.body.Bytes()))
			w.Header().Set("ETag", tag)
			w.Header().Set("Cache-Control", "private, no-cache") // keep it, and ask each time whether it still holds
			w.Header().Add("Vary", "Authorization")
			if matches(r.Header.Values("If-None-Match"), tag) {
				w.Header().Del("Content-Type")
				w.Header().Del("Content-Length")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		held.pass()
	})
}

// matches compares weakly, as If-None-Match wants.
func matches(headers []string, tag string) bool {
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// holder keeps an answer until its handler is done, or until it flushes or gets too long.
type holder struct {
	http.ResponseWriter
	status int
	body   *bytes.Buffer
	passed bool
}

func (h *holder) WriteHeader(status int) {
	if h.passed || status < http.StatusOK {
		h.ResponseWriter.WriteHeader(status)
		return
	}
	h.status = status
}

func (h *holder) Write(b []byte) (int, error) {
	if !h.passed && h.body.Len()+len(b) > mostHeld {
		h.pass()
	}
	if h.passed {
		return h.ResponseWriter.Write(b)
	}
	return h.body.Write(b)
}

// pass sends what was held, and from then on everything at once.
func (h *holder) pass() {
	h.passed = true
	h.ResponseWriter.WriteHeader(h.status)
	_, _ = h.ResponseWriter.Write(h.body.Bytes()) // who has gone does not read it
}

// FlushError implements what http.ResponseController looks for.
func (h *holder) FlushError() error {
	if !h.passed {
		h.pass()
	}
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (h *holder) Flush() { _ = h.FlushError() }

// Unwrap lets http.ResponseController set deadlines of the connection.
func (h *holder) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *holder) free() {
	if h.body.Cap() <= 1<<20 {
		h.body.Reset()
		buffers.Put(h.body)
	}
	h.body = nil
}
