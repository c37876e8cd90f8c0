package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
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

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// fullStore is how full the store of BenchmarkServeAgain is.
var fullStore = flag.Int64("store.bytes", 64<<20, "bytes of readings in the store of BenchmarkServeAgain")

// BenchmarkServeAgain asks how long an agent with a full store takes to serve again after kill -9: from its start to its first
// answer over HTTP, by when it has recovered the store and takes messages in. Intervals are made in the background: at most those
// of the readings since they were last written (store.state_window), here those of the whole store; the answer that needs them
// all is waited for as well.
func BenchmarkServeAgain(b *testing.B) {
	program, data := filepath.Join(b.TempDir(), "fluxora-agent"), b.TempDir()
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	readings := fill(b, filepath.Join(data, "store"), *fullStore)
	var serves, caughtUp time.Duration
	n := 0
	for b.Loop() {
		one, all := killed(b, program, data)
		serves, caughtUp, n = serves+one, caughtUp+all, n+1
	}
	b.ReportMetric(float64(serves.Milliseconds())/float64(n), "ms-to-serve")
	b.ReportMetric(float64(caughtUp.Milliseconds())/float64(n), "ms-to-all-intervals")
	b.ReportMetric(float64(readings), "readings")
	b.ReportMetric(0, "ns/op")
}

// fill makes a store of so many bytes of what twenty points send at ten seconds, a commit for each ten seconds.
func fill(b *testing.B, dir string, bytes int64) (readings uint64) {
	b.Helper()
	at := time.Now().Add(-300 * 24 * time.Hour)
	s, err := store.Open(dir, store.Options{MaxBytes: 2 * bytes, MinFree: -1, Now: func() time.Time { return at }})
	if err != nil {
		b.Fatal(err)
	}
	var ids []meter.SeriesID
	for p := range 20 {
		id, err := s.SeriesID(meter.Series{Point: fmt.Sprintf("p%d", p), Register: meter.EnergyImport, Kind: meter.Counter})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	rs := make([]meter.Reading, len(ids))
	for n := 0; s.Bytes() < bytes; n++ {
		at = at.Add(10 * time.Second)
		for i, id := range ids {
			rs[i] = meter.Reading{Series: id, At: meter.MillisOf(at) + meter.Millis(i*137), Value: 8_000_000_000 + int64(n)*33_000 + int64(n*i%7)*1000}
		}
		if _, err := s.Append(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return s.Next() - 1
}

// killed starts the agent, waits until it serves and then until it has made all intervals, kills it, and returns how long each
// took from the start.
func killed(b *testing.B, program, data string) (serves, caughtUp time.Duration) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(program, "--set", "site=home", "--set", "data_dir="+data, "--set", "http.listen="+address, "--set", "mqtt.url=tcp://127.0.0.1:1", "--set", fmt.Sprintf("store.max_bytes=%d", 2**fullStore))
	log, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), "agent runs") {
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
	ask := func(path string) time.Duration {
		for { // an answer that takes longer than the agent lets it is asked for again
			resp, err := http.Get("http://" + address + path)
			if err != nil {
				b.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(began)
			}
			if resp.StatusCode != http.StatusServiceUnavailable {
				b.Fatal(resp.Status)
			}
		}
	}
	serves, caughtUp = ask("/v1/status"), ask("/v1/ledger")
	if err := cmd.Process.Signal(os.Signal(syscall.SIGKILL)); err != nil {
		b.Fatal(err)
	}
	_ = cmd.Wait()
	return serves, caughtUp
}
