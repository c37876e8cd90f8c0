package forecast_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	_ "time/tzdata"

	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/holiday"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// goldenBits is the digest of every value forecastBits computes. It changes only when forecasts are meant to change.
const goldenBits = "6fb0274e721e33c840f55534a93af7b16f9e73f0cf45c89c0a506fcff7338fb8"

// building returns a history that looks like a building's, made of integers alone so that it is the same everywhere.
func building(start meter.Millis, resolution time.Duration, days int, zone *time.Location, seed uint64) feature.History {
	rng := rand.New(rand.NewPCG(seed, 5))
	n := days * int(24*time.Hour/resolution)
	h := feature.History{Start: start, Resolution: resolution, Energy: make([]float64, n), Zone: zone}
	for i := range h.Energy {
		local := start.Add(time.Duration(i) * resolution).Time()
		if zone != nil {
			local = local.In(zone)
		}
		level := 2000
		if local.Hour() >= 7 && local.Hour() < 18 {
			level += 3000
			if w := local.Weekday(); w == time.Saturday || w == time.Sunday {
				level -= 2500
			}
		}
		h.Energy[i] = float64(level + rng.IntN(900))
	}
	return h
}

// town returns what surrounds that building: Norway's holidays, a vacation, weather observed and forecast, made of integers.
func town(start meter.Millis, days int) *feature.Site {
	rng := rand.New(rand.NewPCG(7, 5))
	draw := func(n int) (temperature, radiation []float64) {
		for range n {
			temperature = append(temperature, float64(rng.IntN(300)-100)/10)
			radiation = append(radiation, float64(rng.IntN(900)))
		}
		return temperature, radiation
	}
	w := &feature.Weather{Observed: feature.WeatherSeries{Start: start, Resolution: time.Hour}}
	w.Observed.Temperature, w.Observed.Radiation = draw(24 * days)
	for i := 0; i < 24*days; i += 30 {
		f := feature.WeatherForecast{Issued: start.Add(time.Duration(i) * time.Hour)}
		f.Start, f.Resolution = f.Issued, time.Hour
		f.Temperature, f.Radiation = draw(60)
		w.Forecasts = append(w.Forecasts, f)
	}
	return &feature.Site{Country: "NO", Vacations: []holiday.Range{{From: holiday.On(2024, 3, 25), To: holiday.On(2024, 4, 2)}}, Weather: w}
}

// trees returns an artifact of random trees.
func trees(t testing.TB, resolution time.Duration) *model.Artifact {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	spec := feature.Default()
	ensemble := func(n int, base float64) model.Ensemble {
		e := model.Ensemble{Base: base}
		for range n {
			tree := model.Tree{{Feature: model.Leaf}}
			for i := 0; i < len(tree) && len(tree) < 31; i++ {
				tree[i] = model.Node{Feature: uint16(rng.IntN(spec.Len())), Left: uint16(len(tree)), Value: rng.Float32() * 2}
				tree = append(tree, model.Node{Feature: model.Leaf, Value: rng.Float32()/8 - 1./16}, model.Node{Feature: model.Leaf, Value: rng.Float32()/8 - 1./16})
			}
			e.Trees = append(e.Trees, tree)
		}
		return e
	}
	bands := model.Bands{Lead: spec.Column("lead"), Edges: []float32{24}, Levels: []float64{0.1, 0.5, 0.9}, Z: []float64{-1.1, 0.07, 1.3, -1.7, 0.13, 1.9}}
	column := spec.Column
	centre := model.Anchor{Base: []int{column("weeks mean 4"), column("days mean 7")}, Terms: []int{column("drift day 1"), column("drift 24h"), column("drift 168h")}, Weights: []float64{0.31, 0.17, 0.43, 0.23, 0.19, 0.37}}
	spread := model.Anchor{Base: []int{column("stray 168h")}, Terms: []int{column("stray 24h"), column("days std 7")}, Weights: []float64{0.3, 0.1, 0.7, -0.2}}
	m, err := model.NewGBDT(spec.Len(), bands, centre, ensemble(30, 0.03), spread, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	return &model.Artifact{ID: "golden", Family: model.FamilyGBDT, Spec: spec, Levels: bands.Levels, Resolution: resolution, Horizon: 48 * time.Hour, Model: m}
}

// forecastBits returns a digest over rows and forecasts of every kind, at several resolutions, over a change of clocks.
func forecastBits(t testing.TB) string {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, resolution := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour} {
		h := building(1_709_000_000_000-1_709_000_000_000%3_600_000, resolution, 70, zone, 3)
		h.Site = town(h.Start, 73)
		for i := 40; i < len(h.Energy); i += 97 {
			h.Energy[i] = math.NaN()
		}
		art := trees(t, resolution)
		horizon := int(48 * time.Hour / resolution)
		for d := 33; d < 70; d += 4 {
			origin := h.Start.Add(time.Duration(d) * 25 * time.Hour).Floor(resolution)
			b := feature.NewBuilder(art.Spec)
			if err := b.Reset(h, origin); err != nil {
				t.Fatal(err)
			}
			row := make([]float32, art.Spec.Len())
			for s := 1; s <= horizon; s += 5 {
				b.Row(s, row)
				for _, v := range row {
					_ = binary.Write(sum, binary.LittleEndian, math.Float32bits(v))
				}
			}
			m, err := forecast.Make(h, "p", meter.EnergyImport, origin, horizon, art, forecast.Active, []float64{0.1, 0.25, 0.5, 0.9}, 0)
			if err != nil {
				t.Fatal(err)
			}
			all := []forecast.Forecast{m}
			for _, mk := range []func(feature.History, string, meter.Register, meter.Millis, int, []float64, meter.Millis) (forecast.Forecast, error){forecast.MakeBaseline, forecast.MakeNaive, forecast.MakeProfile} {
				f, err := mk(h, "p", meter.EnergyImport, origin, horizon, nil, 0)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, f)
			}
			for _, f := range all {
				for _, v := range f.Values {
					_ = binary.Write(sum, binary.LittleEndian, math.Float64bits(v))
				}
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func TestGoldenBits(t *testing.T) {
	if got := forecastBits(t); got != goldenBits {
		t.Errorf("forecasts on %s have digest %s, want %s: other bits than on other machines, or than before", runtime.GOARCH, got, goldenBits)
	}
}
