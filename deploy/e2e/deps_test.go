package e2e_test

import (
	"os/exec"
	"strings"
	"testing"
)

// linked returns the modules, or the packages of this workspace, that a package needs.
func linked(t *testing.T, format, pkg string) map[string]bool {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", format, pkg)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", pkg, err, stderr.String())
	}
	set := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			set[line] = true
		}
	}
	return set
}

// TestProgramsImportNothingOfOneAnother keeps the direction of imports: shared ◀ proto ◀ {firmware-bridge, agent, hub}.
func TestProgramsImportNothingOfOneAnother(t *testing.T) {
	const module = "fluxora.dev/"
	for pattern, allowed := range map[string][]string{
		"shared":          {"shared"},
		"proto":           {"proto", "shared"},
		"firmware-bridge": {"firmware-bridge", "shared"},
		"agent":           {"agent", "proto", "shared"},
		"hub":             {"hub", "proto", "shared"},
	} {
		for pkg := range linked(t, "{{.ImportPath}}", module+pattern+"/...") {
			inner, ours := strings.CutPrefix(pkg, module)
			if !ours {
				continue
			}
			top, _, _ := strings.Cut(inner, "/")
			ok := false
			for _, a := range allowed {
				ok = ok || top == a
			}
			if !ok {
				t.Errorf("%s imports %s: want only %v", pattern, pkg, allowed)
			}
		}
	}
}

// TestAgentLinksOnlyWhatAGatewayNeeds keeps the program on small gateways small: whoever adds a module gives a reason here.
func TestAgentLinksOnlyWhatAGatewayNeeds(t *testing.T) {
	allowed := map[string]string{
		"fluxora.dev/agent":                         "itself",
		"fluxora.dev/proto":                         "messages of the uplink",
		"fluxora.dev/shared":                        "the domain",
		"github.com/alecthomas/kong":                "command line",
		"github.com/beorn7/perks":                   "quantiles of client_golang",
		"github.com/cenkalti/backoff/v5":            "jittered waits between tries",
		"github.com/cespare/xxhash/v2":              "hashes of client_golang",
		"github.com/eclipse/paho.mqtt.golang":       "MQTT",
		"github.com/goccy/go-yaml":                  "settings, with the place of every mistake",
		"github.com/golang-jwt/jwt/v5":              "reading the enrolment token",
		"github.com/google/uuid":                    "ids",
		"github.com/gorilla/websocket":              "paho links it for ws:// brokers",
		"github.com/klauspost/compress":             "zstd on the uplink",
		"github.com/munnerz/goautoneg":              "content types of client_golang",
		"github.com/prometheus/client_golang":       "metrics",
		"github.com/prometheus/client_model":        "metrics",
		"github.com/prometheus/common":              "metrics",
		"github.com/prometheus/procfs":              "metrics of the process",
		"github.com/rickar/cal/v2":                  "public holidays, for features",
		"go.etcd.io/bbolt":                          "the store",
		"go.yaml.in/yaml/v2":                        "linked by prometheus/common",
		"golang.org/x/net":                          "HTTP/2 of gRPC",
		"golang.org/x/sync":                         "paho's and gRPC's",
		"golang.org/x/sys":                          "system calls of bbolt",
		"golang.org/x/text":                         "host names of x/net",
		"google.golang.org/genproto/googleapis/rpc": "status of gRPC",
		"google.golang.org/grpc":                    "the uplink",
		"google.golang.org/protobuf":                "messages of the uplink",
	}
	for module := range linked(t, "{{with .Module}}{{.Path}}{{end}}", "fluxora.dev/agent/cmd/fluxora-agent") {
		if _, ok := allowed[module]; !ok {
			t.Errorf("the agent links %s: want only what is listed here with a reason", module)
		}
	}
}
