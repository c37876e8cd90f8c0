package watch_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/internal/real"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

const week = 7 * 24 * time.Hour

// residuals returns the errors of the mean of the same hour in the last weeks, moved by how far the last day was from such
// means, by week from an instant on.
func residuals(t testing.TB, h feature.History, from meter.Millis, weeks int) []watch.Sketch {
	t.Helper()
	spec, err := feature.ParseSpec("fluxora-features 1\nweeks mean 4\ndrift 24h\n")
	if err != nil {
		t.Fatal(err)
	}
	b := feature.NewBuilder(spec)
	out := make([]watch.Sketch, weeks)
	row := make([]float32, 2)
	for w := range out {
		for d := range 7 {
			origin := from.Add(time.Duration(w)*week + time.Duration(d)*24*time.Hour)
			if err := b.Reset(h, origin); err != nil {
				t.Fatal(err)
			}
			for step := 1; step <= 24; step++ {
				b.Row(step, row)
				out[w].Add(watch.Residual(b.Target(step), float64(row[0]+0.7*row[1]), 1))
			}
		}
	}
	return out
}

// features returns what a spec's features were at the origins of each week.
func features(t testing.TB, h feature.History, names []string, from meter.Millis, weeks int) [][]watch.Sketch {
	t.Helper()
	text := "fluxora-features 1\n"
	for _, n := range names {
		text += n + "\n"
	}
	spec, err := feature.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	b := feature.NewBuilder(spec)
	out := make([][]watch.Sketch, len(names))
	for i := range out {
		out[i] = make([]watch.Sketch, weeks)
	}
	row := make([]float32, len(names))
	for w := range weeks {
		for o := range 42 { // every four hours
			if err := b.Reset(h, from.Add(time.Duration(w)*week+time.Duration(o)*4*time.Hour)); err != nil {
				t.Fatal(err)
			}
			b.Row(1, row)
			for i, v := range row {
				out[i][w].Add(float64(v))
			}
		}
	}
	return out
}

func at(t testing.TB, day string) meter.Millis {
	t.Helper()
	d, err := time.Parse("2006-01-02", day)
	if err != nil {
		t.Fatal(err)
	}
	return meter.MillisOf(d)
}

// alarms returns the weeks at the end of which an alarm begins, from one on.
func alarms(r watch.Reference, name string, weeks []watch.Sketch, from int) (out []int) {
	on := false
	for end := from + watch.Span; end <= len(weeks); end++ {
		was := on
		if on = r.Judge(name, weeks[:end]).Drifted; on && !was {
			out = append(out, end)
		}
	}
	return out
}

func episodes(r watch.Reference, name string, weeks []watch.Sketch, from int) int {
	return len(alarms(r, name, weeks, from))
}

// spoilt returns a history that is no longer what it was from an instant on.
func spoilt(h feature.History, from meter.Millis, spoil func(i int, was []float64) float64) feature.History {
	was := h.Energy
	h.Energy = append([]float64(nil), was...)
	for i := max(0, h.Index(from)); i < len(h.Energy); i++ {
		h.Energy[i] = spoil(i, was)
	}
	return h
}

// TestFalseAlarmsOnRealMeters watches real buildings for a year after a year that is taken for usual. The watched time holds
// the closures of spring 2020, so some alarms are true.
func TestFalseAlarmsOnRealMeters(t *testing.T) {
	count := 43
	if testing.Short() {
		count = 8
	}
	meters := real.Meters(t, count)
	names := []string{"window mean 24h", "window std 168h", "drift 168h", "day 1"}
	from := at(t, "2019-02-04")
	const usual, then = 52, 52
	residual, closed, shifts, points := 0, 0, make([]int, len(names)), 0
	noisy, irregular := 0, 0
	fleet := make([]watch.Sketch, usual+then)
	for i, m := range meters {
		weeks := residuals(t, m.History, from, usual+then)
		for w := range fleet {
			fleet[w].Merge(weeks[w])
		}
		ref, ok := watch.NewReference(watch.MeasureKS, weeks[:usual])
		if !ok {
			continue
		}
		points++
		for _, w := range alarms(ref, "residuals", weeks, usual) {
			residual++
			if end := from.Add(time.Duration(w) * week); end > at(t, "2020-03-12") && end < at(t, "2020-07-31") {
				closed++
			}
		}
		fs := features(t, m.History, names, from, usual+then)
		for k, name := range names {
			if ref, ok := watch.NewReference(watch.MeasurePSI, fs[k][:usual]); ok {
				shifts[k] += episodes(ref, name, fs[k], usual)
			}
		}
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		change := from.Add((usual + 3) * week)
		wild := spoilt(m.History, change, func(i int, was []float64) float64 { return was[i] * 2 * rng.Float64() })
		if episodes(ref, "residuals", residuals(t, wild, from, usual+12), usual) > 0 {
			noisy++
		}
		late := 0
		odd := spoilt(m.History, change, func(i int, was []float64) float64 {
			if i%24 == 0 {
				late = rng.IntN(13) - 6
			}
			return was[min(len(was)-1, i+late)]
		})
		if episodes(ref, "residuals", residuals(t, odd, from, usual+12), usual) > 0 {
			irregular++
		}
	}
	t.Logf("%d points watched for a year: %d alarms from residuals, %d of them in the closures of spring 2020; %v from %v", points, residual, closed, shifts, names)
	t.Logf("in nine weeks, found of %d: %d that became twice as noisy, %d whose days begin up to six hours early or late", points, noisy, irregular)
	if 3*residual > points || 8*(residual-closed) > points {
		t.Errorf("%d alarms from residuals of %d points in a year, %d of them true: want at most one a point in eight years that is not", residual, points, closed)
	}
	if 3*noisy < points {
		t.Errorf("of %d points that became twice as noisy %d were found", points, noisy)
	}
	ref, _ := watch.NewReference(watch.MeasureKS, fleet[:usual])
	n := episodes(ref, "residuals", fleet, usual)
	t.Logf("all points together: %d alarms", n)
}
