package history_test

import (
	"cmp"
	"context"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fluxora.dev/agent/internal/config"
	"fluxora.dev/agent/internal/history"
	"fluxora.dev/agent/internal/store"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is a history over a real store, with a clock that stands still unless it is moved.
type bench struct {
	t       testing.TB
	dir     string
	now     time.Time
	config  config.Config
	origins map[history.Target]meter.Millis
	store   *store.Store
	*history.History
}

type fatal interface {
	Helper()
	Fatal(...any)
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, dir: t.TempDir(), now: noon, config: config.Default(), origins: make(map[history.Target]meter.Millis)}
	b.config.Site = "home"
	b.open(t)
	t.Cleanup(func() { _ = b.store.Close() })
	return b
}

func (b *bench) open(t fatal) {
	t.Helper()
	var err error
	now := func() time.Time { return b.now }
	if b.store, err = store.Open(b.dir, store.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	b.History, err = history.Open(b.store, history.Options{Config: b.config, Now: now, OnOrigin: func(t history.Target, o meter.Millis) { b.origins[t] = o }})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) reopen(t fatal) {
	t.Helper()
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
}

func (b *bench) series(t fatal, s meter.Series) meter.SeriesID {
	t.Helper()
	s.Point, s.Register = "main", meter.EnergyImport
	id, err := b.store.SeriesID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bench) append(t fatal, rs ...meter.Reading) {
	t.Helper()
	if _, err := b.store.Append(context.Background(), rs); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) intervals(t fatal) []interval.Interval {
	t.Helper()
	if err := b.CatchUp(); err != nil {
		t.Fatal(err)
	}
	is, err := b.History.History("main", meter.EnergyImport, 0, 1<<50)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// oracle rebuilds the intervals from every reading, in the order of arrival.
func oracle(t fatal, all []meter.Reading, series map[meter.SeriesID]meter.Series, resolution time.Duration) []interval.Interval {
	t.Helper()
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b meter.Reading) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Series, b.Series))
	})
	var samples []interval.Sample
	for i, r := range sorted {
		if i+1 < len(sorted) && sorted[i+1].At == r.At && sorted[i+1].Series == r.Series {
			continue // corrected
		}
		s := series[r.Series]
		samples = append(samples, interval.Sample{At: r.At, Value: r.Value, Quality: r.Quality, Kind: s.Kind, Modulus: s.Modulus, Meter: uint32(r.Series)})
	}
	want, err := interval.Rebuild(samples, interval.Options{Resolution: resolution})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// TestAnyOrderOfArrivalEqualsRebuild sends readings in disorder, with repeats, resets, exchanges and gaps, and restarts the
// history, written or not, between them.
func TestAnyOrderOfArrivalEqualsRebuild(t *testing.T) {
	base := newBench(t)
	rapid.Check(t, func(t *rapid.T) {
		var err error
		if base.dir, err = os.MkdirTemp(base.t.TempDir(), "run"); err != nil {
			t.Fatal(err)
		}
		_ = base.store.Close()
		base.open(t)
		b := base
		known := map[meter.SeriesID]meter.Series{}
		var ids []meter.SeriesID
		for _, s := range []meter.Series{{Kind: meter.Counter}, {Kind: meter.Counter, Meter: "new", Modulus: 10_000_000}, {Kind: meter.Energy, Meter: "e"}} {
			id := b.series(t, s)
			s.Point, s.Register = "main", meter.EnergyImport
			known[id] = s
			ids = append(ids, id)
		}
		n := rapid.IntRange(2, 120).Draw(t, "n")
		at, value, id := meter.MillisOf(noon.Add(-20*24*time.Hour)), int64(5_000_000), ids[0]
		var rs []meter.Reading
		for range n {
			at += meter.Millis(rapid.SampledFrom([]int64{0, 10_000, 300_000, 900_000, 3_600_000, 40_000_000}).Draw(t, "step"))
			switch rapid.IntRange(0, 14).Draw(t, "event") {
			case 0:
				value = rapid.Int64Range(0, 9_000_000).Draw(t, "jump")
			case 1:
				id = rapid.SampledFrom(ids).Draw(t, "series")
			default:
				value += rapid.Int64Range(0, 400_000).Draw(t, "rise")
			}
			rs = append(rs, meter.Reading{Series: id, At: at, Value: value})
		}
		for range rapid.IntRange(0, 6).Draw(t, "late") {
			i, j := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
			r := rs[i]
			rs = slices.Insert(slices.Delete(rs, i, i+1), min(j, len(rs)-1), r)
		}
		for at := 0; at < n; {
			k := min(rapid.IntRange(1, 40).Draw(t, "batch"), n-at)
			b.append(t, rs[at:at+k]...)
			at += k
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0:
				b.reopen(t)
			case 1:
				if err := b.CatchUp(); err != nil {
					t.Fatal(err)
				}
				if err := b.Write(); err != nil {
					t.Fatal(err)
				}
			case 2:
				if err := b.CatchUp(); err != nil {
					t.Fatal(err)
				}
				b.reopen(t) // not written: applied again
			case 3:
				if err := history.ApplyForTest(b.History); err != nil { // late readings marked, not put right
					t.Fatal(err)
				}
				if err := b.Write(); err != nil {
					t.Fatal(err)
				}
				b.reopen(t)
			}
		}
		var arrived []meter.Reading // in the order of the log
		for next := uint64(1); next < b.store.Next(); {
			more, to, err := b.store.Readings(next, 1000)
			if err != nil {
				t.Fatal(err)
			}
			arrived, next = append(arrived, more...), to
		}
		want := oracle(t, arrived, known, 15*time.Minute)
		if d := gocmp.Diff(want, b.intervals(t)); d != "" {
			t.Fatal(d)
		}
		if err := b.Write(); err != nil {
			t.Fatal(err)
		}
		b.reopen(t)
		if d := gocmp.Diff(want, b.intervals(t)); d != "" {
			t.Fatalf("after writing and opening again: %s", d)
		}
	})
}

func counter(id meter.SeriesID, from time.Time, n int, step time.Duration) []meter.Reading {
	rs := make([]meter.Reading, n)
	for i := range rs {
		rs[i] = meter.Reading{Series: id, At: meter.MillisOf(from.Add(time.Duration(i) * step)), Value: int64(i+1) * 1_000_000}
	}
	return rs
}

func TestLaterThanTheLogReaches(t *testing.T) {
	b := newBench(t)
	_ = b.store.Close()
	var err error
	if b.store, err = store.Open(b.dir, store.Options{MaxBytes: 1 << 20, Now: func() time.Time { return b.now }}); err != nil {
		t.Fatal(err)
	}
	if b.History, err = history.Open(b.store, history.Options{Config: b.config, Now: func() time.Time { return b.now }}); err != nil {
		t.Fatal(err)
	}
	id := b.series(t, meter.Series{Kind: meter.Counter})
	all := counter(id, noon.Add(-100*24*time.Hour), 400_000, 20*time.Second)
	for i := range all {
		all[i].Value += int64(i) * 7919 % 65521 // hard to pack
	}
	for at := 0; at < len(all); at += 4000 {
		b.append(t, all[at:at+4000]...)
		if err := b.CatchUp(); err != nil {
			t.Fatal(err)
		}
	}
	before := b.intervals(t)
	trimmed, ok := b.store.Trimmed(id)
	if !ok {
		t.Fatal("nothing was trimmed; the test needs a fuller store")
	}
	b.append(t, meter.Reading{Series: id, At: all[10].At + 1000, Value: 10}, meter.Reading{Series: id, At: all[399_990].At + 1000, Value: all[399_990].Value + 1000})
	after := b.intervals(t)
	if len(before) != len(after) {
		t.Fatalf("%d intervals, before %d", len(after), len(before))
	}
	changed := 0
	for i := range after {
		if before[i] != after[i] {
			changed++
			if after[i].Start <= trimmed {
				t.Errorf("interval %s changed though its readings were trimmed", after[i].Start)
			}
		}
	}
	if changed > 3 {
		t.Errorf("%d intervals changed, want those around the late reading at most", changed)
	}
}

func TestOrigins(t *testing.T) {
	b := newBench(t)
	id := b.series(t, meter.Series{Kind: meter.Counter})
	b.append(t, counter(id, noon.Add(-2*time.Hour), 8, 15*time.Minute)...) // to 11:45
	main := history.Target{Point: "main", Register: meter.EnergyImport}
	pass := func() { history.PassForTest(t, b.History) }
	b.now = noon.Add(-10 * time.Minute)
	pass()
	if got, want := b.origins[main], meter.MillisOf(noon.Add(-15*time.Minute)); got != want {
		t.Errorf("origin %s, want %s: the newest closed interval", got, want)
	}
	b.now = noon.Add(time.Minute)
	pass()
	if got, want := b.origins[main], meter.MillisOf(noon.Add(-15*time.Minute)); got != want {
		t.Errorf("origin %s, want still %s: the reading may yet come", got, want)
	}
	b.now = noon.Add(3 * time.Minute)
	pass()
	if got, want := b.origins[main], meter.MillisOf(noon); got != want {
		t.Errorf("origin %s, want %s: the meter is silent", got, want)
	}
}

func TestRunClosesOnStop(t *testing.T) { synctest.Test(t, runClosesOnStop) }

func runClosesOnStop(t *testing.T) {
	b := newBench(t)
	id := b.series(t, meter.Series{Kind: meter.Counter})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.append(t, counter(id, noon.Add(-48*time.Hour), 100, 15*time.Minute)...)
	synctest.Wait()
	if b.Applied() != b.store.Next() {
		t.Errorf("applied up to %d of %d", b.Applied(), b.store.Next())
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if b.store.Applied() != b.store.Next() {
		t.Errorf("written up to %d of %d", b.store.Applied(), b.store.Next())
	}
	s, ok := b.Stream(history.Target{Point: "main", Register: meter.EnergyImport})
	if !ok || s.Readings != 100 || s.Last.Value != 100_000_000 {
		t.Errorf("stream %+v", s)
	}
}

func TestRetentionOfIntervals(t *testing.T) {
	b := newBench(t)
	b.config.Store.Intervals = 10 * 24 * time.Hour
	b.reopen(t)
	id := b.series(t, meter.Series{Kind: meter.Counter})
	b.append(t, counter(id, noon.Add(-30*24*time.Hour), 30*24, time.Hour)...)
	b.intervals(t)
	if err := b.Write(); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(24 * time.Hour)
	if err := b.Write(); err != nil {
		t.Fatal(err)
	}
	is := b.intervals(t)
	if oldest := is[0].Start; oldest < meter.MillisOf(noon.Add(-11*24*time.Hour)) {
		t.Errorf("oldest interval %s, want at most 11 days old", oldest)
	}
}

func TestChangedResolutionRebuilds(t *testing.T) {
	b := newBench(t)
	id := b.series(t, meter.Series{Kind: meter.Counter})
	rs := counter(id, noon.Add(-48*time.Hour), 150, 10*time.Minute)
	b.append(t, rs...)
	b.intervals(t)
	if err := b.Write(); err != nil {
		t.Fatal(err)
	}
	b.config.Resolution = time.Hour
	b.reopen(t)
	want := oracle(t, rs, map[meter.SeriesID]meter.Series{id: {Kind: meter.Counter}}, time.Hour)
	if d := gocmp.Diff(want, b.intervals(t)); d != "" {
		t.Error(d)
	}
}

// TestCorrectedReadingCounts is a fault of the campaign's first round: the hub took the corrected value of an instant, the
// agent stayed with the first one, and their intervals differed.
func TestCorrectedReadingCounts(t *testing.T) {
	for _, name := range []string{"newest", "older"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.series(t, meter.Series{Kind: meter.Counter})
			at, step := meter.MillisOf(noon.Add(-24*time.Hour)), b.config.Resolution
			rs := []meter.Reading{
				{Series: id, At: at, Value: 10_000_000},
				{Series: id, At: at.Add(step), Value: 11_000_000},
				{Series: id, At: at.Add(2 * step), Value: 12_000_000},
			}
			b.append(t, rs...)
			b.intervals(t)
			corrected := rs[2]
			if name == "older" {
				corrected = rs[1]
			}
			corrected.Value += 500_000
			b.append(t, corrected)
			b.append(t, meter.Reading{Series: id, At: at.Add(3 * step), Value: 13_000_000})

			want := map[string][]meter.WattHours{"newest": {1000, 1500, 500}, "older": {1500, 500, 1000}}[name]
			var have []meter.WattHours
			for _, i := range b.intervals(t) {
				have = append(have, i.Energy)
			}
			if !slices.Equal(have, want) {
				t.Errorf("intervals have %v Wh: want %v", have, want)
			}
		})
	}
}
