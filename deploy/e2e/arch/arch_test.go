package arch_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSameBitsOnEveryArchitecture runs tests that hold bits fast where numbers are made otherwise: arm64 has the fused multiply-add
// that must not be used, armv6 and mipsle have words of 32 bits, and mipsle no floating point.
func TestSameBitsOnEveryArchitecture(t *testing.T) {
	for _, c := range []struct {
		name, qemu string
		env        []string
	}{
		{"arm64", "qemu-aarch64-static", []string{"GOARCH=arm64"}},
		{"armv6", "qemu-arm-static", []string{"GOARCH=arm", "GOARM=6"}},
		{"mipsle soft float", "qemu-mipsel-static", []string{"GOARCH=mipsle", "GOMIPS=softfloat"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			qemu, err := exec.LookPath(c.qemu)
			if err != nil && os.Getenv("CI") != "true" {
				t.Skipf("%s is not installed (Debian package qemu-user-static, which make setup installs)", c.qemu)
			}
			if err != nil {
				t.Fatalf("%v: CI must check every architecture", err)
			}
			for _, golden := range []struct{ pkg, test string }{
				{"forecast", "^TestGoldenBits$"}, // features, forecasts, intervals
				{"model", "^TestGolden$"},        // all families' self-tests
			} {
				bin := filepath.Join(t.TempDir(), golden.pkg+".test")
				dir := filepath.Join("../../../shared", golden.pkg)
				build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", bin, ".")
				build.Dir, build.Env = dir, append(append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0"), c.env...)
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("build %s: %v\n%s", golden.pkg, err, out)
				}
				run := exec.CommandContext(t.Context(), qemu, bin, "-test.v", "-test.run", golden.test)
				run.Dir = dir
				if out, err := run.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
					t.Errorf("%s: %v\n%s", golden.pkg, err, out)
				}
			}
		})
	}
}
