package backtest_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"io"
	"math"
	"os"
	"sort"
	"strconv"
	"testing"
	"time"
	_ "time/tzdata"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// realMeters reads so many real meters from beside the repository, or skips.
func realMeters(t testing.TB, meters int) train.Dataset {
	t.Helper()
	const path = "../../../../shared/data/readings.csv.gz"
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("no real meters beside the repository: %v", err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(gz)
	r.ReuseRecord = true
	type span struct {
		from meter.Millis
		wh   []float64
	}
	spans := map[string]*span{}
	for line := 0; ; line++ {
		rec, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if line == 0 {
			continue
		}
		at, err := time.Parse(time.RFC3339, rec[1])
		if err != nil {
			t.Fatal(err)
		}
		s := spans[rec[0]]
		if s == nil {
			if len(spans) == meters {
				break
			}
			s = &span{from: meter.MillisOf(at)}
			spans[string([]byte(rec[0]))] = s
		}
		i := int(meter.MillisOf(at).Sub(s.from) / time.Hour)
		for len(s.wh) <= i {
			s.wh = append(s.wh, math.NaN())
		}
		if v, err := strconv.ParseFloat(rec[2], 64); err == nil {
			s.wh[i] = v * 1000
		}
	}
	var d train.Dataset
	for id, s := range spans {
		h := feature.History{Start: s.from, Resolution: time.Hour, Energy: s.wh, Zone: zone}
		for len(h.Energy) > 0 && math.IsNaN(h.Energy[len(h.Energy)-1]) {
			h.Energy = h.Energy[:len(h.Energy)-1]
		}
		d.Points = append(d.Points, train.Point{ID: id, Register: meter.EnergyImport, History: h})
	}
	sort.Slice(d.Points, func(i, j int) bool { return d.Points[i].ID < d.Points[j].ID })
	return d
}

// TestModelEarnsItsPlaceOnRealMeters fits twelve meters on four months that end in different seasons, the demo's November
// among them (alone, on few rows, in short runs), and judges each model on the fortnight after.
func TestModelEarnsItsPlaceOnRealMeters(t *testing.T) {
	ends := []string{"2021-11-22", "2021-09-27", "2021-06-07", "2021-02-15", "2020-10-26", "2020-04-13"}
	most := 4 // Easter falls in the last, and the baseline of similar days sees no change there
	var p train.Params
	if testing.Short() {
		ends, most, p.MaxRows, p.Trees = ends[:1], 0, 15_000, gbdt.Defaults() // too little to win with
		p.Trees.Trees, p.Trees.Leaves = 30, 8
		p.Boosted = p.Trees
		p.Trees = gbdt.Defaults()
		p.Trees.Trees = 60
	}
	all := realMeters(t, 12)
	levels := forecast.DefaultLevels()
	won, coverage, candidates, baselines := 0, 0.0, 0.0, 0.0
	t.Log("until       MASE  baseline  npinball %  baseline  covers %  bias %")
	for _, end := range ends {
		at, err := time.Parse("2006-01-02", end)
		if err != nil {
			t.Fatal(err)
		}
		to := meter.MillisOf(at)
		from := to.Add(-14 * 24 * time.Hour)
		d := all.Before(to)
		for i := range d.Points {
			d.Points[i].History = d.Points[i].History.Since(to.Add(-120 * 24 * time.Hour))
		}
		art, _, err := train.Fit(context.Background(), d.Before(from), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		contenders := append([]backtest.Contender{backtest.Artifact(backtest.Candidate, art, levels)}, backtest.Baselines(levels)...)
		r, err := backtest.Run(context.Background(), d, contenders, backtest.Options{From: from, Stride: 25 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		c, _ := r.Of(backtest.Candidate)
		b := r.BestBaseline()
		better, reason := backtest.Better(c, nil, b)
		if better {
			won++
		}
		coverage += c.Coverage / float64(len(ends))
		candidates, baselines = candidates+c.MASE, baselines+b.MASE
		t.Logf("%s %5.3f  %8.3f  %10.2f  %8.2f  %8.1f  %+6.1f  %v: %s", end, c.MASE, b.MASE, 100*c.NPinball, 100*b.NPinball, 100*c.Coverage, 100*c.Bias, better, reason)
	}
	if won < most {
		t.Errorf("the model earns its place in %d of %d windows, want %d", won, len(ends), most)
	}
	if candidates > 1.2*baselines {
		t.Errorf("MASE is %.2f of the best baseline's", candidates/baselines)
	}
	if len(ends) > 1 && (candidates > 0.96*baselines || coverage < 0.74 || coverage > 0.86) {
		t.Errorf("MASE is %.2f of the best baseline's, the 80 %% band covers %.1f %%", candidates/baselines, 100*coverage)
	}
}
