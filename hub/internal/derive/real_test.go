package derive_test

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"strconv"
	"testing"

	"fluxora.dev/shared/meter"
)

// realCounters reads the hourly energies of real meters from beside the repository, in Wh, a missing hour as 0; none where they
// are not there.
func realCounters(b *testing.B, meters int) [][]int64 {
	f, err := os.Open("../../../../shared/data/readings.csv.gz")
	if err != nil {
		b.Logf("no real meters beside the repository: %v", err)
		return nil
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	r := csv.NewReader(gz)
	r.ReuseRecord = true
	var out [][]int64
	for id, line := "", 0; ; line++ {
		row, err := r.Read()
		if err == io.EOF {
			return out
		}
		if err != nil {
			b.Fatal(err)
		}
		if line == 0 {
			continue
		}
		if row[0] != id {
			if len(out) == meters {
				return out
			}
			id, out = row[0], append(out, nil)
		}
		kwh, _ := strconv.ParseFloat(row[2], 64) // an empty field is 0
		out[len(out)-1] = append(out[len(out)-1], int64(kwh*1000+0.5))
	}
}

// realHourly returns n readings of a real counter every hour.
func realHourly(wh [][]int64) func(uint64, int) []meter.Reading {
	return func(seed uint64, n int) []meter.Reading {
		rs := make([]meter.Reading, n)
		value := int64(8_000_000)
		for i := range rs {
			value += wh[seed-1][i]
			rs[i] = meter.Reading{Series: meter.SeriesID(seed), At: meter.Millis(1_600_000_000_000/3_600_000*3_600_000 + 3_600_000*int64(i)), Value: value * 1000}
		}
		return rs
	}
}

// realLive returns n readings of a real counter every ten seconds, which moves evenly within the recorded hour in steps of a
// watt-hour, as the bridge replays it.
func realLive(wh [][]int64) func(uint64, int) []meter.Reading {
	return func(seed uint64, n int) []meter.Reading {
		rs := make([]meter.Reading, n)
		value := int64(8_000_000)
		for i := range rs {
			hour, step := i/360, int64(i%360)
			rs[i] = meter.Reading{Series: meter.SeriesID(seed), At: meter.Millis(1_700_000_000_000 + 10_000*int64(i)), Value: (value + wh[seed-1][hour]*step/360) * 1000}
			if step == 359 {
				value += wh[seed-1][hour]
			}
		}
		return rs
	}
}
