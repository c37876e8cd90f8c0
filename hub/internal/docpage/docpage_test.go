package docpage_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/docpage"
)

func TestEveryPartIsServed(t *testing.T) {
	handlers := docpage.Handlers()
	for path, h := range handlers {
		for _, encoding := range []string{"", "gzip"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("Accept-Encoding", encoding)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body, err := io.ReadAll(w.Body)
			if w.Code != http.StatusOK || err != nil || len(body) < 100 || !strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src 'self';") {
				t.Errorf("GET %s (%s): %d, %d bytes, %v, %v", path, encoding, w.Code, len(body), err, w.Header())
			}
			if path == "/docs/swagger-ui.js" && (encoding == "") != strings.Contains(string(body), "SwaggerUI") {
				t.Errorf("GET %s (%s): %d bytes of another encoding", path, encoding, len(body))
			}
		}
	}
	w := httptest.NewRecorder()
	handlers["/docs"].ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/docs", nil))
	for _, m := range regexp.MustCompile(`(?:src|href)="(/docs/[^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		if handlers[m[1]] == nil {
			t.Errorf("the page wants %s, which is not served", m[1])
		}
	}
	if strings.Contains(w.Body.String(), "//") {
		t.Error("the page names another server")
	}
}
