package e2e_test

import (
	"bytes"
	"testing"
	"time"

	"fluxora.dev/deploy/e2e/chaos"
)

// TestShortCampaign runs a few rounds of faults; `make chaos` runs as many as one likes.
func TestShortCampaign(t *testing.T) {
	t.Parallel()
	seed := chaos.Seed()
	t.Logf("seed %d", seed)
	var out bytes.Buffer
	s, err := chaos.Run(t.Context(), chaos.Options{Seed: seed, Rounds: 2, Faults: 6, Quick: true, Load: 2 * time.Second, Bin: programs, Out: &out})
	t.Logf("%s\n%s", out.String(), s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Rounds != 2 || s.Faults < 2 || s.Acknowledged == 0 || s.Lost+s.Doubled+s.Unbalanced > 0 {
		t.Errorf("%s: want 2 rounds with faults and no loss", s)
	}
}
