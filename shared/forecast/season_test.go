package forecast_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
)

// office uses 5 kWh from eight to sixteen on working days, and 1 kWh else.
func office(from time.Time, days int, zone *time.Location, site *feature.Site) feature.History {
	free, _ := holiday.Of("NO")
	h := feature.History{Start: meter.MillisOf(from), Resolution: time.Hour, Energy: make([]float64, 24*days), Zone: zone, Site: site}
	for i := range h.Energy {
		at := from.Add(time.Duration(i) * time.Hour).In(zone)
		h.Energy[i] = 1000
		if at.Hour() >= 8 && at.Hour() < 16 && !free.Free(holiday.On(at.Date())) {
			h.Energy[i] = 5000
		}
	}
	return h
}

func TestSimilarDaysKnowTheKindOfDay(t *testing.T) {
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	known := &feature.Site{Country: "NO"}
	for _, c := range []struct {
		name string
		day  time.Time // forecast from its midnight
		site *feature.Site
		wrong,
		naiveWrong int // hours of 24
	}{
		{"Monday", time.Date(2024, 5, 27, 0, 0, 0, 0, oslo), known, 0, 8},
		{"Wednesday", time.Date(2024, 5, 29, 0, 0, 0, 0, oslo), known, 0, 0},
		{"Saturday", time.Date(2024, 5, 25, 0, 0, 0, 0, oslo), known, 0, 8},
		{"Constitution Day, a Friday", time.Date(2024, 5, 17, 0, 0, 0, 0, oslo), known, 0, 8},
		{"the same, not known to be one", time.Date(2024, 5, 17, 0, 0, 0, 0, oslo), nil, 8, 8},
	} {
		h := office(time.Date(2024, 3, 1, 0, 0, 0, 0, oslo), 100, oslo, c.site)
		origin := meter.MillisOf(c.day)
		for rule, want := range map[string]int{"similar": c.wrong, "day": c.naiveWrong} {
			f, err := makers()[rule](h.Before(origin), "p", meter.EnergyImport, origin, 24, []float64{0.5}, 0)
			if err != nil {
				t.Fatal(err)
			}
			wrong := 0
			for s := 1; s <= 24; s++ {
				if math.Abs(f.At(s, 0)-h.At(f.Start(s))) > 1500 {
					wrong++
				}
			}
			if wrong != want {
				t.Errorf("%s, %s: %d hours wrong, want %d", c.name, rule, wrong, want)
			}
		}
	}
}

// TestYesterdaySaysLessOfTheDayAfterTomorrow wanders at random: the error of a day naive forecast grows by the day.
func TestYesterdaySaysLessOfTheDayAfterTomorrow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	h := feature.History{Start: start, Resolution: time.Hour, Energy: make([]float64, 60*24)}
	level := 50_000.0
	for i := range h.Energy {
		level += 500 * rng.NormFloat64()
		h.Energy[i] = level
	}
	f, err := forecast.MakeDayNaive(h, "p", meter.EnergyImport, h.End(), 48, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	first, second := 0.0, 0.0
	for s := 1; s <= 24; s++ {
		first, second = first+f.At(s, 2)-f.At(s, 0), second+f.At(s+24, 2)-f.At(s+24, 0)
	}
	if second < 1.2*first || second > 2.5*first {
		t.Errorf("the band of the second day is %.2f times as wide as that of the first", second/first)
	}
}
