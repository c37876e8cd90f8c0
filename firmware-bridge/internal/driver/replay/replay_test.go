package replay

import (
	"context"
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"fluxora.dev/firmware-bridge/internal/driver"
	"fluxora.dev/shared/meter"
	"pgregory.net/rapid"
)

func TestShift(t *testing.T) {
	date := func(s string) meter.Millis {
		at, err := time.Parse("2006-01-02", s)
		if err != nil {
			t.Fatal(err)
		}
		return meter.MillisOf(at)
	}
	for _, tc := range []struct {
		name, first, end, from, now string
		weeks                       int
		repeats                     bool
	}{
		{"whole years", "2019-01-01", "2022-01-01", "2026-01-01", "2026-11-23", 261, false},
		{"next year once eight days are not left", "2019-01-01", "2022-01-01", "2026-11-01", "2026-12-30", 313, false},
		{"as few weeks as possible", "2021-10-20", "2022-01-01", "2026-10-15", "2026-11-23", 257, false},
		{"too short", "2021-12-01", "2022-01-01", "2026-10-25", "2026-11-23", 255, true},
		{"a recording of the future", "2029-01-01", "2032-01-01", "2026-10-25", "2026-11-23", -261, false},
	} {
		weeks, repeats := Shift(date(tc.first), date(tc.end), date(tc.from), date(tc.now))
		if weeks != tc.weeks || repeats != tc.repeats {
			t.Errorf("%s: %d weeks, %v, want %d, %v", tc.name, weeks, repeats, tc.weeks, tc.repeats)
		}
	}
}

func TestShiftReachesPastNow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := meter.Millis(rapid.Int64Range(0, 2e12).Draw(t, "first"))
		end := first.Add(time.Duration(rapid.IntRange(1, 50_000).Draw(t, "hours")) * time.Hour)
		now := meter.Millis(rapid.Int64Range(0, 2e12).Draw(t, "now"))
		from := now.Add(-time.Duration(rapid.IntRange(0, 1000).Draw(t, "days")) * 24 * time.Hour)
		weeks, repeats := Shift(first, end, from, now)
		shift := meter.Millis(int64(weeks) * weekMillis)
		if first+shift > from {
			t.Fatalf("recording begins %s, backfill %s", first+shift, from)
		}
		if !repeats && end+shift < now.Add(ahead) {
			t.Fatalf("recording ends %s, now is %s", end+shift, now)
		}
		if repeats && end.Sub(first) > now.Sub(from)+ahead+week {
			t.Fatal("repeats though long enough")
		}
	})
}

// memory keeps what a driver emits.
type memory struct {
	t       *testing.T
	values  map[string]map[meter.Millis]int64
	batches int
	full    func() // called before each batch; may block
}

func (m *memory) Emit(ctx context.Context, b driver.Batch) error {
	if m.full != nil {
		m.full()
	}
	if len(b.Readings) == 0 || len(b.Readings) > driver.MaxBatch {
		m.t.Errorf("batch of %d readings", len(b.Readings))
	}
	m.batches++
	key := b.Point + "/" + string(b.Register)
	if m.values[key] == nil {
		m.values[key] = map[meter.Millis]int64{}
	}
	for _, r := range b.Readings {
		if v, ok := m.values[key][r.At]; ok && v != r.Value {
			m.t.Errorf("%s at %s is %d, was %d", key, r.At, r.Value, v)
		}
		m.values[key][r.At] = r.Value
	}
	return ctx.Err()
}

func (m *memory) Flush(ctx context.Context) error { return ctx.Err() }

func synthetic(t *testing.T) []*Series {
	t.Helper()
	all, err := Synthetic([]string{"home-pv", "office"}, 2, 7, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestBackfillThenLive runs a driver for ten minutes of time in a bubble, stops it, starts it a day later, and compares
// every reading with a driver that starts from nothing.
func TestBackfillThenLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{
			Backfill: 10 * 24 * time.Hour, Every: 5 * time.Second, StateFile: filepath.Join(t.TempDir(), "state.json"),
			Log: slog.New(slog.DiscardHandler), Now: time.Now, Points: map[string]string{"office-1": "hq"},
		}
		sink := &memory{t: t, values: map[string]map[meter.Millis]int64{}}
		run := func(o Options, d time.Duration) {
			r, err := New(synthetic(t), o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			if err := r.Run(ctx, sink); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(90 * time.Second)
		run(o, 10*time.Minute)
		hq := sink.values["hq/energy-import"]
		if len(hq) < 240+118 || len(sink.values) != 3 {
			t.Fatalf("%d readings of %d registers, want 10 days of hours and 10 minutes of 5 s, of 3", len(hq), len(sink.values))
		}
		if sink.batches > 3*(3+121) {
			t.Errorf("%d messages", sink.batches)
		}
		first := len(hq)
		time.Sleep(24 * time.Hour)
		run(o, time.Minute)
		if n := len(hq) - first; n < 24 || n > 24+13 {
			t.Errorf("%d readings after a day's pause and a minute, want its 24 hours and 12", n)
		}
		o.StateFile = ""
		run(o, time.Minute) // sink compares equal instants
		for key, values := range sink.values {
			last, lastAt := int64(-1), meter.Millis(0)
			for at := range ordered(values) {
				if values[at] < last {
					t.Fatalf("%s falls from %d at %s to %d at %s", key, last, lastAt, values[at], at)
				}
				last, lastAt = values[at], at
			}
		}
	})
}

// TestHeldUp blocks the sink for an hour: afterwards the driver fills up instead of sending every 5 s that passed.
func TestHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{t: t, values: map[string]map[meter.Millis]int64{}}
		start := time.Now()
		held := false
		sink.full = func() {
			if !held && time.Since(start) > 5*time.Minute {
				held = true
				time.Sleep(3 * time.Hour)
			}
		}
		r, err := New(synthetic(t), Options{Backfill: 24 * time.Hour, Every: 5 * time.Second, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour+6*time.Minute)
		defer cancel()
		if err := r.Run(ctx, sink); err != nil {
			t.Fatal(err)
		}
		values := sink.values["office-1/energy-import"]
		if n := len(values); n < 24+60+3+8 || n > 24+60+3+14 {
			t.Errorf("%d readings, want 24 hours, 5 minutes of 5 s, 3 hours, 1 minute of 5 s", n)
		}
	})
}

func ordered(values map[meter.Millis]int64) func(func(meter.Millis) bool) {
	keys := make([]meter.Millis, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	return func(yield func(meter.Millis) bool) {
		for len(keys) > 0 {
			least := 0
			for i := range keys {
				if keys[i] < keys[least] {
					least = i
				}
			}
			if !yield(keys[least]) {
				return
			}
			keys[least] = keys[len(keys)-1]
			keys = keys[:len(keys)-1]
		}
	}
}

func TestStateOfAnotherRecordingIsNotUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if err := writeState(path, state{Recording: "other", Weeks: 3, Done: 5}); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC) }
	r, err := New(synthetic(t), Options{Every: time.Second, StateFile: path, Log: slog.New(slog.DiscardHandler), Now: now})
	if err != nil || r.state.Done != 0 || r.state.Weeks == 3 {
		t.Errorf("%+v, %v", r.state, err)
	}
}

func TestSyntheticIsDeterministicAndPlausible(t *testing.T) {
	a, err := Synthetic(Profiles(), 10, 3, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Synthetic(Profiles(), 10, 3, time.Hour)
	if !reflect.DeepEqual(a, b) {
		t.Fatal("the same seed gives another recording")
	}
	c, _ := Synthetic(Profiles(), 10, 4, time.Hour)
	if reflect.DeepEqual(a[0].sum, c[0].sum) {
		t.Error("another seed gives the same recording")
	}
	mean := map[string][2]float64{"office": {3, 60}, "school": {3, 90}, "bakery": {2, 40}, "home": {0.2, 4}, "home-pv": {0.1, 4}}
	for _, s := range a {
		kwh := float64(s.sum[s.Len()]) / 1e6 / float64(s.Len())
		if m := mean[s.Category]; kwh < m[0] || kwh > m[1] {
			t.Errorf("%s %s: %.2f kWh an hour on average, want %v", s.Meter, s.Register, kwh, m)
		}
	}
	quarter, err := Synthetic([]string{"office"}, 1, 3, 15*time.Minute)
	if err != nil || quarter[0].Len() != profileWeeks*7*96 {
		t.Errorf("quarters: %v", err)
	}
	if _, err := Synthetic([]string{"castle"}, 1, 3, 0); err == nil {
		t.Error("unknown profile accepted")
	}
	if _, err := Synthetic([]string{"home"}, 1, 3, 7*time.Minute); err == nil {
		t.Error("resolution of 7 minutes accepted")
	}
}
