package backtest_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"testing"
	"time"
	_ "time/tzdata"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
)

// realMeters reads so many real meters from beside the repository, or skips.
func realMeters(t testing.TB, meters int) train.Dataset {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	path := filepath.Join(filepath.Dir(file), "..", "..", "..", "..", "shared", "data", "readings.csv.gz")
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

// together cuts every history at the end of the one that ends first.
func together(d train.Dataset, days int) train.Dataset {
	_, end := d.Range()
	for _, p := range d.Points {
		end = min(end, p.History.End())
	}
	d = d.Before(end)
	for i := range d.Points {
		d.Points[i].History = d.Points[i].History.Since(end.Add(-time.Duration(days) * 24 * time.Hour))
	}
	return d
}

// TestModelEarnsItsPlaceOnRealMeters is what the demo does: twelve meters, four months of each,
// moved by whole weeks to a common end.
func TestModelEarnsItsPlaceOnRealMeters(t *testing.T) {
	if testing.Short() {
		t.Skip("fits a model twice: left out of short runs")
	}
	d := realMeters(t, 12)
	_, end := d.Range()
	const week = 7 * 24 * time.Hour
	for i := range d.Points {
		h := d.Points[i].History.Since(d.Points[i].History.End().Add(-120 * 24 * time.Hour))
		h.Start = h.Start.Add(end.Sub(h.End()) / week * week)
		d.Points[i].History = h
	}
	began := time.Now()
	out, err := backtest.Contest(context.Background(), d, train.Params{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s in %s\n%s", out.Reason, time.Since(began).Round(time.Millisecond), out.Report)
	if !out.Better {
		t.Fatalf("not promoted: %s", out.Reason)
	}
	c, _ := out.Report.Of(backtest.Candidate)
	for _, name := range []string{backtest.Naive, backtest.FourWeek} {
		if b, _ := out.Report.Of(name); c.MASE > 0.95*b.MASE || c.NPinball > 0.95*b.NPinball {
			t.Errorf("MASE %.3f and pinball %.4f do not clearly beat %.3f and %.4f of %s", c.MASE, c.NPinball, b.MASE, b.NPinball, name)
		}
	}
	if c.Coverage < 0.7 || c.Coverage > 0.9 {
		t.Errorf("the 80 %% band covers %.1f %%", 100*c.Coverage)
	}
}

// TestDayAheadProtocol scores the common protocol: day ahead, daily origins at midnight over eight weeks, one fit on 540
// days of all meters. FLUXORA_LONG=1 runs it; it takes half a minute of two cores.
func TestDayAheadProtocol(t *testing.T) {
	if os.Getenv("FLUXORA_LONG") == "" {
		t.Skip("FLUXORA_LONG is not set: the long accuracy protocol is left out")
	}
	d := together(realMeters(t, 1000), 596)
	_, end := d.Range()
	from := end.Add(-56 * 24 * time.Hour).Floor(24 * time.Hour).Add(-time.Hour)
	began := time.Now()
	art, fit, err := train.Fit(context.Background(), d.Before(from), train.Params{Horizon: 24 * time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v in %s", fit, time.Since(began).Round(time.Millisecond))
	levels := forecast.DefaultLevels()
	r, err := backtest.Run(context.Background(), d, append([]backtest.Contender{backtest.Artifact(backtest.Candidate, art, levels)}, backtest.Baselines(levels)...), backtest.Options{From: from, Horizon: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	for _, b := range r.Scores[0].Bands {
		t.Logf("%s to %s ahead: MASE %.3f, the band covers %.1f %%", b.From, b.To, b.MASE, 100*b.Coverage)
	}
}
