package app_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestMetricsAreDocumented compares what a running hub serves with docs/metrics.md.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(fluxora_hub_[a-z_]+)`").FindAllSubmatch(text, -1) {
		documented = append(documented, string(m[1]))
	}
	a := start(t, settings(t), nil)
	_, _ = status(t, a, a.FirstAPIToken(), "/v1/sites")
	_, body := status(t, a, a.FirstAPIToken(), "/metrics")
	var served []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (fluxora_hub_[a-z_]+)`).FindAllStringSubmatch(body, -1) {
		served = append(served, m[1])
		if !slices.Contains(documented, m[1]) {
			t.Errorf("docs/metrics.md lacks %s", m[1])
		}
	}
	// These appear with their first event.
	later := []string{
		"fluxora_hub_trainings_total", "fluxora_hub_quarantined_total", "fluxora_hub_models", "fluxora_hub_model_mase", "fluxora_hub_model_npinball", "fluxora_hub_model_coverage",
		"fluxora_hub_live_error_wh", "fluxora_hub_live_baseline_wh", "fluxora_hub_live_skill", "fluxora_hub_live_coverage", "fluxora_hub_points_drifted",
	}
	for _, name := range documented {
		if !slices.Contains(served, name) && !slices.Contains(later, name) {
			t.Errorf("docs/metrics.md tells of %s, which is not served", name)
		}
	}
	if len(served) < 20 {
		t.Errorf("only %d metrics are served", len(served))
	}
}
