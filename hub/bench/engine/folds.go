package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"fluxora.dev/hub/internal/backtest"
	"fluxora.dev/hub/internal/recording"
	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// folds is what hub/bench/engine.py is told of the tables of a backtest.
type folds struct {
	Meters   int                  `json:"meters"`
	Features int                  `json:"features"`
	Tables   []foldTable          `json:"tables"`
	Hub      map[string]hubFigure `json:"hub"` // what `fluxora-hub backtest` makes of the same rows
}

// foldTable is one fit: learnN to learn from and judgeN to judge by.
type foldTable struct {
	Learn string `json:"learn"`
	Judge string `json:"judge"`
	Rows  int    `json:"rows"`
}

// hubFigure is how a family of the hub did.
type hubFigure struct {
	CPU  float64 `json:"cpu_s"` // of all fits, without the rows
	MASE float64 `json:"mase"`
}

// exportFolds writes the tables of the day-ahead protocol on a recording, or on synthetic meters for an empty path. Of each fit these
// are the rows that the hub's families learn from, and a row for every interval that they are scored on, with its weight: the sum of
// weight × |forecast − target| over all is the mean MASE of the meters.
func exportFolds(ctx context.Context, path, dir string, rows int) (folds, error) {
	d, err := meters(path)
	if err != nil {
		return folds{}, err
	}
	const day = 24 * time.Hour
	_, end := d.Range()
	o := backtest.DayAhead{Days: 56, At: backtest.OriginOf(d.Points[0].History.Zone, end.Time().Year())}
	p := train.Params{Horizon: day, Daily: []time.Duration{o.At}, MaxRows: rows, Threads: 1}
	ws, _ := o.Windows(d)
	out := folds{Meters: len(ws), Features: feature.Default().Len(), Hub: map[string]hubFigure{}}
	families := []string{model.FamilyGBDT, model.FamilyLinear, model.FamilyBoosted, model.FamilyEnsemble}
	scores := map[string][]backtest.DayScore{}
	for n, cut := range backtest.Cuts(ws) {
		learn := cut.Learn(d, 0)
		r, err := train.RowsOf(ctx, learn, p)
		if err != nil {
			return out, err
		}
		f := foldTable{fmt.Sprintf("learn%d", n), fmt.Sprintf("judge%d", n), len(r.Target)}
		if err := save(dir, f.Learn, r.Values, r.Target, nil); err != nil {
			return out, err
		}
		var judge judged
		for _, w := range cut.Windows {
			if err := judge.add(w, len(ws)); err != nil {
				return out, err
			}
		}
		if err := save(dir, f.Judge, judge.rows, judge.target, judge.weight); err != nil {
			return out, err
		}
		out.Tables = append(out.Tables, f)

		s, err := train.FitAll(ctx, learn, p, families, nil)
		if err != nil {
			return out, err
		}
		var contenders []backtest.Contender
		for _, name := range families {
			contenders = append(contenders, backtest.Artifact(name, s.Fitted[name].Artifact, forecast.DefaultLevels()))
			h := out.Hub[name]
			h.CPU += s.Fitted[name].CPU.Seconds()
			out.Hub[name] = h
		}
		got, err := o.Score(ctx, cut.Windows, contenders, 1)
		if err != nil {
			return out, err
		}
		for _, w := range got {
			for i, name := range families {
				scores[name] = append(scores[name], w[i])
			}
		}
	}
	for name, s := range scores {
		h := out.Hub[name]
		h.MASE = backtest.Figures(s).MASE
		out.Hub[name] = h
	}
	return out, nil
}

// judged are the rows of windows that forecasts are scored on.
type judged struct {
	rows           []float32
	target, weight []float64
}

// add appends the rows of a window, of so many in all.
func (j *judged) add(w backtest.Window, windows int) error {
	spec, h := feature.Default(), w.Point.History
	b, from := feature.NewBuilder(spec), len(j.target)
	for origin := w.First; origin <= w.Last; origin = origin.Add(24 * time.Hour) {
		if err := b.Reset(h, origin); err != nil {
			return fmt.Errorf("point %s, origin %s: %w", w.Point.ID, origin, err)
		}
		for step := 1; step <= int(24*time.Hour/h.Resolution); step++ {
			y := b.Target(step)
			if y != y || !(w.Scale > 0) {
				continue
			}
			j.rows = slices.Grow(j.rows, spec.Len())
			j.rows = j.rows[:len(j.rows)+spec.Len()]
			b.Row(step, j.rows[len(j.rows)-spec.Len():])
			j.target, j.weight = append(j.target, y), append(j.weight, b.Scale()/w.Scale)
		}
	}
	for i := range j.weight[from:] {
		j.weight[from+i] /= float64(len(j.weight)-from) * float64(windows)
	}
	return nil
}

// meters reads a recording, or makes twenty buildings of two years that work by day and week with noise that lasts for hours.
func meters(path string) (train.Dataset, error) {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		return train.Dataset{}, err
	}
	if path != "" {
		d, _, err := recording.Read(recording.Files{Readings: path, Zone: zone, Country: "NO"})
		return d, err
	}
	var d train.Dataset
	for m := range 20 {
		rng := rand.New(rand.NewPCG(uint64(m), 11))
		h := feature.History{Start: meter.MillisOf(time.Date(2022, 1, 3, 0, 0, 0, 0, time.UTC)), Resolution: time.Hour, Zone: zone}
		lasting := 0.0
		for i := range 730 * 24 {
			at := h.Start.Add(time.Duration(i) * time.Hour).Time().In(zone)
			lasting = 0.95*lasting + 0.1*rng.NormFloat64()
			v := 1 + lasting + 0.4*math.Cos(2*math.Pi*float64(at.YearDay())/365)
			if wd := at.Weekday(); at.Hour() >= 6+m%3 && at.Hour() < 18 && wd != time.Saturday && wd != time.Sunday {
				v += 1.5
			}
			h.Energy = append(h.Energy, 5000*float64(1+m)*max(0.1, v))
		}
		d.Points = append(d.Points, train.Point{ID: fmt.Sprintf("m%02d", m), Register: meter.EnergyImport, History: h})
	}
	return d, nil
}

// save writes a table as load reads it; weight may be nil.
func save(dir, name string, rows []float32, target, weight []float64) error {
	if err := write(dir+"/X_"+name+".f32", rows); err != nil {
		return err
	}
	if err := write(dir+"/y_"+name+".f32", narrow(target)); err != nil || weight == nil {
		return err
	}
	return write(dir+"/w_"+name+".f32", narrow(weight))
}

// narrow returns values as float32.
func narrow(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

// write writes little-endian float32.
func write(path string, values []float32) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	var b [4]byte
	for _, v := range values {
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
		_, _ = w.Write(b[:]) // Flush returns the first error
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// printFolds exports and prints what was written as JSON.
func printFolds(w io.Writer, path, dir string, rows int) error {
	out, err := exportFolds(context.Background(), path, dir, rows)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(out)
}
