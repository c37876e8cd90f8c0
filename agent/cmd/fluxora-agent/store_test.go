package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unpack lays a golden store down as that of an agent's data directory.
func unpack(t *testing.T, version, data string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "internal", "store", "testdata", version+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(data, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(filepath.Join(data, "store", filepath.Base(h.Name)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// served runs the agent's program until it serves, asks it for its books and stops it with a signal.
func served(t *testing.T, program, data string, stop os.Signal) (books struct{ Received, Delivered, Evicted, Pending uint64 }) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(program, "--set", "site=home", "--set", "data_dir="+data, "--set", "http.listen="+address, "--set", "mqtt.url=tcp://127.0.0.1:1", "--set", "store.max_bytes=1MiB")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	runs, said := false, ""
	for lines := bufio.NewScanner(log); !runs && lines.Scan(); {
		said += lines.Text() + "\n"
		runs = strings.Contains(lines.Text(), "agent runs")
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
	if !runs {
		_ = cmd.Wait()
		t.Fatalf("%s does not run:\n%s", program, said)
	}
	resp, err := http.Get("http://" + address + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Readings *struct{ Received, Delivered, Evicted, Pending uint64 }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Readings == nil {
		t.Fatalf("%+v, %v", answer, err)
	}
	if err := cmd.Process.Signal(stop); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && stop == syscall.SIGTERM {
		t.Fatalf("%s: %v", program, err)
	}
	return *answer.Readings
}

// TestUpAndDowngrade starts the real program on a store of each format in the middle of an outage, stops or kills it, goes down
// to an older format and up again, and wants the books to stay what they are. FLUXORA_OLD_AGENT names the program of an older
// agent, which knows FLUXORA_OLD_FORMAT, to run in between.
func TestUpAndDowngrade(t *testing.T) {
	versions := []string{"v1", "v2", "v3"}
	if testing.Short() {
		versions = versions[:1] // which has the longest way up
	}
	program := filepath.Join(t.TempDir(), "fluxora-agent")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	old, oldFormat := os.Getenv("FLUXORA_OLD_AGENT"), os.Getenv("FLUXORA_OLD_FORMAT")
	for _, version := range versions {
		data := t.TempDir()
		unpack(t, version, data)
		settings := []string{"--set", "site=home", "--set", "data_dir=" + data}
		command := func(args ...string) string {
			t.Helper()
			out, err := exec.Command(program, append(settings, args...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %v\n%s", version, args, err, out)
			}
			return string(out)
		}
		holds := func(program string, stop os.Signal) {
			t.Helper()
			if got := served(t, program, data, stop); got.Received != 3000 || got.Delivered != 600 || got.Pending != 2400 {
				t.Fatalf("%s, %s: %+v: want 3000 received, 600 of them delivered", version, program, got)
			}
		}
		holds(program, syscall.SIGKILL)
		holds(program, syscall.SIGTERM)
		for _, format := range []string{"2", "1"} {
			command("store", "downgrade", "--to", format)
			if out := command("store", "check"); !strings.Contains(out, "format "+format+",") || !strings.Contains(out, "next sequence 3001") {
				t.Errorf("%s: down to format %s:\n%s", version, format, out)
			}
			if old != "" && format == oldFormat {
				holds(old, syscall.SIGKILL)
				holds(old, syscall.SIGTERM)
			}
			holds(program, syscall.SIGTERM)
		}
		if out := command("store", "check"); !strings.Contains(out, "format 3,") {
			t.Errorf("%s: up again:\n%s", version, out)
		}
	}
}
