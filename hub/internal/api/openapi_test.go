package api_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/api"
)

// committed is the copy of the document that people read without building.
const committed = "../../../docs/openapi.json"

func TestOpenAPIIsCurrent(t *testing.T) {
	got := api.OpenAPI("1")
	want, err := os.ReadFile(committed)
	if err != nil {
		t.Fatalf("%v; write it with: fluxora-hub openapi > docs/openapi.json", err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/openapi.json is not what the code says; write it with: fluxora-hub openapi > docs/openapi.json")
	}
}

func TestOpenAPISaysWhoMayCall(t *testing.T) {
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Security  *[]map[string][]string
			Responses map[string]any
		}
		Security []map[string][]string
	}
	if err := json.Unmarshal(api.OpenAPI("1"), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Security) != 1 {
		t.Errorf("version %q, security %v", doc.OpenAPI, doc.Security)
	}
	strangers := []string{
		"/health", "/v1/auth/register", "/v1/auth/token", "/v1/auth/login", "/v1/auth/refresh", "/v1/auth/oidc/login", "/v1/auth/oidc/callback", "/.well-known/jwks.json",
	}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			open := op.Security != nil && len(*op.Security) == 0
			if open != (strings.HasSuffix(path, "z") || slices.Contains(strangers, path)) {
				t.Errorf("%s %s: open to everybody is %t", method, path, open)
			}
			if _, ok := op.Responses["503"]; !ok && path != "/healthz" && path != "/health" {
				t.Errorf("%s %s: does not say that it may answer 503", method, path)
			}
		}
	}
	for _, path := range []string{"/v1/sites", "/v1/points", "/v1/points/{id}", "/v1/points/{id}/intervals", "/v1/points/{id}/forecast", "/v1/models", "/v1/agents"} {
		if _, ok := doc.Paths[path]["get"]; !ok {
			t.Errorf("the document lacks GET %s", path)
		}
	}
}
