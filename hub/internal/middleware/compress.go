package middleware

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
)

// leastCompressed is the length, in bytes, from which compressing an answer is worth it: less fits in one packet.
const leastCompressed = 1400

// Compress compresses answers with zstd or gzip for clients that take them. Event streams go as they are: their events are small and
// must not wait for more.
func Compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(leastCompressed), gzhttp.CompressionLevel(3), gzhttp.ContentTypeFilter(func(ct string) bool {
		return !strings.HasPrefix(ct, "text/event-stream") && gzhttp.DefaultContentTypeFilter(ct)
	}))
	if err != nil {
		panic(fmt.Sprintf("compression: %s", err)) // only constants go in
	}
	return wrap(next)
}
