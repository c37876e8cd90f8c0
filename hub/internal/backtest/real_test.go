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

// realMeters reads real meters from beside the repository, at most so many of the last days each, or skips.
func realMeters(t testing.TB, meters, days int) train.Dataset {
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
		if days > 0 {
			h = h.Since(h.End().Add(-time.Duration(days) * 24 * time.Hour))
		}
		d.Points = append(d.Points, train.Point{ID: id, Register: meter.EnergyImport, History: h})
	}
	sort.Slice(d.Points, func(i, j int) bool { return d.Points[i].ID < d.Points[j].ID })
	return d
}

// alike moves every history to a common end, by whole weeks, so that a backtest covers all.
func alike(d train.Dataset) train.Dataset {
	_, end := d.Range()
	const week = 7 * 24 * time.Hour
	for i := range d.Points {
		h := &d.Points[i].History
		h.Start = h.Start.Add(end.Sub(h.End()) / week * week)
	}
	return d
}

func TestTrainedModelBeatsBaselinesOnRealMeters(t *testing.T) {
	meters, days, test := 12, 120, 14
	if s := os.Getenv("FLUXORA_METERS"); s != "" {
		meters, _ = strconv.Atoi(s)
		days, test = 596, 56
	}
	d := alike(realMeters(t, meters, days))
	_, end := d.Range()
	cut := end.Add(-time.Duration(test) * 24 * time.Hour).Floor(24 * time.Hour).Add(23 * time.Hour)
	art, rep, err := train.Fit(context.Background(), d.Before(cut), train.Params{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", rep)
	horizon := 48 * time.Hour
	if os.Getenv("FLUXORA_METERS") != "" {
		horizon = 24 * time.Hour
	}
	r, err := backtest.Run(context.Background(), d, append([]backtest.Contender{backtest.Artifact("candidate", art, nil)}, backtest.Baselines(forecast.DefaultLevels())...), backtest.Options{From: cut, Horizon: horizon})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	for _, b := range r.Scores[0].Bands {
		t.Logf("%s–%s: MASE %.3f coverage %.3f", b.From, b.To, b.MASE, b.Coverage)
	}
}
