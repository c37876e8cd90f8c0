package watch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"
	_ "time/tzdata"

	"fluxora.dev/hub/internal/recording"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/watch"
)

// year is what a year of examinations came to.
type year struct {
	points   int
	errors   int               // alarms from errors of a point
	features [len(Watched)]int // from features
	fleet    int               // from the errors of all points together
	retrain  int               // times that drift would have called for a training
	when     []string
}

// examinedYear replays the examinations of a year as the hub makes them, one every so many days from an instant on: the same weeks, the same
// reference that moves along, the same rule of when a training is called for. An alarm that comes again within a month is the same one.
func examinedYear(d train.Dataset, from meter.Millis, every int) (y year) {
	y.points = len(d.Points)
	const long = usualMost + watch.Span
	quiet := map[string]meter.Millis{} // until when an alarm would be the same one
	rings := func(name string, at meter.Millis) bool {
		fresh := at > quiet[name]
		quiet[name] = at.Add(28 * day)
		return fresh
	}
	cache := make([]map[meter.Millis][1 + len(Watched)]watch.Sketch, len(d.Points))
	builders := make([]*feature.Builder, len(d.Points))
	for i := range cache {
		cache[i], builders[i] = map[meter.Millis][1 + len(Watched)]watch.Sketch{}, feature.NewBuilder(rule)
	}
	for at := from; at < from.Add(364*day); at = at.Add(time.Duration(every) * day) {
		r := Report{To: at, Points: make([]Point, len(d.Points))}
		all := make([]watch.Sketch, long)
		for i, p := range d.Points {
			var weeks [1 + len(Watched)][]watch.Sketch
			for w := range long {
				begin := watch.DayOf(at).Add(time.Duration(w-long) * week)
				seen, known := cache[i][begin]
				if !known {
					seen = sketchWeek(builders[i], p.History, begin)
					cache[i][begin] = seen
				}
				for k := range weeks {
					weeks[k] = append(weeks[k], seen[k])
				}
				all[w].Merge(seen[0])
			}
			r.Points[i].Residuals = judge(watch.MeasureKS, "errors", weeks[0])
			if r.Points[i].Residuals.Drifted && rings(p.ID, at) {
				y.errors++
				y.when = append(y.when, fmt.Sprintf("%s %.10s %s", p.ID, at, r.Points[i].Residuals.Reason))
			}
			for k, name := range Watched {
				if judge(watch.MeasurePSI, name, weeks[1+k]).Drifted && rings(p.ID+name, at) {
					y.features[k]++
				}
			}
		}
		if r.Drifted = judge(watch.MeasureKS, "errors of all points", all); r.Drifted.Drifted && rings("", at) {
			y.fleet++
		}
		if why, yes := r.Retrain(); yes && rings("retrain", at) {
			y.retrain++
			y.when = append(y.when, fmt.Sprintf("training %.10s %s", at, why))
		}
	}
	return y
}

func (y year) String() string {
	return fmt.Sprintf("%d points watched for a year: %d alarms from errors, %v from %v, %d of all points together, %d trainings called for",
		y.points, y.errors, y.features, Watched, y.fleet, y.retrain)
}

// TestFalseAlarmsInAYear holds what is shipped to a bound: at most one alarm from errors, and one from each feature, of a point in four
// years (the closures of a real year included), and at most one training that is called for by drift, a real year having one cause.
// FLUXORA_LONG=1 examines every day, as a hub does.
func TestFalseAlarmsInAYear(t *testing.T) {
	meters, every := 43, 7
	if testing.Short() {
		meters = 8
	}
	if os.Getenv("FLUXORA_LONG") != "" {
		every = 1
	}
	check := func(t *testing.T, y year, trainings int) {
		t.Helper()
		t.Log(y)
		for _, w := range y.when {
			t.Log(w)
		}
		if 4*y.errors > y.points {
			t.Errorf("%d alarms from errors of %d points in a year: they cry wolf", y.errors, y.points)
		}
		for k, n := range y.features {
			if 4*n > y.points {
				t.Errorf("%d alarms from %s of %d points in a year: they cry wolf", n, Watched[k], y.points)
			}
		}
		if y.fleet > trainings || y.retrain > trainings {
			t.Errorf("%d alarms of all points together, %d trainings called for: want at most %d", y.fleet, y.retrain, trainings)
		}
	}
	t.Run("synthetic", func(t *testing.T) { check(t, examinedYear(seasons(16), firstMonday(2023), 7), 0) })
	t.Run("real", func(t *testing.T) {
		const path = "../../../../shared/data/readings.csv.gz"
		if _, err := os.Stat(path); err != nil {
			t.Logf("no real meters beside the repository: the synthetic year stands alone")
			return
		}
		zone, err := time.LoadLocation("Europe/Oslo")
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := recording.Read(recording.Files{Readings: path, Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		d.Points = d.Points[:min(meters, len(d.Points))]
		check(t, examinedYear(d, firstMonday(2020).Add(56*day), every), 1)
	})
}

func firstMonday(year int) meter.Millis {
	return meter.MillisOf(time.Date(year, 1, 6, 0, 0, 0, 0, time.UTC))
}

// seasons returns three years of points that change as buildings do: with the weather, which lasts, the week, summer and Christmas.
func seasons(points int) (d train.Dataset) {
	begin := firstMonday(2021)
	weather := rand.New(rand.NewPCG(1, 2))
	temp := make([]float64, 3*364*24)
	level := 0.0
	for i := range temp {
		level = 0.995*level + 0.4*weather.NormFloat64()
		temp[i] = 7 - 11*math.Cos(2*math.Pi*float64(i-20*24)/8766) + level + 2*math.Sin(2*math.Pi*float64(i%24-9)/24)
	}
	for p := range points {
		rng := rand.New(rand.NewPCG(uint64(p), 7))
		h := feature.History{Start: begin, Resolution: time.Hour, Energy: make([]float64, len(temp))}
		heat, opens := 40+160*rng.Float64(), 6+rng.IntN(3)
		kept := 0.0
		for i := range h.Energy {
			at, hour := i/24%364, i%24
			use := 800.0
			holiday := at > 180 && at < 215 || at > 352
			if i/24%7 < 5 && hour >= opens && hour < opens+10 && !holiday {
				use = 3000
			}
			kept = 0.9*kept + 0.06*rng.NormFloat64()
			h.Energy[i] = math.Max(0, math.Round((use+heat*math.Max(0, 16-temp[i]))*(1+kept)))
		}
		d.Points = append(d.Points, train.Point{ID: fmt.Sprint("p", p), Register: meter.EnergyImport, History: h})
	}
	return d
}
