package store_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fluxora.dev/agent/internal/store"
	"fluxora.dev/agent/internal/store/thin"
	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

var quarters = interval.Options{Resolution: 15 * time.Minute}

func spare(of meter.Series, rs []meter.Reading) []bool { return thin.Spare(of, rs, quarters) }

// intervalsOf folds what a site sent, as the hub does.
func intervalsOf(t *testing.T, rs []meter.Reading) []interval.Interval {
	t.Helper()
	slices.SortStableFunc(rs, func(a, b meter.Reading) int { return int(a.At - b.At) })
	var s interval.State
	var out []interval.Interval
	for _, r := range rs {
		err := s.Add(interval.Sample{At: r.At, Value: r.Value, Quality: r.Quality, Kind: meter.Counter, Meter: 1}, quarters, func(i interval.Interval) { out = append(out, i) }, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestThirtyDaysOffline keeps readings for thirty days without a hub in a store that has room for some of them, and wants the hub to get the energy of every interval as all of the readings give it, and books that balance.
func TestThirtyDaysOffline(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	now := noon
	const points, most = 2, 1700 << 10 // some days of readings every five seconds
	s := open(t, store.QuickDir(t), store.Options{MaxBytes: most, MinFree: -1, Thin: spare, Now: func() time.Time { return now }})
	var ids []meter.SeriesID
	value := make([]int64, points)
	for p := range points {
		ids = append(ids, series(t, s, fmt.Sprintf("p%d", p)))
		value[p] = 8_000_000_000 + random.Int64N(1e9)
	}
	all, got := make(map[meter.SeriesID][]meter.Reading), make(map[meter.SeriesID][]meter.Reading)
	sent := 0
	for n := range 30 * 24 * 3 { // twenty minutes at a time
		var rs []meter.Reading
		for range 240 {
			now = now.Add(5 * time.Second)
			for p, id := range ids {
				value[p] += random.Int64N(3_000)
				v := value[p]
				switch random.IntN(50_000) {
				case 0:
					v -= 100_000
				case 1:
					value[p], v = 0, 0
				}
				rs = append(rs, meter.Reading{Series: id, At: meter.MillisOf(now), Value: v})
				all[id] = append(all[id], rs[len(rs)-1])
			}
		}
		if _, err := s.Append(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
		if n%100 == 0 || n == 30*24*3-1 {
			if l := s.Ledger(); l.Received != l.Delivered+l.Evicted+l.Thinned+l.Pending || l.Evicted != 0 {
				t.Fatalf("after %d appends: ledger %+v: want a balance and nothing evicted", n, l)
			}
			if b := s.Bytes(); b > most {
				t.Fatalf("%d bytes, cap %d", b, most)
			}
		}
	}
	l := s.Ledger()
	if l.Thinned == 0 {
		t.Fatal("nothing was thinned")
	}
	for _, r := range s.Unacked() {
		for at := r.First; at < r.End; {
			b, err := s.ReadFrom(at, 5000)
			if err != nil || b.Count == 0 {
				t.Fatalf("batch at %d: %+v, %v", at, b, err)
			}
			held := uint64(0)
			for _, x := range b.Blocks {
				rs, err := chunk.Decode(nil, x.Chunk, x.Series)
				if err != nil {
					t.Fatal(err)
				}
				got[x.Series] = append(got[x.Series], rs...)
				held += uint64(len(rs))
				sent += len(rs)
			}
			if held+b.Refused != b.Count {
				t.Fatalf("batch [%d,%d): %d readings and %d refused", b.First, b.First+b.Count, held, b.Refused)
			}
			at = b.First + b.Count
			if err := s.Ack(store.Range{First: b.First, End: at}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range ids {
		want, have := intervalsOf(t, all[id]), intervalsOf(t, got[id])
		if !slices.Equal(want, have) {
			t.Errorf("series %d: %d intervals, want %d, the same", id, len(have), len(want))
		}
	}
	after := s.Ledger()
	if after.Pending != 0 || after.Delivered != uint64(sent) || after.Thinned != l.Thinned || after.Received != after.Delivered+after.Thinned {
		t.Errorf("ledger %+v after %d readings were sent", after, sent)
	}
	days := make(map[meter.Millis]uint64)
	for _, x := range s.Thinned() {
		for _, d := range x.Days {
			days[d.Day] += d.Readings
		}
	}
	total := uint64(0)
	for n := range maps.Values(days) {
		total += n
	}
	if total != after.Thinned {
		t.Errorf("%d readings thinned by day, the ledger has %d", total, after.Thinned)
	}
	t.Logf("%d readings, %d sent, %d thinned in %d ranges, %d bytes", after.Received, sent, after.Thinned, len(s.Thinned()), s.Bytes())
}
