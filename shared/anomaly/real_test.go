package anomaly_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/shared/anomaly"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/internal/real"
	"fluxora.dev/shared/meter"
)

// kinds of anomaly put into real days: what becomes of the use by hour, given the mean of the point.
var injected = []struct {
	name  string
	spoil func(use []float64, mean float64, rng *rand.Rand)
}{
	{"left on at night", func(use []float64, mean float64, _ *rand.Rand) {
		for h := range 5 {
			use[h] += mean
		}
	}},
	{"off for half a day", func(use []float64, _ float64, _ *rand.Rand) {
		for h := 8; h < 20; h++ {
			use[h] = 0
		}
	}},
	{"twice as much all day", func(use []float64, _ float64, _ *rand.Rand) {
		for h := range use {
			use[h] *= 2
		}
	}},
	{"the same value all day", func(use []float64, _ float64, _ *rand.Rand) {
		for h := range use {
			use[h] = use[0]
		}
	}},
	{"three hours of five times the mean", func(use []float64, mean float64, rng *rand.Rand) {
		at := rng.IntN(20)
		for h := at; h < at+3; h++ {
			use[h] += 5 * mean
		}
	}},
	{"day and night exchanged", func(use []float64, _ float64, _ *rand.Rand) {
		for h := range 12 {
			use[h], use[h+12] = use[h+12], use[h]
		}
	}},
}

// TestPrecisionAndRecallOnRealMeters spoils one day in five of real meters, each before an untouched past, and counts what is
// found of them and how much else. Some of what else is found is truly odd: these are real buildings.
func TestPrecisionAndRecallOnRealMeters(t *testing.T) {
	count := 20
	if testing.Short() {
		count = 2
	}
	found, put := make([]int, len(injected)), make([]int, len(injected))
	others, clean := 0, 0
	for i, m := range real.Meters(t, count) {
		rng := rand.New(rand.NewPCG(uint64(i), 7))
		h := m.History
		h.Site = &feature.Site{Country: "NO"}
		h = h.Before(at(t, "2021-12-18")).Since(at(t, "2021-03-01"))
		days := anomaly.Days(h)
		mean := meanOf(h.Energy)
		first := len(days) - 40
		kind := make([]int, len(days))
		for d := range days {
			kind[d] = -1
			if d >= first && rng.IntN(5) == 0 {
				kind[d] = rng.IntN(len(injected))
			}
		}
		for d := first; d < len(days); d++ {
			judged := append([]anomaly.Day(nil), days[:d+1]...)
			if k := kind[d]; k >= 0 {
				injected[k].spoil(judged[d].Use[:], mean, rng)
			}
			f, odd := anomaly.Judge(judged)
			switch k := kind[d]; {
			case k >= 0:
				put[k]++
				if odd {
					found[k]++
				}
			default:
				clean++
				if odd {
					others++
					if i < 4 {
						t.Logf("%s %s: %.2f %s", m.ID, judged[d].Date, f.Score, f.Reason)
					}
				}
			}
		}
	}
	hits, all := 0, 0
	for k, in := range injected {
		hits, all = hits+found[k], all+put[k]
		t.Logf("%s: %d of %d", in.name, found[k], put[k])
	}
	precision, recall := float64(hits)/float64(hits+others), float64(hits)/float64(all)
	t.Logf("recall %.2f, precision %.2f; %d other days of %d (%.2f %%)", recall, precision, others, clean, 100*float64(others)/float64(clean))
	if recall < 0.5 || float64(others) > 0.02*float64(clean) {
		t.Errorf("recall %.2f, precision %.2f", recall, precision)
	}
}

func meanOf(values []float64) float64 {
	sum, n := 0.0, 0.0
	for _, v := range values {
		if v == v {
			sum, n = sum+v, n+1
		}
	}
	return sum / math.Max(1, n)
}

func at(t testing.TB, day string) meter.Millis {
	t.Helper()
	d, err := time.Parse("2006-01-02", day)
	if err != nil {
		t.Fatal(err)
	}
	return meter.MillisOf(d)
}
