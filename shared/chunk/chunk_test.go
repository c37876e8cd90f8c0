package chunk_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fluxora.dev/shared/chunk"
	"fluxora.dev/shared/meter"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		rs := make([]meter.Reading, n)
		at, value := int64(1_700_000_000_000), int64(0)
		step := rapid.Int64Range(-1000, 3_600_000).Draw(t, "step")
		scale := rapid.SampledFrom([]int64{1, 10, 1000, 1_000_000}).Draw(t, "scale")
		for i := range rs {
			if rapid.IntRange(0, 9).Draw(t, "jitter") == 0 {
				step = rapid.Int64().Draw(t, "wild step") / 4
			}
			at += step
			value += rapid.Int64Range(-5, 5_000_000).Draw(t, "difference") * scale
			rs[i] = meter.Reading{Series: 7, At: meter.Millis(at), Value: value, Quality: meter.Quality(rapid.IntRange(0, 4).Draw(t, "quality"))}
		}
		b, err := chunk.Append([]byte("head"), rs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := chunk.Decode(nil, b[4:], 7)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(rs, got); d != "" {
			t.Fatal(d)
		}
		if m, err := chunk.Len(b[4:]); err != nil || m != n {
			t.Fatalf("Len = %d, %v, want %d", m, err, n)
		}
		if _, err := chunk.Decode(nil, b[4:len(b)-1], 7); !errors.Is(err, chunk.ErrCorrupt) {
			t.Fatalf("truncated block: error %v, want ErrCorrupt", err)
		}
	})
}

func TestExtremes(t *testing.T) {
	for _, v := range []int64{0, math.MaxInt64, math.MinInt64} {
		rs := []meter.Reading{{Series: 1, At: math.MinInt64, Value: v}, {Series: 1, At: math.MaxInt64, Value: -v}}
		b, err := chunk.Append(nil, rs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := chunk.Decode(nil, b, 1)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(rs, got); d != "" {
			t.Error(d)
		}
	}
}

func TestTenSecondCounterIsSmall(t *testing.T) {
	rs := make([]meter.Reading, 1000)
	for i := range rs {
		rs[i] = meter.Reading{Series: 1, At: meter.Millis(1_700_000_000_000 + 10_000*i), Value: int64(8_000_000_000 + i*33_000 + (i%7)*1000)}
	}
	b, err := chunk.Append(nil, rs)
	if err != nil {
		t.Fatal(err)
	}
	if perReading := float64(len(b)) / 1000; perReading > 2.1 {
		t.Errorf("%.2f bytes per reading, want at most 2.1", perReading)
	}
}

func TestLimits(t *testing.T) {
	if _, err := chunk.Append(nil, nil); err == nil {
		t.Error("an empty block was encoded")
	}
	if _, err := chunk.Append(nil, make([]meter.Reading, chunk.MaxReadings+1)); err == nil {
		t.Error("an oversized block was encoded")
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := chunk.Append(nil, []meter.Reading{{At: 1, Value: 2}, {At: 3, Value: 4}, {At: 5, Value: 4000, Quality: meter.Suspect}})
	f.Add(b)
	f.Add([]byte{1, 0xff, 0xff, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		rs, err := chunk.Decode(nil, b, 1)
		if err != nil {
			if !errors.Is(err, chunk.ErrCorrupt) {
				t.Fatalf("error %v, want ErrCorrupt", err)
			}
			return
		}
		again, err := chunk.Append(nil, rs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := chunk.Decode(nil, again, 1)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(rs, back); d != "" {
			t.Fatal(d)
		}
	})
}
