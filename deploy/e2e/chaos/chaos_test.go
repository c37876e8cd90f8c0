package chaos_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/chaos"
)

// TestShortCampaign runs a few rounds; `make chaos` runs as many as one likes.
func TestShortCampaign(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the real programs, Mosquitto and Postgres: left out with -short")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "fluxora.dev/agent/cmd/fluxora-agent", "fluxora.dev/hub/cmd/fluxora-hub")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	seed := chaos.Seed()
	t.Logf("seed %d", seed)
	var out bytes.Buffer
	s, err := chaos.Run(t.Context(), chaos.Options{Seed: seed, Rounds: 2, Faults: 6, Quick: true, Load: 2 * time.Second, Bin: bin, Out: &out})
	t.Logf("%s\n%s", out.String(), s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Rounds != 2 || s.Faults < 2 || s.Acknowledged == 0 || s.Lost+s.Doubled+s.Unbalanced > 0 {
		t.Errorf("%s: want 2 rounds with faults and no loss", s)
	}
}
