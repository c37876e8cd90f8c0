package thin_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxora.dev/agent/internal/store/thin"
	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

var main = meter.Series{Point: "main", Register: meter.EnergyImport, Kind: meter.Counter}

// fold returns what a site's readings give.
func fold(t interface{ Fatal(...any) }, rs []meter.Reading, o interval.Options) (out []interval.Interval) {
	var s interval.State
	for _, r := range rs {
		err := s.Add(interval.Sample{At: r.At, Value: r.Value, Quality: r.Quality, Kind: meter.Counter, Meter: uint32(r.Series)}, o,
			func(i interval.Interval) { out = append(out, i) }, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestSameIntervals thins days of a counter that rises, dips, is reset, jumps and falls silent, in pieces of any length as
// segments are, and wants the intervals that all readings give.
func TestSameIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := interval.Options{Resolution: rapid.SampledFrom([]time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour}).Draw(t, "resolution")}
		if rapid.Bool().Draw(t, "limit") {
			o.MaxWatts = 20_000
		}
		step := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, 37 * time.Second, 5 * time.Minute}).Draw(t, "step")
		at, value := meter.Millis(1_772_000_000_000+rapid.Int64Range(0, 3_600_000).Draw(t, "start")), int64(8_000_000_000)
		var rs []meter.Reading
		for len(rs) < 4000 {
			run := rapid.IntRange(1, 900).Draw(t, "run")
			watts := rapid.Int64Range(0, 9000).Draw(t, "watts")
			for range run {
				rs = append(rs, meter.Reading{Series: 1, At: at, Value: value})
				at = at.Add(step)
				value += watts * step.Milliseconds() / 3600
			}
			switch rapid.IntRange(0, 12).Draw(t, "event") {
			case 0:
				rs[len(rs)-1].Value -= 100_000 // a digit
			case 1:
				value = rapid.Int64Range(0, 1000).Draw(t, "reset")
			case 2:
				rs[len(rs)-1].Value += 500_000_000 // a spike
			case 3:
				rs[len(rs)-1].Quality = meter.Suspect
			case 4:
				at = at.Add(time.Duration(rapid.Int64Range(0, int64(3*o.Resolution)).Draw(t, "silence")))
			case 5:
				rs = append(rs, rs[len(rs)-1])
			case 6:
				value += 300_000_000 // a jump
			case 7:
				rs[len(rs)-1].Value = 0
			}
		}
		var left []meter.Reading
		for i := 0; i < len(rs); {
			part := rs[i:min(len(rs), i+rapid.IntRange(1, 2500).Draw(t, "segment"))]
			stay := thin.Spare(main, part, o)
			for j, r := range part {
				if stay == nil || stay[j] {
					left = append(left, r)
				}
			}
			i += len(part)
		}
		if want, got := fold(t, rs, o), fold(t, left, o); !slices.Equal(want, got) {
			for i := range want {
				if i >= len(got) || want[i] != got[i] {
					t.Fatalf("%d of %d readings: interval %d is %+v, want %+v", len(left), len(rs), i, got[min(i, len(got)-1)], want[i])
				}
			}
		}
	})
}

// TestWhatIsSpared asks how much a day of readings at ten seconds shrinks.
func TestWhatIsSpared(t *testing.T) {
	var rs []meter.Reading
	for i := range 8640 {
		rs = append(rs, meter.Reading{Series: 1, At: meter.Millis(1_772_000_000_000 + i*10_000), Value: 8_000_000_000 + int64(i)*3000})
	}
	n := 0
	for _, stays := range thin.Spare(main, rs, interval.Options{Resolution: 15 * time.Minute}) {
		if stays {
			n++
		}
	}
	if n == 0 || n > 96*3+6 {
		t.Errorf("%d of %d readings stay, want about two or three an interval", n, len(rs))
	}
}
