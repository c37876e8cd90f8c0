package interval_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fluxora.dev/shared/interval"
	"fluxora.dev/shared/meter"
)

const kWh = 1_000_000 // mWh

var noon = meter.MillisOf(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

func at(minutes float64) meter.Millis { return noon + meter.Millis(minutes*60_000) }

func counter(minutes, kwh float64) interval.Sample {
	return interval.Sample{At: at(minutes), Value: int64(kwh*kWh + 0.5), Kind: meter.Counter, Meter: 1}
}

// run folds samples at a resolution of one hour and writes intervals and events as words.
func run(t *testing.T, o interval.Options, samples ...interval.Sample) string {
	t.Helper()
	if o.Resolution == 0 {
		o.Resolution = time.Hour
	}
	var s interval.State
	var words []string
	for _, n := range samples {
		err := s.Add(n, o, func(i interval.Interval) {
			w := fmt.Sprintf("%g", float64(i.Energy)/1000)
			if i.Quality != meter.Measured {
				w += " " + i.Quality.String()
			}
			if i.Recovered {
				w += " recovered"
			}
			words = append(words, w)
		}, func(e interval.Event) {
			words = append(words, "<"+e.Kind.String()+">")
		})
		if err != nil {
			t.Fatalf("add %+v: %v", n, err)
		}
	}
	return strings.Join(words, ", ")
}

func TestRules(t *testing.T) {
	c := counter
	with := func(s interval.Sample, f func(*interval.Sample)) interval.Sample { f(&s); return s }
	other := func(s interval.Sample) interval.Sample { s.Meter = 2; return s }
	kind := func(k meter.Kind, minutes, value float64) interval.Sample {
		return interval.Sample{At: at(minutes), Value: int64(value * 1000), Kind: k, Meter: 1}
	}
	limit := interval.Options{MaxWatts: 10_000}
	for _, tc := range []struct {
		name    string
		options interval.Options
		samples []interval.Sample
		want    string
	}{
		{"difference", interval.Options{}, []interval.Sample{c(0, 5), c(60, 6.5), c(120, 7)}, "1.5, 0.5"},
		{"boundaries interpolated", interval.Options{}, []interval.Sample{c(-30, 5), c(30, 6), c(90, 8), c(150, 9)}, "1.5, 1.5"},
		{"first partial interval unknown", interval.Options{}, []interval.Sample{c(1, 5), c(59, 6), c(60, 6), c(120, 8)}, "2"},
		{"late start of meter", interval.Options{}, []interval.Sample{c(0, 5), c(59, 6)}, ""},
		{"dip of a digit and its return", interval.Options{}, []interval.Sample{c(0, 100), c(30, 99.9), c(60, 99.95), c(90, 100.2), c(120, 101)}, "<dip>, 0, 1"},
		{"dip large on a large counter", interval.Options{}, []interval.Sample{c(0, 50_000), c(60, 49_960), c(120, 50_001)}, "<dip>, 0, 1"},
		{"dropout to zero", interval.Options{}, []interval.Sample{c(0, 5000), c(30, 0), c(60, 5001), c(120, 5003)}, "<dropout>, 1, 2"},
		{"dropout, back within a digit", interval.Options{}, []interval.Sample{c(0, 5000), c(30, 0), c(60, 4999.9), c(120, 5003)}, "<dropout>, <dip>, 0, 3"},
		{"rollover of six digits", interval.Options{}, []interval.Sample{c(0, 999_999), c(60, 2), c(120, 4)}, "<rollover>, 3, 2"},
		{"rollover with modulus", interval.Options{}, []interval.Sample{
			with(c(0, 4294.9), func(s *interval.Sample) { s.Modulus = 1 << 32 }), with(c(60, 0.032704), func(s *interval.Sample) { s.Modulus = 1 << 32 }), with(c(120, 1.032704), func(s *interval.Sample) { s.Modulus = 1 << 32 }),
		}, "<rollover>, 0.1, 1"},
		{"modulus known, far from it: reset", interval.Options{}, []interval.Sample{
			with(c(0, 2000), func(s *interval.Sample) { s.Modulus = 10_000 * kWh }), with(c(60, 3), func(s *interval.Sample) { s.Modulus = 10_000 * kWh }), with(c(120, 5), func(s *interval.Sample) { s.Modulus = 10_000 * kWh }),
		}, "<reset>, 3, 2"},
		{"not a power of ten: reset", interval.Options{}, []interval.Sample{c(0, 98_000), c(60, 2), c(120, 4)}, "<reset>, 2, 2"},
		{"reset small counter", interval.Options{}, []interval.Sample{c(0, 0.8), c(60, 0.01), c(120, 0.1)}, "<reset>, 0.01, 0.09"},
		{"reset to a value too large to be used", interval.Options{}, []interval.Sample{c(0, 98_000), c(60, 4000), c(120, 4001)}, "<reset>, 0, 1"},
		{"set back by a person", interval.Options{}, []interval.Sample{c(0, 1000), c(60, 900), c(120, 901)}, "<reset>, 0, 1"},
		{"reset and back: zeros for a while", interval.Options{}, []interval.Sample{c(0, 5000), c(30, 0), c(60, 0), c(90, 0), c(120, 5002), c(150, 5002.5), c(180, 5003)}, "<reset>, 0, <return>, 2, 1"},
		{"jump and back: garbage that agrees with itself", limit, []interval.Sample{c(0, 5000), c(30, 90_000), c(60, 90_000), c(90, 90_000.5), c(120, 5002), c(150, 5002.5), c(180, 5003)}, "<jump>, 0 suspect, <return>, 2, 1"},
		{"jump and back, power unknown", interval.Options{}, []interval.Sample{c(0, 5000), c(1, 90_000), c(2, 90_000), c(60, 5002), c(61, 5002), c(120, 5003)}, "<jump>, <return>, 2 suspect, 1"},
		{"jump that cannot be energy is where it goes on", limit, []interval.Sample{c(0, 1000), c(60, 5000), c(120, 5002), c(180, 5004)}, "<jump>, 0 suspect, 2, 2"},
		{"fast, but nobody said how fast it may be", interval.Options{}, []interval.Sample{c(0, 1000), c(60, 1500), c(120, 2000), c(180, 2500)}, "500, 500, 500"},
		{"coarse counter: a digit is no spike", interval.Options{MaxWatts: 1000}, []interval.Sample{c(0, 100), c(59, 100), c(60, 101), c(61, 101), c(120, 101)}, "1, 0"},
		{"word tear", interval.Options{}, []interval.Sample{c(0, 5000), c(10, 5000+65536), c(20, 5000.2), c(60, 5001)}, "<spike>, 1"},
		{"words swapped", interval.Options{}, []interval.Sample{c(0, 50), c(10, 50*65536), c(20, 50.2), c(60, 51)}, "<spike>, 1"},
		{"32 ones, in Wh", interval.Options{}, []interval.Sample{c(0, 5000), c(30, 4294967.295), c(60, 5001)}, "<sentinel>, 1"},
		{"32 ones for hours, in tenths of a kWh", interval.Options{}, []interval.Sample{c(0, 5000), c(30, 429496729.5), c(40, 429496729.5), c(50, 429496729.5), c(60, 5001)}, "<sentinel>, <sentinel>, <sentinel>, 1"},
		{"largest signed", interval.Options{}, []interval.Sample{c(0, 5000), c(30, 2147483.647), c(60, 5001)}, "<sentinel>, 1"},
		{"minus one", interval.Options{}, []interval.Sample{c(0, 5000), with(c(30, 0), func(s *interval.Sample) { s.Value = -1000 }), c(60, 5001)}, "<unusable>, 1"},
		{"sign flip", interval.Options{}, []interval.Sample{c(0, 5000), with(c(30, 0), func(s *interval.Sample) { s.Value = -5000 * kWh }), c(60, 5001)}, "<unusable>, 1"},
		{"power of 16 ones", interval.Options{}, []interval.Sample{kind(meter.Power, 0, 500), kind(meter.Power, 20, 65535), kind(meter.Power, 60, 500)}, "<sentinel>, 0.5"},
		{"unit changed to a smaller one", interval.Options{}, []interval.Sample{c(0, 5000), c(60, 5_001_000), c(120, 5_001_000.5)}, "<multiplier>, 1 suspect, 0.5"},
		{"unit changed to a larger one", interval.Options{}, []interval.Sample{c(0, 5000), c(60, 5.001), c(120, 5.002), c(180, 5.003)}, "<multiplier>, 1 suspect, 0.001, 0.001"},
		{"unit changed and back", interval.Options{}, []interval.Sample{c(0, 5000), c(60, 5.001), c(120, 5.002), c(180, 5003), c(240, 5004)}, "<multiplier>, 1 suspect, 0.001, <return>, 1.999, 1"},
		{"stands still for a day, told once", interval.Options{Resolution: 24 * time.Hour}, []interval.Sample{c(0, 5000), c(720, 5000), c(1440, 5000), c(2880, 5000), c(2900, 5001), c(3600, 5001)}, "<stuck>, 0, 1"},
		{"exchange", interval.Options{}, []interval.Sample{c(0, 1000), c(60, 1001), other(c(90, 3)), other(c(120, 4)), other(c(180, 5))}, "1, <exchange>, 1 estimated, 1"},
		{"exchange over hours", interval.Options{}, []interval.Sample{c(0, 1000), other(c(180, 3)), other(c(240, 4))}, "<exchange>, 0 missing, 0 missing, 0 missing, 1"},
		{"same counter under another serial", interval.Options{}, []interval.Sample{c(0, 1000), c(60, 1001), other(c(120, 1002)), other(c(180, 1003))}, "1, 1, 1"},
		{"spike ignored", limit, []interval.Sample{c(0, 1000), c(60, 66_536), c(120, 1004), c(180, 1006)}, "<spike>, <gap>, 2 recovered, 2 recovered, 2"},
		{"jump confirmed does not stick", limit, []interval.Sample{c(0, 1000), c(60, 1100), c(120, 1104), c(180, 1106)}, "<jump>, 100 suspect, 4, 2"},
		{"garbage, then truth", limit, []interval.Sample{c(0, 10), c(10, 7000), c(20, 90_000), c(30, 12), c(60, 13)}, "<spike>, <spike>, 3"},
		{"reset under limit does not stick", limit, []interval.Sample{c(0, 1000), c(60, 0), c(120, 1), c(180, 2)}, "<reset>, 0, 1, 1"},
		{"gap recovered", interval.Options{}, []interval.Sample{c(0, 10), c(60, 11), c(240, 17), c(300, 18)}, "1, <gap>, 2 recovered, 2 recovered, 2 recovered, 1"},
		{"gap touches both ends", interval.Options{}, []interval.Sample{c(0, 10), c(30, 11), c(150, 15), c(180, 16)}, "<gap>, 2 recovered, 2 recovered, 2 recovered"},
		{"a little late is no gap", interval.Options{}, []interval.Sample{c(0, 10), c(60, 11), c(125, 12), c(180, 13)}, "1, 0.923, 1.077"},
		{"gap too long to spread", interval.Options{MaxGap: 3 * time.Hour}, []interval.Sample{c(0, 10), c(60, 11), c(300, 17), c(360, 18)}, "1, <long-gap>, 1"},
		{"duplicate ignored", interval.Options{}, []interval.Sample{c(0, 10), c(0, 12), c(60, 11), c(60, 11)}, "<duplicate>, 1, <duplicate>"},
		{"suspect reading taints both sides", interval.Options{}, []interval.Sample{c(0, 10), with(c(60, 11), func(s *interval.Sample) { s.Quality = meter.Suspect }), c(120, 12), c(180, 13)}, "1 suspect, 1 suspect, 1"},
		{"missing reading ignored", interval.Options{}, []interval.Sample{c(0, 10), with(c(30, 0), func(s *interval.Sample) { s.Quality = meter.Missing }), c(60, 11)}, "<unusable>, 1"},
		{"negative counter ignored", interval.Options{}, []interval.Sample{c(0, 10), with(c(30, 0), func(s *interval.Sample) { s.Value = -5 }), c(60, 11)}, "<unusable>, 1"},
		{"energy sums", interval.Options{}, []interval.Sample{kind(meter.Energy, 0, 9), kind(meter.Energy, 15, 100), kind(meter.Energy, 60, 200), kind(meter.Energy, 120, 7)}, "0.3, 0.007"},
		{"power, trapezoid", interval.Options{}, []interval.Sample{kind(meter.Power, 0, 0), kind(meter.Power, 60, 1000), kind(meter.Power, 120, 1000), kind(meter.Power, 180, 0)}, "0.5, 1, 0.5"},
		{"power, boundary inside", interval.Options{}, []interval.Sample{kind(meter.Power, 0, 0), kind(meter.Power, 40, 400), kind(meter.Power, 80, 800), kind(meter.Power, 120, 1200)}, "0.3, 0.9"},
		{"power, export counts zero", interval.Options{}, []interval.Sample{kind(meter.Power, 0, -500), kind(meter.Power, 60, -100)}, "0"},
		{"power over a gap is estimated", interval.Options{}, []interval.Sample{kind(meter.Power, 0, 500), kind(meter.Power, 120, 500)}, "<gap>, 0.5 estimated recovered, 0.5 estimated recovered"},
		{"power spike", limit, []interval.Sample{kind(meter.Power, 0, 500), kind(meter.Power, 20, 9e6), kind(meter.Power, 60, 500)}, "<spike>, 0.5"},
		{"power always above limit does not stick", limit, []interval.Sample{kind(meter.Power, 0, 20_000), kind(meter.Power, 60, 20_000), kind(meter.Power, 120, 20_000), kind(meter.Power, 180, 20_000)}, "<jump>, 20 suspect, <jump>, 20 suspect"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := run(t, tc.options, tc.samples...); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	var s interval.State
	o := interval.Options{Resolution: time.Hour}
	for _, n := range []interval.Sample{counter(0, 1), counter(60, 2)} {
		if err := s.Add(n, o, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	before := s
	if err := s.Add(counter(30, 1.5), o, nil, nil); !errors.Is(err, interval.ErrOrder) {
		t.Errorf("earlier reading: %v, want ErrOrder", err)
	}
	if s != before {
		t.Error("a refused reading changed the state")
	}
}

func TestOptionsCheck(t *testing.T) {
	for r, good := range map[time.Duration]bool{
		0: false, time.Minute: true, 5 * time.Minute: true, 7 * time.Minute: false, 15 * time.Minute: true,
		time.Hour: true, 24 * time.Hour: true, 48 * time.Hour: false, 90 * time.Second: false, -time.Hour: false,
	} {
		if err := (interval.Options{Resolution: r}).Check(); (err == nil) != good {
			t.Errorf("resolution %s: %v, want good %v", r, err, good)
		}
	}
}
