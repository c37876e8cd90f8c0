package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"fluxora.dev/shared/model"
)

// predict returns the CPU time in µs that a row takes in batches of n.
func predict(m model.Model, rows []float32, features, n int) float64 {
	out := make([]float64, n)
	total := 0
	cpu := used()
	for used()-cpu < 0.5 {
		for at := 0; at+n <= min(20_000, len(rows)/features); at += n {
			m.Predict(rows[at*features:(at+n)*features], n, out)
			total += n
		}
	}
	return (used() - cpu) / float64(total) * 1e6
}

// used returns the CPU time of the process in seconds.
func used() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// memory returns a line of /proc/self/status in MB.
func memory(line string) float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	for l := range strings.Lines(string(b)) {
		var kb float64
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return kb / 1024
			}
		}
	}
	log.Fatalf("no %s in /proc/self/status", line)
	return 0
}

// load reads a table.
func load(dir, name string, features int) table {
	t := table{rows: read(dir + "/X_" + name + ".f32")}
	for _, y := range read(dir + "/y_" + name + ".f32") {
		t.target = append(t.target, float64(y))
	}
	if path := dir + "/w_" + name + ".f32"; exists(path) {
		for _, w := range read(path) {
			t.weight = append(t.weight, float64(w))
		}
	}
	if len(t.target) == 0 || t.weight != nil && len(t.weight) != len(t.target) || len(t.rows) != features*len(t.target) {
		log.Fatalf("table %s: %d values for %d targets: want %d for each", name, len(t.rows), len(t.target), features)
	}
	return t
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// read reads little-endian float32.
func read(path string) []float32 {
	f, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	out, in := make([]float32, 0, info.Size()/4), bufio.NewReader(f)
	var b [4]byte
	for range cap(out) {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b[:])))
	}
	return out
}
