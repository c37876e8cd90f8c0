package anomaly_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"fluxora.dev/shared/anomaly"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/internal/real"
	"fluxora.dev/shared/meter"
)

// office returns a history of an office that begins on a Monday at local midnight.
func office(t testing.TB, days int, resolution time.Duration) feature.History {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, zone)
	h := feature.History{Start: meter.MillisOf(start), Resolution: resolution, Zone: zone}
	for end := meter.MillisOf(start.AddDate(0, 0, days)); h.End() < end; {
		at := h.End().Time().In(zone)
		v := 1000.0
		if hr := at.Hour(); hr >= 7 && hr < 17 && at.Weekday() != time.Saturday && at.Weekday() != time.Sunday {
			v = 4000
		}
		h.Energy = append(h.Energy, math.Round(v*(1+0.05*rng.NormFloat64())*float64(resolution)/float64(time.Hour)))
	}
	return h
}

// spoil multiplies the last day's use in some local hours.
func spoil(h feature.History, from, to int, by float64) feature.History {
	h.Energy = append([]float64(nil), h.Energy...)
	perHour := int(time.Hour / h.Resolution)
	n := len(h.Energy) - 24*perHour
	for i := n + from*perHour; i < n+to*perHour; i++ {
		h.Energy[i] *= by
	}
	return h
}

func TestReasonsAreForPeople(t *testing.T) {
	for _, resolution := range []time.Duration{15 * time.Minute, time.Hour} {
		for _, c := range []struct {
			name     string
			days     int // 1 January 2024 is a Monday
			from, to int
			by       float64
			want     string
		}{
			{"nothing", 89, 0, 0, 1, ""},
			{"a little", 89, 9, 12, 1.05, ""},
			{"a Sunday night", 98, 2, 5, 3.2, "used 3.2 times what is usual on Sundays 02:00–05:00: "},
			{"a Thursday noon", 109, 8, 15, 1.9, "used 1.9 times what is usual on Thursdays 08:00–15:00: "},
			{"nothing at all", 88, 7, 17, 0, "used nothing, 07:00–17:00, where "},
			{"half", 94, 7, 17, 0.4, "used 40 % of what is usual on Wednesdays "},
			{"all day", 96, 0, 24, 3, "used 3.0 times what is usual on Fridays: "},
			{"the day that loses an hour", 91, 10, 16, 4, "used 4.0 times what is usual on Sundays "},
		} {
			f, odd := anomaly.Last(spoil(office(t, c.days, resolution), c.from, c.to, c.by))
			if c.want == "" {
				if odd {
					t.Errorf("%s, %s: %s", resolution, c.name, f.Reason)
				}
				continue
			}
			got := strings.NewReplacer("3.1 times", "3.2 times", "3.3 times", "3.2 times", "3.4 times", "3.2 times", "2.9 times", "3.0 times", "3.1 times", "3.0 times", "1.8 times", "1.9 times", "2.0 times", "1.9 times", "39 %", "40 %", "41 %", "40 %", "3.9 times", "4.0 times", "4.1 times", "4.0 times").Replace(f.Reason)
			if !odd || !strings.HasPrefix(got, c.want) || f.Score < 0.6 || f.Kind != anomaly.Shape {
				t.Errorf("%s, %s: odd %v, %+v, want %q", resolution, c.name, odd, f, c.want)
			}
		}
	}
}

func TestOnlyThePastJudges(t *testing.T) {
	h := spoil(office(t, 98, time.Hour), 2, 5, 3)
	days := anomaly.Days(h)
	want, _ := anomaly.Judge(days)
	longer := office(t, 120, time.Hour)
	copy(longer.Energy, h.Energy)
	for i := len(h.Energy); i < len(longer.Energy); i++ {
		longer.Energy[i] = 1e6
	}
	got, _ := anomaly.Judge(anomaly.Days(longer)[:len(days)])
	if got != want || got.Reason == "" {
		t.Errorf("with a future: %+v, without: %+v", got, want)
	}
	if again, _ := anomaly.Judge(days); again != want {
		t.Errorf("a second time: %+v, the first: %+v", again, want)
	}
	if f := h.Start.Add(97*24*time.Hour + 2*time.Hour - time.Hour); want.Start != f { // summer time has begun
		t.Errorf("begins at %s, want %s", want.Start, f)
	}
}

func TestTooLittleSaysNothing(t *testing.T) {
	for name, h := range map[string]feature.History{
		"empty":    {},
		"a day":    office(t, 1, time.Hour),
		"a month":  spoil(office(t, 31, time.Hour), 0, 24, 9),
		"no grid":  {Resolution: 7 * time.Minute, Energy: make([]float64, 3000)},
		"all zero": {Resolution: time.Hour, Energy: make([]float64, 24*120)},
	} {
		if f, odd := anomaly.Last(h); odd {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for name, v := range map[string]float64{"missing": math.NaN(), "infinite": math.Inf(1), "negative": -5000} {
		h := office(t, 98, time.Hour)
		for i := len(h.Energy) - 24; i < len(h.Energy)-2; i++ {
			h.Energy[i] = v
		}
		f, odd := anomaly.Last(h)
		if odd && name == "missing" || strings.Contains(f.Reason, "NaN") {
			t.Errorf("a day that is %s: %+v", name, f)
		}
	}
}

// flatForecast returns a forecast of 24 hours, 800 to 1200 Wh.
func flatForecast(h feature.History) forecast.Forecast {
	f := forecast.Forecast{Origin: h.End().Add(-24 * time.Hour), Resolution: time.Hour, Levels: []float64{0.1, 0.5, 0.9}}
	for range 24 {
		f.Values = append(f.Values, 800, 1000, 1200)
	}
	return f
}

func TestBeyondAForecast(t *testing.T) {
	with := func(values map[int]float64) feature.History {
		h := feature.History{Resolution: time.Hour, Energy: make([]float64, 48)}
		for i := range h.Energy {
			h.Energy[i] = 1000
			if v, ok := values[i-24]; ok {
				h.Energy[i] = v
			}
		}
		return h
	}
	for _, c := range []struct {
		name   string
		values map[int]float64
		want   string
	}{
		{"within", nil, ""},
		{"a little outside, in turns", map[int]float64{1: 1300, 2: 700, 3: 1300, 4: 700, 5: 1300}, ""},
		{"one hour", map[int]float64{1: 1900}, ""},
		{"a run", map[int]float64{13: 2000, 14: 3000, 15: 2000, 16: 2600}, "used 2.0 times the most that was forecast, 13:00–17:00: 9.6 kWh where 3.2 kWh to 4.8 kWh were forecast"},
		{"none", map[int]float64{20: 0, 21: 0, 22: 0, 23: 0}, "used nothing, 20:00–00:00, where 3.2 kWh to 4.8 kWh were forecast"},
		{"little", map[int]float64{2: 160, 3: 160, 4: 160}, "used 20 % of the least that was forecast, 02:00–05:00: 480 Wh where 2.4 kWh to 3.6 kWh were forecast"},
		{"missing", map[int]float64{2: math.NaN(), 3: math.NaN()}, ""},
	} {
		h := with(c.values)
		f, odd := anomaly.JudgeForecast(flatForecast(h), h, 4)
		if odd != (c.want != "") || f.Reason != c.want {
			t.Errorf("%s: %q, want %q", c.name, f.Reason, c.want)
		}
	}
	if _, ok := anomaly.Limit(make([]float64, 27)); ok {
		t.Error("27 forecasts set a limit")
	}
	if l, ok := anomaly.Limit(make([]float64, 28)); !ok || l != 4 {
		t.Errorf("quiet forecasts set the limit %g", l)
	}
}

// TestForecastsOfRealMeters judges day-ahead forecasts of the baseline, one in five of the days spoilt.
func TestForecastsOfRealMeters(t *testing.T) {
	count, oneIn := 43, 50
	if testing.Short() {
		count, oneIn = 8, 25 // the first eight are restless ones
	}
	found, put, others, clean := 0, 0, 0, 0
	for i, m := range real.Meters(t, count) {
		rng := rand.New(rand.NewPCG(uint64(i), 9))
		h := m.History.Before(at(t, "2021-12-18"))
		mean := meanOf(h.Since(at(t, "2021-03-01")).Energy)
		var past []float64
		for d := at(t, "2021-09-01"); d < h.End(); d = d.Add(24 * time.Hour) {
			f, err := forecast.MakeBaseline(h.Before(d), m.ID, meter.EnergyImport, d, 24, nil, d)
			if err != nil {
				continue
			}
			limit, ok := anomaly.Limit(past)
			if s, _, _ := anomaly.Beyond(f, h); s == s {
				past = append(past, s)
			}
			if !ok {
				continue
			}
			if rng.IntN(5) == 0 {
				spoilt := h.Before(d.Add(24 * time.Hour))
				spoilt.Energy = append([]float64(nil), spoilt.Energy...)
				first := spoilt.Index(d) + rng.IntN(20)
				for k := range 4 {
					spoilt.Energy[first+k] += 2 * mean
				}
				put++
				if _, odd := anomaly.JudgeForecast(f, spoilt, limit); odd {
					found++
				}
				continue
			}
			clean++
			if _, odd := anomaly.JudgeForecast(f, h, limit); odd {
				others++
			}
		}
	}
	t.Logf("four hours of twice the mean more: %d of %d found; %d other days of %d (%.2f %%)", found, put, others, clean, 100*float64(others)/float64(clean))
	if 2*found < put || oneIn*others > clean {
		t.Errorf("found %d of %d, and %d of %d others", found, put, others, clean)
	}
}
