// Package real gives tests the real meters that lie beside the repository, where they do.
package real

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"os"
	"strconv"
	"testing"
	"time"
	_ "time/tzdata" // the meters' zone, on machines without one

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

// Meter is a real meter.
type Meter struct {
	ID      string
	History feature.History
}

// Meters reads the first so many meters, or skips the test when they are not there. The test must be of a package right below shared.
func Meters(t testing.TB, count int) []Meter {
	t.Helper()
	f, err := os.Open("../../../shared/data/readings.csv.gz")
	if err != nil {
		t.Skipf("no real meters beside the repository: %v", err)
	}
	defer f.Close()
	out, err := read(f, count)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func read(f io.Reader, count int) ([]Meter, error) {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		return nil, err
	}
	gz, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(gz)
	r.ReuseRecord = true
	var out []Meter
	for line := 0; ; line++ {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if line == 0 {
			continue
		}
		at, err := time.Parse(time.RFC3339, rec[1])
		if err != nil {
			return nil, err
		}
		if len(out) == 0 || out[len(out)-1].ID != rec[0] {
			if len(out) == count {
				return out, nil
			}
			h := feature.History{Start: meter.MillisOf(at), Resolution: time.Hour, Zone: zone}
			out = append(out, Meter{ID: string([]byte(rec[0])), History: h})
		}
		h := &out[len(out)-1].History
		for h.End() <= meter.MillisOf(at) {
			h.Energy = append(h.Energy, math.NaN())
		}
		if v, err := strconv.ParseFloat(rec[2], 64); err == nil {
			h.Energy[h.Index(meter.MillisOf(at))] = v * 1000
		}
	}
}
