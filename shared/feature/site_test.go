package feature_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

// everything is a spec with a feature of every kind.
const everything = `fluxora-features 1
lead
step
size
day 1
day 2 -1h
week 1
week 2 1h
days mean 7
days q50 7
days slope 7
weeks q25 4
weeks slope 4
similar mean 5
similar q90 10
similar min 28
shift 4
change 7
drift day 1
drift week 1
drift 24h
stray 24h
window q10 168h
window q50 24h
window slope 168h
level 24h 168h
complete 168h
age 672h
past 1
past 2
past 336
fact area_m2
fact year_built
hour
quarter
clock
weekday
weekend
yearday
season
half-season
holiday
holiday before
holiday after
holiday day 1
holiday day 7
holiday week 1
holidays near 3
bridge
free
kind
vacation
vacation day 1
vacation week 2
temperature
temperature mean 24h
temperature mean 72h
temperature day 1
temperature week 4
radiation
radiation mean 3h
radiation day 2
cold 17
cold 17 24h
warm 22
warm 22 72h
warmer days 7
warmer weeks 4
forecast-age
response 4
`

func parse(t fataler, text string) feature.Spec {
	s, err := feature.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// randomSite returns a site whose weather, with holes, was observed and forecast every few hours around an origin.
func randomSite(origin meter.Millis, seed uint64) *feature.Site {
	rng := rand.New(rand.NewPCG(seed, 2))
	draw := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(rng.IntN(60) - 20)
			if rng.IntN(10) == 0 {
				v[i] = math.NaN()
			}
		}
		return v
	}
	start := origin.Add(-60 * 24 * hour).Floor(hour)
	today := holiday.Date(int64(origin) / 86400_000)
	s := &feature.Site{
		Country:   []string{"NO", "DE-BY", "US", "PT"}[rng.IntN(4)],
		Vacations: []holiday.Range{{From: today - 20, To: today - 3}, {From: today, To: today + 1}},
		Facts:     map[string]float64{"area_m2": 1234},
		Weather: &feature.Weather{
			Perfect:  rng.IntN(4) == 0,
			Observed: feature.WeatherSeries{Start: start, Resolution: hour, Temperature: draw(64 * 24), Radiation: draw(64 * 24)},
		},
	}
	for k := -80; k < 20; k++ {
		issued := origin.Add(time.Duration(k*5) * hour)
		s.Weather.Forecasts = append(s.Weather.Forecasts, feature.WeatherForecast{
			Issued:        issued,
			WeatherSeries: feature.WeatherSeries{Start: issued.Floor(hour), Resolution: hour, Temperature: draw(rng.IntN(60)), Radiation: draw(50)},
		})
	}
	return s
}

// TestNothingOfTheSiteAtOrAfterTheOriginIsSeen changes energy and weather observed from the origin on, and forecasts issued
// after it.
func TestNothingOfTheSiteAtOrAfterTheOriginIsSeen(t *testing.T) {
	spec := parse(t, everything)
	rapid.Check(t, func(t *rapid.T) {
		h, origin, steps := drawCase(t)
		seed := rapid.Uint64().Draw(t, "weather")
		h.Site = randomSite(origin, seed)
		h.Site.Weather.Perfect = false
		want := rowsOf(t, spec, h, origin, steps...)

		changed := h
		changed.Energy = slices.Clone(h.Energy)
		for i := range changed.Energy {
			if h.Start.Add(time.Duration(i)*h.Resolution) >= origin {
				changed.Energy[i] = rapid.SampledFrom([]float64{math.NaN(), 0, 1e9}).Draw(t, "energy")
			}
		}
		changed.Site = randomSite(origin, seed)
		w := changed.Site.Weather
		w.Perfect = false
		for i := range w.Observed.Temperature {
			if w.Observed.Start.Add(time.Duration(i+1)*hour) > origin {
				w.Observed.Temperature[i] = rapid.SampledFrom([]float64{math.NaN(), 40, -40}).Draw(t, "temperature")
				w.Observed.Radiation[i] = 999
			}
		}
		for i, f := range w.Forecasts {
			if f.Issued > origin {
				if rapid.Bool().Draw(t, "withdrawn") {
					w.Forecasts = w.Forecasts[:i]
					break
				}
				for k := range f.Temperature {
					f.Temperature[k] = 55
				}
			}
		}
		if !same(want, rowsOf(t, spec, changed, origin, steps...)) {
			t.Fatal("a row changed with the future")
		}
	})
}

// TestWeatherWithinReachIsEnough gives the agent only the weather of the spec's reach.
func TestWeatherWithinReachIsEnough(t *testing.T) {
	spec := parse(t, everything)
	rapid.Check(t, func(t *rapid.T) {
		h, origin, steps := drawCase(t)
		h.Site = randomSite(origin, rapid.Uint64().Draw(t, "weather"))
		want := rowsOf(t, spec, h, origin, steps...)
		kept, site, weather := h.Since(origin.Add(-spec.Reach())).Before(origin), *h.Site, *h.Site.Weather
		kept.Site, site.Weather = &site, &weather
		weather.Forecasts = slices.Clone(weather.Forecasts)
		weather.Forecasts = slices.DeleteFunc(weather.Forecasts, func(f feature.WeatherForecast) bool {
			return f.Issued > origin || f.Issued < origin.Add(-feature.MaxForecastAge)
		})
		if cut := int(origin.Add(-spec.Reach()).Sub(weather.Observed.Start) / hour); cut > 0 {
			weather.Observed.Start = weather.Observed.Start.Add(time.Duration(cut) * hour)
			weather.Observed.Temperature, weather.Observed.Radiation = weather.Observed.Temperature[cut:], weather.Observed.Radiation[cut:]
		}
		if !same(want, rowsOf(t, spec, kept, origin, steps...)) {
			t.Fatalf("rows differ when only %s of history and weather is kept", spec.Reach())
		}
	})
}

func TestRowsOfASiteAllocateNothing(t *testing.T) {
	spec := parse(t, everything)
	z, origin := zone(t, "Europe/Oslo"), at(t, "2024-03-28T10:00:00Z")
	h := random(origin.Add(-40*24*hour), hour, 40*24, z, 3)
	h.Site = randomSite(origin, 1)
	b := feature.NewBuilder(spec)
	row := make([]float32, spec.Len())
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

// value computes one feature.
func value(t testing.TB, name string, h feature.History, origin meter.Millis, step int) float64 {
	t.Helper()
	spec := parse(t, "fluxora-features 1\n"+name+"\n")
	b := feature.NewBuilder(spec)
	if err := b.Reset(h, origin); err != nil {
		t.Fatal(err)
	}
	row := make([]float32, 1)
	b.Row(step, row)
	if row[0] != row[0] {
		return math.NaN()
	}
	return float64(row[0])
}

func check(t *testing.T, name string, got, want float64) {
	t.Helper()
	if got == got && want == want && math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) || (got == got) != (want == want) {
		t.Errorf("%s: got %g, want %g", name, got, want)
	}
}

func TestDatesOfASite(t *testing.T) {
	range1 := holiday.Range{From: holiday.On(2024, 6, 22), To: holiday.On(2024, 8, 19)}
	oslo := &feature.Site{Country: "NO", Vacations: []holiday.Range{range1}}
	// 17 May 2024, Norway's national day, is a Friday; Ascension Day, 9 May, a Thursday.
	for _, c := range []struct {
		name, target string
		site         *feature.Site
		want         float64
	}{
		{"holiday", "2024-05-17T12:00:00+02:00", oslo, 1},
		{"holiday", "2024-05-17T00:00:00+02:00", oslo, 1}, // still the 16th in UTC
		{"holiday", "2024-05-18T00:00:00+02:00", oslo, 0},
		{"holiday", "2024-05-17T12:00:00+02:00", nil, math.NaN()},
		{"holiday", "2024-05-17T12:00:00+02:00", &feature.Site{}, math.NaN()},
		{"holiday after", "2024-05-16T12:00:00+02:00", oslo, 1},
		{"holiday before", "2024-05-18T12:00:00+02:00", oslo, 1},
		{"holiday before", "2024-05-17T12:00:00+02:00", oslo, 0},
		{"bridge", "2024-05-10T12:00:00+02:00", oslo, 1},
		{"bridge", "2024-05-09T12:00:00+02:00", oslo, 0},
		{"free", "2024-05-09T12:00:00+02:00", oslo, 1},
		{"free", "2024-05-11T12:00:00+02:00", oslo, 1},
		{"free", "2024-05-10T12:00:00+02:00", oslo, 0},
		{"holiday day 1", "2024-05-18T12:00:00+02:00", oslo, 1},
		{"holiday week 1", "2024-05-24T12:00:00+02:00", oslo, 1},
		{"holiday week 1", "2024-05-23T12:00:00+02:00", oslo, 0},
		{"holidays near 3", "2024-05-19T12:00:00+02:00", oslo, 2},
		{"kind", "2024-05-09T12:00:00+02:00", oslo, 2},
		{"kind", "2024-05-09T12:00:00+02:00", nil, 0},
		{"kind", "2024-05-11T12:00:00+02:00", oslo, 1},
		{"kind", "2024-07-01T12:00:00+02:00", oslo, 3},
		{"vacation", "2024-06-22T00:00:00+02:00", oslo, 1},
		{"vacation", "2024-06-21T23:00:00+02:00", oslo, 0},
		{"vacation", "2024-08-19T00:00:00+02:00", oslo, 0},
		{"vacation", "2024-07-01T00:00:00+02:00", &feature.Site{Country: "NO"}, math.NaN()},
		{"vacation", "2024-07-01T00:00:00+02:00", &feature.Site{Vacations: []holiday.Range{}}, 0},
		{"vacation week 1", "2024-06-29T12:00:00+02:00", oslo, 1},
		{"vacation week 1", "2024-06-28T12:00:00+02:00", oslo, 0},
	} {
		origin := at(t, c.target)
		h := feature.History{Start: origin.Add(-hour), Resolution: hour, Energy: []float64{1}, Zone: zone(t, "Europe/Oslo"), Site: c.site}
		check(t, c.name+" of "+c.target, value(t, c.name, h, origin, 1), c.want)
	}
}

func TestWeatherOfASite(t *testing.T) {
	origin := at(t, "2024-06-12T10:00:00Z")
	ramp := func(from float64, n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = from + float64(i)
		}
		return v
	}
	// Observed: 0 °C at the hour that begins 30 days ago, one more each hour; forecasts of 10.5 and 20.5 at the origin.
	w := &feature.Weather{
		Observed: feature.WeatherSeries{Start: origin.Add(-50 * hour), Resolution: hour, Temperature: ramp(-50, 100), Radiation: ramp(0, 100)},
		Forecasts: []feature.WeatherForecast{
			{Issued: origin.Add(-200 * hour), WeatherSeries: feature.WeatherSeries{Start: origin, Resolution: hour, Temperature: ramp(-30, 90)}},
			{Issued: origin.Add(-7 * hour), WeatherSeries: feature.WeatherSeries{Start: origin.Add(-7 * hour), Resolution: hour, Temperature: ramp(13.5, 60)}},
			{Issued: origin.Add(-hour), WeatherSeries: feature.WeatherSeries{Start: origin.Add(-hour), Resolution: hour, Temperature: ramp(9.5, 4)}},
			{Issued: origin + 1, WeatherSeries: feature.WeatherSeries{Start: origin, Resolution: hour, Temperature: ramp(60, 5)}},
		},
	}
	perfect := *w
	perfect.Perfect = true
	h := feature.History{Start: origin.Add(-100 * hour), Resolution: hour, Energy: ramp(0, 100), Site: &feature.Site{Weather: w}}
	p := h
	p.Site = &feature.Site{Weather: &perfect}
	alone := h
	alone.Site = &feature.Site{Weather: &feature.Weather{Observed: w.Observed, Perfect: true}}
	for _, c := range []struct {
		name    string
		h       feature.History
		step    int
		want    float64
		because string
	}{
		{"temperature", h, 1, 10.5, "forecast of an hour ago"},
		{"temperature", h, 3, 12.5, "its last hour"},
		{"temperature", h, 4, 23.5, "the forecast before, which reaches further"},
		{"temperature", h, 54, math.NaN(), "the one before that is too old"},
		{"temperature", p, 4, 23.5, "a forecast goes before the perfect one"},
		{"temperature", alone, 4, 3, "perfect, where there is no forecast"},
		{"temperature", p, 54, math.NaN(), "beyond observations and forecasts"},
		{"temperature mean 2h", h, 1, (10.5 - 1) / 2, "one hour observed, one forecast"},
		{"temperature day 1", h, 1, -24, "observed a day ago"},
		{"temperature day 1", h, 25, -24, "observed two days before the target"},
		{"warmer days 2", h, 1, 10.5 - (-24-48)/2.0, "against yesterday and the day before"},
		{"cold 17", h, 1, 6.5, "below 17 °C"},
		{"cold 5", h, 1, 0, "not below"},
		{"cold 17 2h", h, 1, (6.5 + 18) / 2, ""},
		{"warm 5", h, 1, 5.5, "above 5 °C"},
		{"radiation", h, 1, math.NaN(), "not forecast"},
		{"radiation day 1", h, 1, 26, "observed"},
		{"forecast-age", h, 1, 1, ""},
		{"forecast-age", h, 4, 7, ""},
		{"forecast-age", p, 4, 7, ""},
		{"forecast-age", alone, 4, 0, "perfect"},
	} {
		check(t, c.name+": "+c.because, value(t, c.name, c.h, origin, c.step), c.want)
	}
}

func TestPastIsByTheHour(t *testing.T) {
	origin := at(t, "2024-06-12T10:15:00Z")
	h := feature.History{Start: origin.Add(-3 * hour), Resolution: 15 * time.Minute, Energy: []float64{1, 2, 3, 4, 5, math.NaN(), 7, 6, 9, 9, 9, 13, 99, 99}}
	scale := 68.0 / 11
	for name, want := range map[string]float64{"past 1": 10, "past 2": 6, "past 3": 2.5, "past 4": math.NaN()} {
		check(t, name, value(t, name, h, origin, 5), want/scale)
	}
	h.Energy = h.Energy[:8] // an hour is missing at the end
	check(t, "past 1", value(t, "past 1", h, origin, 1), math.NaN())
}

func TestSimilarDays(t *testing.T) {
	// From Monday 1 April 2024, Easter Monday. Working days use 10, Saturdays 6, Sundays and holidays 2 at every hour.
	start := at(t, "2024-03-31T22:00:00Z")
	z := zone(t, "Europe/Oslo")
	no, err := holiday.Of("NO")
	if err != nil {
		t.Fatal(err)
	}
	h := feature.History{Start: start, Resolution: hour, Energy: make([]float64, 60*24), Zone: z, Site: &feature.Site{Country: "NO"}}
	for i := range h.Energy {
		local := start.Add(time.Duration(i) * hour).Time().In(z)
		d := holiday.On(local.Date())
		h.Energy[i] = 10
		if no.Has(d) || d.Weekday() == 6 {
			h.Energy[i] = 2
		} else if d.Weekday() == 5 {
			h.Energy[i] = 6
		}
	}
	for day := range 30 {
		origin := start.Add(time.Duration(28+day) * 24 * hour)
		for _, step := range []int{1, 13, 30} {
			at := origin.Add(time.Duration(step-1) * hour)
			check(t, "similar max 4 at "+at.Time().In(z).String(), value(t, "similar max 4", h, origin, step), value(t, "similar min 4", h, origin, step))
			scale := value(t, "day 1", h, origin, 1) / h.At(origin.Add(-24*hour))
			check(t, "similar mean 4", value(t, "similar mean 4", h, origin, step)/scale, h.At(at))
		}
	}
}

func TestQuantilesAndSlopes(t *testing.T) {
	origin := at(t, "2024-06-12T10:00:00Z")
	h := feature.History{Start: origin.Add(-48 * hour), Resolution: hour, Energy: make([]float64, 48)}
	for i := range h.Energy {
		h.Energy[i] = float64(100 + 2*i)
	}
	h.Energy[20] = math.NaN()
	scale := (47*48/2*2.0 + 4800 - 140) / 47
	check(t, "q50", value(t, "window q50 24h", h, origin, 1), (100+71)/scale)
	check(t, "q25", value(t, "window q25 24h", h, origin, 1), (100+2*(24+0.25*23))/scale)
	check(t, "slope a day", value(t, "window slope 48h", h, origin, 1), 48/scale)
	check(t, "days slope", value(t, "days slope 2", h, origin, 1), 48/scale)
	check(t, "slope of one value", value(t, "window slope 1h", h, origin, 1), math.NaN())
}

func TestSiteCheckNamesWhatIsWrong(t *testing.T) {
	day := holiday.On(2024, 1, 1)
	for _, c := range []struct {
		site *feature.Site
		want string
	}{
		{nil, ""},
		{&feature.Site{}, ""},
		{&feature.Site{Country: "UK"}, `country "UK"`},
		{&feature.Site{Country: "DE-XX"}, "DE-BY"},
		{&feature.Site{Vacations: []holiday.Range{{From: day, To: day}}}, "vacation 1"},
		{&feature.Site{Vacations: []holiday.Range{{From: day, To: day + 9}, {From: day + 5, To: day + 12}}}, "vacation 2"},
		{&feature.Site{Facts: map[string]float64{"Area": 1}}, `"Area"`},
		{&feature.Site{Facts: map[string]float64{"area": math.Inf(1)}}, "fact area"},
		{&feature.Site{Weather: &feature.Weather{Observed: feature.WeatherSeries{Temperature: []float64{1}}}}, "resolution 0s"},
		{&feature.Site{Weather: &feature.Weather{Observed: feature.WeatherSeries{Resolution: hour, Temperature: []float64{math.Inf(1)}}}}, "+Inf °C"},
		{&feature.Site{Weather: &feature.Weather{Observed: feature.WeatherSeries{Start: 1, Resolution: hour, Temperature: []float64{1}}}}, "start 1970"},
		{&feature.Site{Weather: &feature.Weather{Forecasts: []feature.WeatherForecast{{Issued: 2}, {Issued: 1}}}}, "in order"},
	} {
		err := c.site.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want an error with %q", c.site, err, c.want)
		}
	}
	h := feature.History{Resolution: hour, Site: &feature.Site{Country: "XX"}}
	if err := feature.NewBuilder(feature.Default()).Reset(h, 0); err == nil || !strings.Contains(err.Error(), "XX") {
		t.Errorf("a builder took an unknown country: %v", err)
	}
}

// TestResponse has a point that uses 50 Wh more for every degree of cold, and nothing else.
func TestResponse(t *testing.T) {
	origin := at(t, "2024-02-12T10:00:00Z")
	const hours = 60 * 24
	w := &feature.Weather{Perfect: true, Observed: feature.WeatherSeries{Start: origin.Add(-hours * hour), Resolution: hour, Temperature: make([]float64, hours+48)}}
	h := feature.History{Start: w.Observed.Start, Resolution: hour, Energy: make([]float64, hours), Site: &feature.Site{Weather: w}}
	for i := range w.Observed.Temperature {
		w.Observed.Temperature[i] = float64(i / 24 * 7 % 31) // another each day
		if i < hours {
			h.Energy[i] = 3000 - 50*w.Observed.Temperature[i]
		}
	}
	mean := 0.0
	for _, k := range []int{7, 14, 21, 28} {
		mean += w.Observed.Temperature[hours-24*k+5] / 4
	}
	scale := value(t, "day 1", h, origin, 1)
	scale = h.At(origin.Add(-24*hour)) / scale
	got := value(t, "response 4", h, origin, 6) * scale
	if want := -50 * (w.Observed.Temperature[hours+5] - mean); math.Abs(got-want) > 0.02*math.Abs(want) {
		t.Errorf("response %g Wh, want about %g", got, want)
	}
	h.Site = nil
	check(t, "response without weather", value(t, "response 4", h, origin, 6), math.NaN())
}

// TestShiftOfAHoliday asks on Easter Monday how far Sundays lie below Mondays.
func TestShiftOfAHoliday(t *testing.T) {
	z := zone(t, "Europe/Oslo")
	start := meter.MillisOf(time.Date(2024, 2, 5, 0, 0, 0, 0, z)) // a Monday
	h := feature.History{Start: start, Resolution: hour, Energy: make([]float64, 8*7*24), Zone: z, Site: &feature.Site{Country: "NO"}}
	for i := range h.Energy {
		if h.Energy[i] = 10; i/24%7 == 6 {
			h.Energy[i] = 4
		}
	}
	origin := meter.MillisOf(time.Date(2024, 3, 31, 23, 0, 0, 0, z)) // an hour before
	sunday, monday := value(t, "similar mean 1", h, origin, 2), value(t, "weeks mean 4", h, origin, 2)
	if sunday*2 > monday {
		t.Fatalf("Sundays %g, Mondays %g", sunday, monday)
	}
	h.Energy = h.Energy[:len(h.Energy)-3*24] // Maundy Thursday and Good Friday used what working days do
	check(t, "shift of a Tuesday", value(t, "shift 2", h, origin, 30), 0)
	if v := value(t, "shift 2", h, origin, 2); v > -0.3 {
		t.Errorf("shift of Easter Monday: %g, want it below", v)
	}
	h.Site = nil
	check(t, "shift of Easter Monday, not known to be one", value(t, "shift 2", h, origin, 2), 0)
}

func TestEveryFeatureIsDescribed(t *testing.T) {
	spec := parse(t, everything)
	seen := map[string]string{}
	for i, d := range spec.Describe() {
		if d.Name != spec.Names()[i] || d.Meaning == "" || d.Unit == "" || strings.Contains(d.Meaning, "%!") || d.Reach < 0 {
			t.Errorf("%+v", d)
		}
		if other := seen[d.Meaning]; other != "" {
			t.Errorf("%q and %q are described alike: %s", other, d.Name, d.Meaning)
		}
		seen[d.Meaning] = d.Name
	}
}
