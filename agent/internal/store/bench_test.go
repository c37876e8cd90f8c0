package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/meter"
)

// written returns how many bytes this process has sent to the device, -1 where the kernel does not tell.
func written() int64 {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return -1
	}
	_, rest, _ := bytes.Cut(b, []byte("\nwrite_bytes: "))
	n := int64(-1)
	_, _ = fmt.Sscan(string(rest), &n)
	return n
}

// BenchmarkAppend asks how far durable appends of 20 points' readings are from the limit, a plain file of 50-byte readings
// with a sync after each batch, and from bbolt with a key for each reading.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 10, 20, 100, 1000} {
		measure := func(b *testing.B, commit func(n int)) {
			before, n := written(), 0
			for b.Loop() {
				commit(n)
				n += size
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "readings/s")
			b.ReportMetric(float64(written()-before)/float64(n), "B-written/reading")
			b.ReportMetric(0, "ns/op")
		}
		b.Run(fmt.Sprintf("batch=%d/file", size), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "log"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			buf := make([]byte, 50*size)
			measure(b, func(int) {
				if _, err := f.Write(buf); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(fmt.Sprintf("batch=%d/bbolt", size), func(b *testing.B) {
			db, err := bbolt.Open(filepath.Join(b.TempDir(), "db"), 0o600, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			measure(b, func(n int) {
				err := db.Update(func(tx *bbolt.Tx) error {
					readings, err := tx.CreateBucketIfNotExists([]byte("readings"))
					for i := range size {
						if err == nil {
							err = readings.Put(fmt.Appendf(nil, "%012d", n+i), make([]byte, 38))
						}
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(fmt.Sprintf("batch=%d/store", size), func(b *testing.B) {
			s := open(b, b.TempDir(), store.Options{})
			var ids []meter.SeriesID
			for p := range 20 {
				ids = append(ids, series(b, s, fmt.Sprintf("p%d", p)))
			}
			rs := make([]meter.Reading, size)
			measure(b, func(n int) {
				for i := range rs {
					k := n + i
					rs[i] = meter.Reading{Series: ids[k%20], At: meter.MillisOf(noon).Add(time.Duration(k/20) * 10 * time.Second), Value: int64(k/20)*33_000 + int64(k%7)*1000}
				}
				if _, err := s.Append(context.Background(), rs); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
