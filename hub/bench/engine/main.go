// Command engine fits and measures the hub's tree engines on a table of numbers, for hub/bench/engine.py, which does the same
// with other engines on the same rows. With -folds it writes the rows of a backtest instead. It prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"

	"fluxora.dev/hub/internal/train/forest"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/model"
)

// result is what hub/bench/engine.py reads.
type result struct {
	CPU     float64 `json:"cpu_s"`
	Peak    float64 `json:"peak_mb"` // above what the process held with the data loaded
	RMSE    float64 `json:"rmse"`
	MASE    float64 `json:"mase,omitempty"` // where the rows to judge by have weights
	OneRow  float64 `json:"one_us"`         // CPU for a row alone
	Batch48 float64 `json:"batch_us"`       // CPU a row in batches of 48
}

// options are the flags.
type options struct {
	engine, dir, train, test, profile       string
	folds                                   bool
	recording                               string
	features, leaves, depth, trees, threads int
	rows, least                             int
	rate                                    float64
}

// table is rows laid end to end and their targets.
type table struct {
	rows   []float32
	target []float64
	weight []float64 // nil: none
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("engine: ")
	var o options
	flag.StringVar(&o.engine, "engine", "gbdt", "gbdt or forest")
	flag.StringVar(&o.dir, "dir", ".", "folder of X_NAME.f32 (rows) and y_NAME.f32 (targets), little-endian float32")
	flag.StringVar(&o.train, "train", "train100k", "NAME of the rows to learn from")
	flag.StringVar(&o.test, "test", "test100k", "NAME of the rows to judge by")
	flag.StringVar(&o.profile, "cpuprofile", "", "file to write a CPU profile of the fit to")
	flag.IntVar(&o.features, "features", 30, "features in a row")
	flag.IntVar(&o.leaves, "leaves", 31, "leaves of a boosted tree, at most")
	flag.IntVar(&o.depth, "depth", 64, "depth of a boosted tree, at most")
	flag.IntVar(&o.trees, "trees", 200, "trees")
	flag.IntVar(&o.threads, "threads", 1, "threads")
	flag.IntVar(&o.least, "least", 20, "rows in a leaf of a boosted tree, at least")
	flag.Float64Var(&o.rate, "rate", 0.1, "learning rate of boosted trees")
	flag.BoolVar(&o.folds, "folds", false, "write the tables of a backtest to -dir")
	flag.StringVar(&o.recording, "recording", "", "readings of the backtest; empty for synthetic meters")
	flag.IntVar(&o.rows, "rows", 100_000, "rows of a fit of the backtest, at most")
	flag.Parse()
	runtime.GOMAXPROCS(o.threads)
	if o.folds {
		if err := printFolds(os.Stdout, o.recording, o.dir, o.rows); err != nil {
			log.Fatal(err)
		}
		return
	}
	learn, test := load(o.dir, o.train, o.features), load(o.dir, o.test, o.features)
	debug.FreeOSMemory()
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			log.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			log.Fatal(err)
		}
	}
	held, cpu := memory("VmRSS"), used()
	m, err := fit(o, learn)
	if err != nil {
		log.Fatal(err)
	}
	r := result{CPU: used() - cpu, Peak: memory("VmHWM") - held}
	pprof.StopCPUProfile()
	out := make([]float64, len(test.target))
	m.Predict(test.rows, len(out), out)
	for i, y := range out {
		d := y - test.target[i]
		r.RMSE += d * d / float64(len(out))
		if test.weight != nil {
			r.MASE += test.weight[i] * math.Abs(d)
		}
	}
	r.RMSE = math.Sqrt(r.RMSE)
	r.OneRow, r.Batch48 = predict(m, test.rows, o.features, 1), predict(m, test.rows, o.features, 48)
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		log.Fatal(err)
	}
}

// fit returns a model of the median alone, with the anchor of every point: 1, which the target is therefore less by.
func fit(o options, t table) (model.Model, error) {
	bins, err := gbdt.Bin(t.rows, o.features, o.threads)
	if err != nil {
		return nil, err
	}
	all, left := make([]int32, len(t.target)), make([]float64, len(t.target))
	for i := range all {
		all[i], left[i] = int32(i), t.target[i]-1
	}
	bands := model.Bands{Levels: []float64{0.5}, Z: []float64{0}}
	if o.engine == "forest" {
		p := forest.Defaults()
		p.Trees, p.Threads = o.trees, o.threads
		columns := make([]forest.Column, o.features)
		for f := range columns {
			columns[f].Bins, columns[f].UpTo = bins.Column(f)
		}
		grown, err := forest.Fit(context.Background(), columns, left, all, p)
		if err != nil {
			return nil, err
		}
		return model.NewForest(o.features, bands, model.Anchor{}, 0, grown.Grid, grown.Trees)
	}
	p := gbdt.Params{
		Trees: o.trees, Leaves: o.leaves, Depth: o.depth, MinLeaf: o.least, LearningRate: o.rate, RowShare: 1, FeatureShare: 1, Seed: 1, Threads: o.threads,
	}
	e, _, err := bins.Fit(context.Background(), left, all, nil, p)
	if err != nil {
		return nil, err
	}
	return model.NewGBDT(o.features, bands, model.Anchor{}, e, model.Anchor{}, 0)
}
