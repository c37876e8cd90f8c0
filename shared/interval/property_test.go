package interval_test

import (
	"reflect"
	"sort"
	"testing"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
	"pgregory.net/rapid"
)

// drawOptions draws a site's rules.
func drawOptions(t *rapid.T) interval.Options {
	o := interval.Options{Resolution: rapid.SampledFrom([]time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour}).Draw(t, "resolution")}
	if rapid.Bool().Draw(t, "limited") {
		o.MaxWatts = 20_000
	}
	return o
}

// drawStream draws the life of a meter with everything that can happen to it.
func drawStream(t *rapid.T, kind meter.Kind, n int) []interval.Sample {
	out := make([]interval.Sample, 0, n)
	value := rapid.SampledFrom([]int64{0, 3 * kWh, 99_990 * kWh, 12_345_678_912}).Draw(t, "first")
	id, when := uint32(1), at(0)
	out = append(out, interval.Sample{At: when, Value: value, Kind: kind, Meter: id})
	for range n {
		when += meter.Millis(rapid.SampledFrom([]int{1, 5_000, 60_000, 299_999, 900_000, 3_600_000, 9_000_000}).Draw(t, "step"))
		s := interval.Sample{At: when, Kind: kind, Meter: id}
		if kind != meter.Counter {
			s.Value = rapid.Int64Range(-1000, 30_000_000).Draw(t, "value")
			out = append(out, s)
			continue
		}
		value += rapid.Int64Range(0, 1_500_000).Draw(t, "rise")
		s.Value = value
		switch rapid.IntRange(0, 40).Draw(t, "mishap") {
		case 0:
			s.Value = max(0, value-rapid.Int64Range(0, 2*kWh).Draw(t, "dip"))
		case 1:
			s.Value = rapid.Int64Range(0, 1<<45).Draw(t, "garbage")
		case 2:
			value = rapid.Int64Range(0, 5*kWh).Draw(t, "reset")
			s.Value = value
		case 3:
			id++
			s.Meter = id
		case 4:
			s.Quality = meter.Missing
		case 5:
			s.Quality = meter.Suspect
		case 6:
			value += 700 * kWh
			s.Value = value
		case 7:
			s.Value = rapid.SampledFrom([]int64{0, value * 1000, value / 1000, 1 << 44, 0xffff_ffff_000}).Draw(t, "garbage that agrees")
			for range rapid.IntRange(0, 3).Draw(t, "more") {
				out = append(out, s)
				s.At, when = s.At+60_000, when+60_000
				s.Value += rapid.Int64Range(0, 400_000).Draw(t, "garbage rises")
			}
		case 8:
			when += 100_000_000 // more than a day
			s.At, s.Value = when, out[max(0, len(out)-1)].Value
		}
		out = append(out, s)
	}
	return out
}

func rebuild(t *rapid.T, samples []interval.Sample, o interval.Options) []interval.Interval {
	out, err := interval.Rebuild(samples, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSumIsGrowthOfRegister(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := interval.Options{Resolution: 15 * time.Minute}
		value, when := rapid.Int64Range(0, 1<<40).Draw(t, "first"), at(0)
		samples := []interval.Sample{{At: when, Value: value, Kind: meter.Counter}}
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			when += meter.Millis(rapid.Int64Range(1, 5_000_000).Draw(t, "step"))
			value += rapid.Int64Range(0, 1_000_000).Draw(t, "rise")
			samples = append(samples, interval.Sample{At: when, Value: value, Kind: meter.Counter})
		}
		end := (when + 1).Floor(o.Resolution).Add(o.Resolution)
		samples = append(samples, interval.Sample{At: end, Value: value, Kind: meter.Counter})
		var sum meter.WattHours
		next := at(0)
		for _, i := range rebuild(t, samples, o) {
			if i.Start != next || i.Energy < 0 {
				t.Fatalf("interval %+v: want start %s and no negative energy", i, next)
			}
			next = i.Start.Add(o.Resolution)
			sum += i.Energy
		}
		if want := meter.WattHours(value/1000 - samples[0].Value/1000); sum != want || next != end {
			t.Fatalf("sum %d Wh up to %s, want %d up to %s", sum, next, want, end)
		}
	})
}

func TestIntervalsAreContiguousAndNeverNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		kind := rapid.SampledFrom([]meter.Kind{meter.Counter, meter.Energy, meter.Power}).Draw(t, "kind")
		all := rebuild(t, drawStream(t, kind, 100), o)
		for i, v := range all {
			if v.Energy < 0 || i > 0 && v.Start != all[i-1].Start.Add(o.Resolution) {
				t.Fatalf("interval %d %+v after %+v", i, v, all[max(0, i-1)])
			}
		}
	})
}

func TestStateCanBeSerialisedAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		kind := rapid.SampledFrom([]meter.Kind{meter.Counter, meter.Energy, meter.Power}).Draw(t, "kind")
		samples := drawStream(t, kind, 80)
		want := rebuild(t, samples, o)
		var s interval.State
		var got []interval.Interval
		for _, n := range samples {
			if rapid.Bool().Draw(t, "restart") {
				b, err := s.MarshalBinary()
				if err != nil || len(b) >= 160 {
					t.Fatalf("state of %d bytes: %v", len(b), err)
				}
				before := s
				s = interval.State{}
				if err := s.UnmarshalBinary(b); err != nil {
					t.Fatal(err)
				}
				if s != before {
					t.Fatalf("read back %+v, want %+v", s, before)
				}
			}
			if err := s.Add(n, o, func(i interval.Interval) { got = append(got, i) }, nil); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, got, want)
	})
}

func TestRestartPointEqualsFromScratch(t *testing.T) {
	restarts := 0
	rapid.Check(t, func(t *rapid.T) {
		o := drawOptions(t)
		kind := rapid.SampledFrom([]meter.Kind{meter.Counter, meter.Counter, meter.Energy, meter.Power}).Draw(t, "kind")
		samples := drawStream(t, kind, 150)
		before := rebuild(t, samples, o)
		i := rapid.IntRange(1, len(samples)-1).Draw(t, "late")
		late := samples[i]
		late.At = rapid.Custom(func(t *rapid.T) meter.Millis {
			return meter.Millis(rapid.Int64Range(int64(samples[i-1].At), int64(samples[i].At)).Draw(t, "at"))
		}).Draw(t, "late at")
		late.Value = rapid.OneOf(rapid.Int64Range(0, 1<<40), rapid.Just(samples[i].Value)).Draw(t, "late value")
		samples = append(samples[:len(samples):len(samples)], late)
		sort.SliceStable(samples, func(a, b int) bool { return samples[a].At < samples[b].At })
		want := rebuild(t, samples, o)

		index, valid, ok := interval.RestartPoint(samples, late.At, o)
		if !ok {
			return
		}
		restarts++
		var got []interval.Interval
		for _, v := range before {
			if v.Start < valid {
				got = append(got, v)
			}
		}
		for _, v := range rebuild(t, samples[index:], o) {
			if v.Start >= valid {
				got = append(got, v)
			}
		}
		equal(t, got, want)
		after := samples[index].At
		if got, want := eventsAfter(t, samples[index:], o, after), eventsAfter(t, samples, o, after); !reflect.DeepEqual(got, want) {
			t.Fatalf("events after %s:\n got %+v\nwant %+v", after, got, want)
		}
	})
	if restarts == 0 {
		t.Error("no stream had a restart point")
	}
	t.Logf("%d restarts", restarts)
}

func eventsAfter(t *rapid.T, samples []interval.Sample, o interval.Options, after meter.Millis) (out []interval.Event) {
	var s interval.State
	for _, n := range samples {
		if err := s.Add(n, o, nil, func(e interval.Event) {
			if e.At > after {
				out = append(out, e)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestRestartPointIsNearOnAnOrdinaryStream(t *testing.T) {
	var samples []interval.Sample
	for i := range 10_000 {
		samples = append(samples, interval.Sample{At: at(float64(i)), Value: int64(i) * 20_000, Kind: meter.Counter})
	}
	o := interval.Options{Resolution: 15 * time.Minute}
	late := at(9000)
	index, valid, ok := interval.RestartPoint(samples, late, o)
	if !ok || index < 8900 || valid > late {
		t.Errorf("restart at %d, valid %s, %v: want shortly before 9000", index, valid, ok)
	}
	if _, _, ok := interval.RestartPoint(samples[:3], at(1), o); ok {
		t.Error("restart point found without history")
	}
}

func equal(t *rapid.T, got, want []interval.Interval) {
	if len(got) != len(want) {
		t.Fatalf("%d intervals, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("interval %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func FuzzUnmarshalState(f *testing.F) {
	o := interval.Options{Resolution: time.Hour, MaxWatts: 10_000}
	var s interval.State
	for _, n := range []interval.Sample{counter(0, 100), counter(30, 101), counter(60, 7000), counter(90, 103)} {
		b, _ := s.MarshalBinary()
		f.Add(b)
		if err := s.Add(n, o, nil, nil); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s interval.State
		if s.UnmarshalBinary(b) != nil {
			return
		}
		again, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if again[0] == b[0] && string(again) != string(b) { // an older version is written as the newest
			t.Fatalf("encodes as %x, want %x", again, b)
		}
		var same interval.State
		if err := same.UnmarshalBinary(again); err != nil || !reflect.DeepEqual(same, s) {
			t.Fatalf("%x encodes as %x and decodes as %+v, %v: want %+v", b, again, same, err, s)
		}
		last, _ := s.At()
		for i := range 3 {
			n := counter(0, 100)
			n.At = last + meter.Millis(i+1)*1_800_000
			if err := s.Add(n, o, func(v interval.Interval) {
				if v.Energy < 0 {
					t.Errorf("negative energy: %+v", v)
				}
			}, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	o := interval.Options{Resolution: 15 * time.Minute, MaxWatts: 20_000}
	var s interval.State
	count := 0
	b.ReportAllocs()
	n := interval.Sample{At: at(0), Kind: meter.Counter}
	for b.Loop() {
		n.At, n.Value = n.At+10_000, n.Value+1_717
		if err := s.Add(n, o, func(interval.Interval) { count++ }, nil); err != nil {
			b.Fatal(err)
		}
	}
}
