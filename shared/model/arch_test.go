package model_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGoldenOnArm64 runs TestGolden, all families' self-tests, as a gateway would, under qemu: arm64 has the fused
// multiply-add that must not be used.
func TestGoldenOnArm64(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the test for another architecture: left out of short runs")
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("qemu-aarch64-static is not installed (Debian package qemu-user-static): arm64 is not checked here")
	}
	bin := filepath.Join(t.TempDir(), "model.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), qemu, bin, "-test.run", "^TestGolden$").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
