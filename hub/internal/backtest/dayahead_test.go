package backtest_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"testing"
	"time"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/recording"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// recorded reads the real meters beside the repository, or skips.
func recorded(t testing.TB) train.Dataset {
	t.Helper()
	const path = "../../../../shared/data/readings.csv.gz"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no real meters beside the repository: %v", err)
	}
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := recording.Read(recording.Files{Readings: path, Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shifted forecasts by the rule of the reference protocol: means of the value whole numbers of hours before, where gaps
// were filled with the value a week before, else a day, else an hour.
func shifted(name string, filled map[string][]float64, hours ...int) backtest.Contender {
	return backtest.Contender{Name: name, New: func() backtest.Make {
		return func(h feature.History, p train.Point, origin meter.Millis, horizon int) (forecast.Forecast, error) {
			levels := forecast.DefaultLevels()
			f := forecast.Forecast{Point: p.ID, Origin: origin, Resolution: h.Resolution, Levels: levels}
			for s := range horizon {
				i, sum := h.Index(origin)+s, 0.0
				for _, back := range hours {
					sum += filled[p.ID][i-back]
				}
				for range levels {
					f.Values = append(f.Values, sum/float64(len(hours)))
				}
			}
			return f, nil
		}
	}}
}

// TestProtocolGivesTheReferenceFigures holds the protocol to the table that the reference program made on the same meters.
func TestProtocolGivesTheReferenceFigures(t *testing.T) {
	d := recorded(t)
	filled := map[string][]float64{}
	for _, p := range d.Points {
		v := append([]float64(nil), p.History.Energy...)
		for i := range v {
			for _, back := range []int{168, 24, 1} {
				if math.IsNaN(v[i]) && i >= back {
					v[i] = v[i-back]
				}
			}
		}
		filled[p.ID] = v
	}
	o := backtest.DayAhead{At: backtest.OriginOf(d.Points[0].History.Zone, 2022)}
	ws, left := o.Windows(d)
	if len(ws) != 43 || len(left) != 0 {
		t.Fatalf("%d windows, left %v", len(ws), left)
	}
	cs := []backtest.Contender{shifted("week", filled, 168), shifted("day", filled, 24), shifted("four weeks", filled, 168, 336, 504, 672)}
	scores, err := o.Score(context.Background(), ws, cs, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ mase, nmae, nrmse float64 }{{1.191, 17.0, 23.9}, {1.440, 21.0, 35.5}, {1.077, 15.4, 21.1}} {
		var own []backtest.DayScore
		for _, w := range scores {
			own = append(own, w[i])
		}
		f := backtest.Figures(own)
		if math.Abs(f.MASE-want.mase) > 0.0006 || math.Abs(100*f.NMAE-want.nmae) > 0.06 || math.Abs(100*f.NRMSE-want.nrmse) > 0.06 {
			t.Errorf("%s: MASE %.3f, nMAE %.2f %%, nRMSE %.2f %%; the reference has %+v", cs[i].Name, f.MASE, 100*f.NMAE, 100*f.NRMSE, want)
		}
	}
}

func TestOriginOf(t *testing.T) {
	for zone, want := range map[string]time.Duration{
		"Europe/Oslo": 23 * time.Hour, "Europe/London": 0, "UTC": 0, "America/New_York": 5 * time.Hour, "Australia/Sydney": 14 * time.Hour,
		"Asia/Kolkata": 18 * time.Hour, "America/Santiago": 4 * time.Hour, "Europe/Dublin": 0,
	} {
		l, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := backtest.OriginOf(l, 2021); got != want {
			t.Errorf("a day in %s begins at %s UTC, want %s", zone, got, want)
		}
	}
}

// TestCuts: no fit is later than a window that it is scored on.
func TestCuts(t *testing.T) {
	at := func(days int) backtest.Window { return backtest.Window{First: meter.Millis(days) * 86_400_000} }
	for _, tc := range []struct {
		days []int
		want []int // windows of each cut
	}{
		{[]int{100}, []int{1}},
		{[]int{100, 110, 128}, []int{3}},
		{[]int{100, 129, 90}, []int{2, 1}},
		{[]int{0, 100, 200, 300, 400, 500}, []int{2, 2, 2}},
	} {
		var ws []backtest.Window
		for _, d := range tc.days {
			ws = append(ws, at(d))
		}
		cuts := backtest.Cuts(ws)
		var got []int
		for _, c := range cuts {
			got = append(got, len(c.Windows))
			for _, w := range c.Windows {
				if w.First < c.To {
					t.Errorf("days %v: a fit until %s is scored from %s", tc.days, c.To, w.First)
				}
			}
		}
		if len(got) != len(tc.want) {
			t.Errorf("days %v: cuts of %v windows, want %v", tc.days, got, tc.want)
		}
	}
}

// TestFitsLearnNothingOfWhatTheyAreScoredOn: whatever happens from the first origin on, the fitted models are the same to
// the last bit.
func TestFitsLearnNothingOfWhatTheyAreScoredOn(t *testing.T) {
	recorded := func(changed bool) train.Dataset {
		var d train.Dataset
		for m := range 3 {
			h := feature.History{Start: meter.MillisOf(time.Date(2023, 1, 2, 0, 0, 0, 0, time.UTC)), Resolution: time.Hour}
			for i := range 24 * (100 + 20*m) {
				v := 1000 * float64(m+1) * (2 + math.Sin(float64(i)/24*2*math.Pi) + 0.3*math.Sin(float64(i*i%1009)))
				if changed && i >= 24*86+23 { // from the first origin of the meter that ends first on
					v = math.Mod(v*7919, 5000)
				}
				h.Energy = append(h.Energy, v)
			}
			d.Points = append(d.Points, train.Point{ID: string(rune('a' + m)), Register: meter.EnergyImport, History: h})
		}
		return d
	}
	o := backtest.DayAhead{Days: 14, At: 23 * time.Hour}
	p := train.Params{Horizon: 24 * time.Hour, Daily: []time.Duration{o.At}, MaxRows: 8000, Trees: gbdt.Defaults()}
	p.Trees.Trees, p.Trees.Leaves = 10, 8
	p.Boosted = p.Trees
	var encoded [2]map[string][]byte
	for i, changed := range []bool{false, true} {
		d := recorded(changed)
		ws, left := o.Windows(d)
		if len(left) > 0 {
			t.Fatal(left)
		}
		cut := backtest.Cuts(ws)[0]
		if want := d.Points[0].History.Start.Add(time.Duration(24*85+23) * time.Hour); cut.To != want {
			t.Fatalf("first origin %s, want %s", cut.To, want)
		}
		s, err := train.FitAll(context.Background(), cut.Learn(d, 0), p, []string{model.FamilyBoosted, model.FamilySeasonal, model.FamilyEnsemble}, nil)
		if err != nil {
			t.Fatal(err)
		}
		encoded[i] = map[string][]byte{}
		for name, f := range s.Fitted {
			if encoded[i][name], err = model.Encode(f.Artifact); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name := range encoded[0] {
		if !bytes.Equal(encoded[0][name], encoded[1][name]) {
			t.Errorf("%s: what came after the cut changed the model", name)
		}
	}
}
