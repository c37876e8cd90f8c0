// Package docpage serves a page on which people read about the REST interface and try it, from files in the program: it works
// without the internet. It knows where the OpenAPI document is and nothing of what is in it.
//
// The folder swagger-ui is from the npm package swagger-ui-dist 5.35.0, licence Apache-2.0, unchanged but compressed with gzip -9n. To
// take another version: `npm pack swagger-ui-dist@VERSION`, compress the same two files, copy the licences.
package docpage

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"net/http"
	"strings"
)

//go:embed swagger-ui page
var files embed.FS

// policy lets the page run its own script and talk to its own hub. Swagger UI writes style attributes and shows icons from data URLs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is one of those served: under the page's path, with its type.
type file struct {
	name, path, mime string
	zipped           bool
}

var served = []file{
	{"", "page/index.html", "text/html; charset=utf-8", false},
	{"start.js", "page/start.js", "text/javascript; charset=utf-8", false},
	{"swagger-ui.js", "swagger-ui/swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8", true},
	{"swagger-ui.css", "swagger-ui/swagger-ui.css.gz", "text/css; charset=utf-8", true},
	{"LICENSE", "swagger-ui/LICENSE", "text/plain; charset=utf-8", false},
}

// Handlers returns what serves each path of the page. The page itself is at /docs and names its parts by path.
func Handlers() map[string]http.Handler {
	out := map[string]http.Handler{}
	for _, f := range served {
		raw, err := files.ReadFile(f.path)
		if err != nil {
			panic(fmt.Sprintf("page of the interface: %s", err)) // embed named it
		}
		out["/docs"+strings.TrimSuffix("/"+f.name, "/")] = f.handler(raw)
	}
	return out
}

func (f file) handler(raw []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", f.mime)
		h.Set("Content-Security-Policy", policy)
		if f.zipped && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
		} else if f.zipped {
			z, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				panic(fmt.Sprintf("page of the interface, %s: %s", f.path, err)) // a test reads all
			}
			_, _ = io.Copy(w, z)
			return
		}
		_, _ = w.Write(raw)
	})
}
