package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWhatIsNoFileStaysWhatItIs: a program that runs as root must not put a file in the place of a device.
func TestWhatIsNoFileStaysWhatItIs(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		b, _ := os.ReadFile(pipe)
		got <- string(b)
	}()
	if err := writeJSON(pipe, map[string]int{"meters": 2}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(pipe); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Fatalf("the pipe became %v, %v", info, err)
	}
	if text := <-got; !strings.Contains(text, `"meters": 2`) {
		t.Errorf("read %q", text)
	}
	if left, _ := filepath.Glob(pipe + "*"); len(left) != 1 {
		t.Errorf("left behind %v", left)
	}
}

func TestAFileIsWrittenWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.json")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(path, func() {}); err == nil {
		t.Error("what is no JSON was written")
	}
	if b, _ := os.ReadFile(path); string(b) != "before" {
		t.Errorf("now it holds %q", b)
	}
	if err := writeJSON(path, 1); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "1\n" {
		t.Errorf("now it holds %q", b)
	}
	if err := writeJSON(filepath.Join(t.TempDir(), "nowhere", "scores.json"), 1); err == nil || !strings.Contains(err.Error(), "scores.json") {
		t.Errorf("a folder that is not there: %v", err)
	}
}
