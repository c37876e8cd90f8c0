package feature_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
)

const hour = time.Hour

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func at(t testing.TB, s string) meter.Millis {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return meter.MillisOf(v)
}

// random returns a history of n intervals with holes, drawn from a seed.
func random(start meter.Millis, resolution time.Duration, n int, zone *time.Location, seed uint64) feature.History {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := feature.History{Start: start, Resolution: resolution, Energy: make([]float64, n), Zone: zone}
	for i := range h.Energy {
		h.Energy[i] = float64(rng.IntN(5000))
		if rng.IntN(15) == 0 {
			h.Energy[i] = math.NaN()
		}
	}
	return h
}

type fataler interface{ Fatal(...any) }

func rows(t fataler, h feature.History, origin meter.Millis, steps ...int) []uint32 {
	return rowsOf(t, feature.Default(), h, origin, steps...)
}

func rowsOf(t fataler, spec feature.Spec, h feature.History, origin meter.Millis, steps ...int) []uint32 {
	b := feature.NewBuilder(spec)
	if err := b.Reset(h, origin); err != nil {
		t.Fatal(err)
	}
	row := make([]float32, spec.Len())
	var bits []uint32
	for _, s := range steps {
		b.Row(s, row)
		for _, v := range row {
			bits = append(bits, math.Float32bits(v))
		}
	}
	return append(bits, math.Float32bits(float32(b.Scale())), uint32(b.Known()))
}

func same(a, b []uint32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

var zones = []string{"UTC", "Europe/Oslo", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"}

// drawCase draws a history, an origin within or beside it, and steps.
func drawCase(t *rapid.T) (feature.History, meter.Millis, []int) {
	res := rapid.SampledFrom([]time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute, hour}).Draw(t, "resolution")
	z, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	start := meter.Millis(rapid.Int64Range(1_500_000_000, 1_700_000_000).Draw(t, "start") * 1000).Floor(res)
	n := rapid.IntRange(0, int(70*24*hour/res)).Draw(t, "intervals")
	h := random(start, res, n, z, rapid.Uint64().Draw(t, "seed"))
	origin := start.Add(time.Duration(rapid.IntRange(-3, n+300).Draw(t, "origin")) * res)
	last := int(48 * hour / res)
	return h, origin, []int{1, rapid.IntRange(1, last).Draw(t, "step"), last / 2, last/2 + 1, last}
}

func TestNothingAtOrAfterTheOriginIsSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, origin, steps := drawCase(t)
		want := rows(t, h, origin, steps...)
		changed := h
		changed.Energy = append([]float64(nil), h.Energy...)
		for i := range changed.Energy {
			if h.Start.Add(time.Duration(i)*h.Resolution) >= origin {
				changed.Energy[i] = rapid.SampledFrom([]float64{math.NaN(), 0, 1e9, -5, math.Inf(1)}).Draw(t, "future")
			}
		}
		if !same(want, rows(t, changed, origin, steps...)) {
			t.Fatal("a row changed with the future")
		}
		if !same(want, rows(t, h.Before(origin), origin, steps...)) {
			t.Fatal("a row changed when the future was cut off")
		}
	})
}

func TestAgentWithReachSeesWhatTheHubSees(t *testing.T) {
	reach := feature.Default().Reach()
	rapid.Check(t, func(t *rapid.T) {
		h, origin, steps := drawCase(t)
		if !same(rows(t, h, origin, steps...), rows(t, h.Since(origin.Add(-reach)).Before(origin), origin, steps...)) {
			t.Fatalf("rows differ when only %s of history is kept", reach)
		}
	})
}

// TestRowsFollowTheWallClock compares lags with what the time package says of local days.
func TestRowsFollowTheWallClock(t *testing.T) {
	spec, err := feature.ParseSpec(feature.Default().String() + "yearday\n")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, zone, origin string }{
		{"plain day", "Europe/Oslo", "2024-06-12T10:00:00Z"},
		{"day of 23 hours ahead", "Europe/Oslo", "2024-03-30T23:00:00Z"},
		{"just after the spring change", "Europe/Oslo", "2024-03-31T01:00:00Z"},
		{"week after the spring change", "Europe/Oslo", "2024-04-05T12:00:00Z"},
		{"day of 25 hours ahead", "Europe/Oslo", "2024-10-26T22:00:00Z"},
		{"week after the autumn change", "Europe/Oslo", "2024-10-30T12:00:00Z"},
		{"half an hour of change", "Australia/Lord_Howe", "2024-10-08T12:00:00Z"},
		{"no change of clocks", "Asia/Kolkata", "2024-10-08T12:00:00Z"},
	}
	for _, c := range cases {
		for _, res := range []time.Duration{15 * time.Minute, 30 * time.Minute, hour} {
			t.Run(c.name+" "+res.String(), func(t *testing.T) {
				z, origin := zone(t, c.zone), at(t, c.origin)
				h := random(origin.Add(-40*24*hour), res, int(45*24*hour/res), z, 7)
				b := feature.NewBuilder(spec)
				if err := b.Reset(h, origin); err != nil {
					t.Fatal(err)
				}
				row := make([]float32, spec.Len())
				for step := 1; step <= int(48*hour/res); step++ {
					b.Row(step, row)
					target := origin.Add(time.Duration(step-1) * res).Time().In(z)
					ahead := time.Duration(step) * res
					for _, l := range []struct {
						name  string
						days  int
						first int
					}{{"day 1", 1, 0}, {"day 7", 1, 6}, {"week 1", 7, 0}, {"week 4", 7, 3}} {
						k := l.days * (int(math.Ceil(ahead.Hours()/float64(24*l.days))) + l.first)
						want := oracle(h, origin, target, k, b.Scale())
						got := row[spec.Column(l.name)]
						if math.Float32bits(got) != math.Float32bits(want) {
							t.Fatalf("step %d, target %s, %s: got %v, want %v", step, target, l.name, got, want)
						}
					}
					if got, want := row[spec.Column("hour")], float32(target.Hour()); got != want {
						t.Fatalf("hour of %s: got %v", target, got)
					}
					if got, want := row[spec.Column("weekday")], float32((target.Weekday()+6)%7); got != want {
						t.Fatalf("weekday of %s: got %v", target, got)
					}
					if got, want := row[spec.Column("yearday")], float32(target.YearDay()); got != want {
						t.Fatalf("day of the year of %s: got %v", target, got)
					}
				}
			})
		}
	}
}

// oracle reads the value whole days back by the slow road: same wall clock, in the offset that 24-hour days lead to.
func oracle(h feature.History, origin meter.Millis, target time.Time, days int, scale float64) float32 {
	back := target.Add(-time.Duration(days) * 24 * hour)
	_, now := target.Zone()
	_, then := back.Zone()
	u := meter.MillisOf(back.Add(time.Duration(now-then) * time.Second))
	if u >= origin {
		return feature.Missing
	}
	if v := h.At(u); v == v {
		return float32(v / scale)
	}
	return feature.Missing
}

func TestShortHistories(t *testing.T) {
	spec := feature.Default()
	origin := at(t, "2024-06-12T10:00:00Z")
	for _, c := range []struct {
		name  string
		hours int
		known []string
		nan   []string
	}{
		{"nothing", 0, []string{"lead", "hour"}, []string{"day 1", "week 1", "window mean 1h", "age 672h", "days mean 7"}},
		{"an hour", 1, []string{"window mean 1h", "window mean 24h", "age 672h"}, []string{"day 1", "window std 24h", "week 1"}},
		{"a day", 24, []string{"day 1", "days mean 7", "window std 24h"}, []string{"day 2", "week 1", "days std 7"}},
		{"a week", 168, []string{"day 1", "day 7", "week 1", "weeks mean 4", "days std 7"}, []string{"week 2", "weeks std 4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := feature.History{Start: origin.Add(-time.Duration(c.hours) * hour), Resolution: hour, Energy: make([]float64, c.hours)}
			for i := range h.Energy {
				h.Energy[i] = 500
			}
			b := feature.NewBuilder(spec)
			if err := b.Reset(h, origin); err != nil {
				t.Fatal(err)
			}
			if b.Known() != c.hours {
				t.Errorf("%d intervals known, want %d", b.Known(), c.hours)
			}
			row := make([]float32, spec.Len())
			b.Row(1, row)
			for _, n := range c.known {
				if v := row[spec.Column(n)]; v != v {
					t.Errorf("%s is missing", n)
				}
			}
			for _, n := range c.nan {
				if v := row[spec.Column(n)]; math.Float32bits(v) != math.Float32bits(feature.Missing) {
					t.Errorf("%s is %v, want missing", n, v)
				}
			}
		})
	}
}

// TestDrift moves a point that repeats every week to another level.
func TestDrift(t *testing.T) {
	spec, origin := feature.Default(), at(t, "2024-06-12T10:00:00Z")
	h := feature.History{Start: origin.Add(-40 * 24 * hour), Resolution: hour, Energy: make([]float64, 40*24)}
	for i := range h.Energy {
		h.Energy[i] = float64(1000 + 100*(i%168))
	}
	row := make([]float32, spec.Len())
	drift := func(name string) float32 {
		b := feature.NewBuilder(spec)
		if err := b.Reset(h, origin); err != nil {
			t.Fatal(err)
		}
		b.Row(30, row)
		return float32(math.Round(float64(row[spec.Column(name)]) * b.Scale()))
	}
	names := []string{"drift day 1", "drift day 2", "drift week 1", "drift 1h", "drift 3h", "drift 24h", "drift 168h", "stray 24h", "stray 168h"}
	for _, n := range names {
		if v := drift(n); v != 0 {
			t.Errorf("%s of a point that repeats every week: %v", n, v)
		}
	}
	for k := range 24 {
		h.Energy[len(h.Energy)-1-k] -= 700
	}
	for i, want := range []float32{-700, 0, 0, -700, -700, -700, -100, 700, 100} {
		if v := drift(names[i]); v != want {
			t.Errorf("%s after a day of 700 Wh less: %v, want %v", names[i], v, want)
		}
	}
	h.Energy[len(h.Energy)-1] = math.NaN()
	if v := drift("drift 1h"); v == v {
		t.Errorf("drift of an hour that is not known: %v", v)
	}
	if v := drift("drift 3h"); v != -700 {
		t.Errorf("drift of three hours, one not known: %v", v)
	}
}

func TestScaleIsTheMeanAndNeverZero(t *testing.T) {
	origin := at(t, "2024-06-12T10:00:00Z")
	for _, c := range []struct {
		energy []float64
		want   float64
	}{{[]float64{100, 300}, 200}, {[]float64{0, 0}, 1}, {nil, 1}, {[]float64{math.NaN(), 50}, 50}} {
		h := feature.History{Start: origin.Add(-time.Duration(len(c.energy)) * hour), Resolution: hour, Energy: c.energy}
		b := feature.NewBuilder(feature.Default())
		if err := b.Reset(h, origin); err != nil {
			t.Fatal(err)
		}
		if b.Scale() != c.want {
			t.Errorf("scale of %v: got %g, want %g", c.energy, b.Scale(), c.want)
		}
	}
}

func TestTargetIsTheActual(t *testing.T) {
	origin := at(t, "2024-06-12T10:00:00Z")
	h := feature.History{Start: origin.Add(-2 * hour), Resolution: hour, Energy: []float64{100, 300, 400, math.NaN()}}
	b := feature.NewBuilder(feature.Default())
	if err := b.Reset(h, origin); err != nil {
		t.Fatal(err)
	}
	if got := b.Target(1); got != 2 {
		t.Errorf("step 1: got %g, want 2", got)
	}
	for _, step := range []int{2, 3} {
		if got := b.Target(step); got == got {
			t.Errorf("step %d: got %g, want NaN", step, got)
		}
	}
}

func TestResetRefusesWhatIsOffTheGrid(t *testing.T) {
	origin := at(t, "2024-06-12T10:00:00Z")
	b := feature.NewBuilder(feature.Default())
	good := feature.History{Start: origin.Add(-24 * hour), Resolution: hour, Energy: make([]float64, 24)}
	if err := b.Reset(good, origin+1); err == nil {
		t.Error("an origin off the grid was taken")
	}
	for _, res := range []time.Duration{0, -hour, 7 * time.Minute, 2 * hour, time.Second} {
		bad := good
		bad.Resolution = res
		if err := b.Reset(bad, origin); err == nil {
			t.Errorf("resolution %s was taken", res)
		}
	}
}

func TestRowAllocatesNothing(t *testing.T) {
	z, origin := zone(t, "Europe/Oslo"), at(t, "2024-03-31T10:00:00Z")
	h := random(origin.Add(-40*24*hour), hour, 40*24, z, 3)
	b := feature.NewBuilder(feature.Default())
	row := make([]float32, feature.Default().Len())
	if n := testing.AllocsPerRun(20, func() {
		if err := b.Reset(h, origin); err != nil {
			t.Fatal(err)
		}
		for s := 1; s <= 48; s++ {
			b.Row(s, row)
		}
	}); n != 0 {
		t.Errorf("%g allocations for an origin, want none", n)
	}
}

func TestSpecNames(t *testing.T) {
	s := feature.Default()
	back, err := feature.ParseSpec(s.String())
	if err != nil {
		t.Fatal(err)
	}
	if back.Hash() != s.Hash() || back.Len() != s.Len() || len(s.HexHash()) != 64 {
		t.Error("a spec changed on its way through text")
	}
	if s.Column("day 1") != 1 || s.Column("no such") != -1 {
		t.Error("columns are misnumbered")
	}
	if s.Reach() < 35*24*hour || s.Reach() > 36*24*hour {
		t.Errorf("reach %s: want five weeks and a little", s.Reach())
	}
}

func TestParseSpecRefuses(t *testing.T) {
	const head = "fluxora-features 1\n"
	for _, text := range []string{
		"", "fluxora-features 1", head, "fluxora-features 2\nlead\n", head + "sun\n", head + "lead\nlead\n", head + "day\n", head + "day 0\n", head + "day 61\n",
		head + "day 01\n", head + "day x\n", head + "day 1 30m\n", head + "day 1 0h\n", head + "day 1 13h\n", head + "day 1 1h 1h\n", head + "days mean\n",
		head + "days median 3\n", head + "window mean\n", head + "window mean 99999h\n", head + "window mean 1h0m\n", head + "level 1h\n", head + "lead 1\n", head + "\n", head + "age\n",
		head + "drift\n", head + "drift year 1\n", head + "drift day\n", head + "drift day 0\n", head + "drift day 29\n", head + "drift 9600h\n", head + "drift day 1 1h\n", head + "stray\n", head + "stray day 1\n", head + "stray 0h\n",
		head + "past\n", head + "past 0\n", head + "past 337\n", head + "fact\n", head + "fact A\n", head + "fact a b\n", head + "holiday yesterday\n", head + "holiday day 0\n", head + "holidays 3\n",
		head + "holidays near 15\n", head + "bridge 1\n", head + "vacation before\n", head + "temperature 24h\n", head + "temperature mean\n", head + "temperature mean 0h\n", head + "temperature mean 745h\n",
		head + "cold\n", head + "cold 17.5\n", head + "cold 99\n", head + "warm 22 mean 24h\n", head + "warmer 7\n", head + "window q0 24h\n", head + "window q100 24h\n", head + "window q05 24h\n",
		head + "similar mean 29\n", head + "similar 4\n", head + "step 1\n",
	} {
		if _, err := feature.ParseSpec(text); !errors.Is(err, feature.ErrSpec) {
			t.Errorf("%q: got %v, want ErrSpec", text, err)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add(feature.Default().String())
	f.Add(everything)
	f.Add("fluxora-features 1\nday 3 -2h\nwindow max 5h\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := feature.ParseSpec(text)
		if err != nil {
			return
		}
		back, err := feature.ParseSpec(s.String())
		if err != nil || back.Hash() != s.Hash() {
			t.Fatalf("%q does not come back: %v", text, err)
		}
		if s.Reach() < feature.ScaleWindow || s.Reach() > 410*24*hour {
			t.Fatalf("reach %s", s.Reach())
		}
		b := feature.NewBuilder(s)
		h := random(0, hour, 200, nil, 1)
		if err := b.Reset(h, meter.Millis(0).Add(100*hour)); err != nil {
			t.Fatal(err)
		}
		b.Row(3, make([]float32, s.Len()))
	})
}

// FuzzAgentAndHubAgree is TestAgentWithReachSeesWhatTheHubSees for any bytes.
func FuzzAgentAndHubAgree(f *testing.F) {
	f.Add(uint64(1), uint16(900), uint16(700), uint8(1), uint16(3))
	z := zone(f, "Europe/Oslo")
	f.Fuzz(func(t *testing.T, seed uint64, n, origin uint16, quarters uint8, step uint16) {
		res := []time.Duration{15 * time.Minute, 30 * time.Minute, hour}[quarters%3]
		h := random(at(t, "2024-03-01T00:00:00Z"), res, int(n%8000), z, seed)
		o := h.Start.Add(time.Duration(origin%8000) * res)
		s := 1 + int(step)%int(48*hour/res)
		want := rows(t, h, o, s)
		if !same(want, rows(t, h.Since(o.Add(-feature.Default().Reach())).Before(o), o, s)) {
			t.Fatal("hub and agent differ")
		}
	})
}

func BenchmarkRowsOf48Steps(b *testing.B) { benchmarkRows(b, nil) }

// BenchmarkRowsOf48StepsWithWeather has a country and weather, observed and forecast.
func BenchmarkRowsOf48StepsWithWeather(b *testing.B) {
	benchmarkRows(b, randomSite(at(b, "2024-03-01T00:00:00Z").Add(1000*hour), 1))
}

func benchmarkRows(b *testing.B, site *feature.Site) {
	h := random(at(b, "2024-03-01T00:00:00Z"), hour, 1000, zone(b, "Europe/Oslo"), 3)
	h.Site = site
	builder := feature.NewBuilder(feature.Default())
	row := make([]float32, feature.Default().Len())
	b.ReportAllocs()
	for b.Loop() {
		if err := builder.Reset(h, h.End()); err != nil {
			b.Fatal(err)
		}
		for s := 1; s <= 48; s++ {
			builder.Row(s, row)
		}
	}
}
