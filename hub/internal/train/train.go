// Package train fits models on the histories of many points.
//
// It knows how to turn histories into a table of rows and targets (table.go), how each family is fitted (one file each)
// and how quantiles are calibrated (calibrate.go). It must not know SQL, the registry, or how a model is judged: that is
// package backtest, which uses this one.
//
// Invariants: nothing at or after the end of the histories given is learnt from; the same data, parameters and seed give
// the same artifact, byte for byte, whatever the number of threads; every fit can be cancelled.
//
// One model serves all points, those to come included: energies are divided by each point's own recent mean, and no
// feature names a point. One origin in eight is seen as if the point had been installed only days before, so that the
// model has learnt what to make of a short history; ensembles have members that learn from nothing else (young.go).
package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"

	"fluxora.dev/hub/internal/train/forest"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// ErrTooLittle says that the histories do not hold enough to learn from.
var ErrTooLittle = errors.New("too little history to learn from")

// Point is the history of one register of one point.
type Point struct {
	ID       string // names the point in reports
	Site     string // name of its site, by which and its own models know it, as its agent does (forecast.PointAt); may be empty
	Name     string // its own; ID when empty
	Register meter.Register
	History  feature.History
	Loaded   Loaded
}

// Known returns the name by which models know the point among those of its site.
func (p Point) Known() string { return cmp.Or(p.Name, p.ID) }

// Dataset is what a model learns from. All histories have the same resolution.
type Dataset struct{ Points []Point }

// Before returns the dataset as it was known at t.
func (d Dataset) Before(t meter.Millis) Dataset {
	out := Dataset{Points: make([]Point, len(d.Points))}
	for i, p := range d.Points {
		p.History = p.History.Before(t)
		out.Points[i] = p
	}
	return out
}

// Range returns the first and the last instant that any history holds.
func (d Dataset) Range() (from, to meter.Millis) {
	for i, p := range d.Points {
		if i == 0 || p.History.Start < from {
			from = p.History.Start
		}
		if i == 0 || p.History.End() > to {
			to = p.History.End()
		}
	}
	return from, to
}

// Params are the settings of a fit. The zero value of each means its default.
type Params struct {
	Family    string          // model.FamilyGBDT
	Members   []string        // families that an ensemble mixes and a selection chooses from: QuickFamilies()
	Spec      feature.Spec    // feature.Default()
	Levels    []float64       // forecast.DefaultLevels()
	Horizon   time.Duration   // 48 h
	HoldOut   time.Duration   // latest part of the history that quantiles are calibrated on: 28 days, a quarter at most
	Daily     []time.Duration // times of the day (UTC) that forecasts will be made at; nil: any hour, and rows of a few
	MaxRows   int             // 150,000
	Seed      uint64          // 1
	Threads   int             // the number of processors
	Trees     gbdt.Params     // Trees()
	Boosted   gbdt.Params     // of the trees of family boosted
	Quantiles gbdt.Params     // of the trees of family quantiles: Trees()
	Linear    LinearParams    // chosen on the held-out rows
	Forest    forest.Params   // Forest()
	LSTM      lstm.Params     // lstm.Defaults()

	Checkpoint Checkpoint     `json:"-"` // where a long fit keeps its state; nil: nowhere
	Seasonal   SeasonalParams // the best rule
	Additive   AdditiveParams // chosen on the held-out rows

	Points     string          // Shared, or Own: beside the model of all points one for each of them that it serves better
	Categories []string        // features that boosted trees take as names without order
	Monotone   []string        // features after a sign, with which forecasts of families gbdt and quantiles must not fall (+) or not rise (-)
	WarmStart  bool            // boosted trees go on from Earlier where that is honest
	Earlier    *model.Artifact `json:"-"` // the active model; nil: none

	print string // of the data and settings, when what is fitted is kept

	Settled bool // no point is young: histories of less than two weeks are not learnt from apart

	young []string // families that are fitted to young points as well
}

// What Params.Points may be.
const (
	Shared = "shared" // one model for all points
	Own    = "own"    // beside it one for each point that it serves better
)

// families lists the families that are fitted.
func (p Params) families() []string {
	switch {
	case p.Family != model.FamilyEnsemble && p.Family != Selected:
		return []string{p.Family}
	case len(p.Members) == 0:
		return QuickFamilies()
	}
	return p.Members
}

// withDefaults fills in what is zero.
func (p Params) withDefaults() Params {
	if p.Family == "" {
		p.Family = model.FamilyGBDT
	}
	if p.Spec.Len() == 0 {
		p.Spec = feature.Default()
	}
	switch p.Family {
	case model.FamilyLSTM, model.FamilyWeeks:
		p.Spec = withPast(p.Spec, []string{p.Family})
	case model.FamilyAdditive:
		p.Spec = withYear(p.Spec)
	}
	if len(p.Levels) == 0 {
		p.Levels = forecast.DefaultLevels()
	}
	if p.Horizon == 0 {
		p.Horizon = 48 * time.Hour
	}
	if p.HoldOut == 0 {
		p.HoldOut = 28 * 24 * time.Hour
	}
	if p.MaxRows == 0 {
		p.MaxRows = 150_000
	}
	if p.Seed == 0 {
		p.Seed = 1
	}
	if p.Threads == 0 {
		p.Threads = runtime.GOMAXPROCS(0)
	}
	if p.Forest == (forest.Params{}) {
		p.Forest = Forest()
	}
	p.Forest.Seed, p.Forest.Threads = p.Seed, p.Threads
	if p.Trees == (gbdt.Params{}) {
		p.Trees = Trees()
	}
	p.Trees.Seed, p.Trees.Threads = p.Seed, p.Threads
	if p.Boosted == (gbdt.Params{}) {
		p.Boosted = boostedTrees()
	}
	p.Boosted.Seed, p.Boosted.Threads = p.Seed, p.Threads
	if p.Quantiles == (gbdt.Params{}) {
		p.Quantiles = Trees()
	}
	p.Quantiles.Seed, p.Quantiles.Threads = p.Seed, p.Threads
	if p.Points == "" {
		p.Points = Shared
	}
	if p.LSTM == (lstm.Params{}) {
		p.LSTM = lstm.Defaults()
	}
	p.LSTM.Seed, p.LSTM.Threads = p.Seed, p.Threads
	return p
}

// Trees returns the settings of trees for what an anchor leaves of energies in scales. Residuals count at most 0.3 of a
// point's mean: meters differ by far more than an order in how far they stray, and the wildest would else be all that is
// learnt. How many trees do is found on the held-out rows.
func Trees() gbdt.Params {
	p := gbdt.Defaults()
	p.Trees, p.Leaves, p.MinLeaf, p.LearningRate, p.FeatureShare, p.Clip, p.Patience = 300, 31, 60, 0.06, 0.5, 0.3, 30
	return p
}

// check returns an error that wraps ErrAsked unless p can be fitted to some data.
func (p Params) check(d Dataset) error {
	err := p.wrong()
	if err == nil {
		err = d.checkSpec(p)
	}
	if err != nil {
		return fmt.Errorf("train: %w: %w", ErrAsked, err)
	}
	return nil
}

func (p Params) wrong() error {
	if err := forecast.CheckLevels(p.Levels); err != nil {
		return err
	}
	if p.Horizon < time.Hour || p.Horizon > 7*24*time.Hour {
		return fmt.Errorf("horizon %s: want 1 hour to 7 days", p.Horizon)
	}
	if p.Spec.Column("lead") < 0 {
		return errors.New("feature spec: want the feature \"lead\", by which quantiles are calibrated")
	}
	if p.Points != Shared && p.Points != Own {
		return fmt.Errorf("setting points=%s: want %s or %s", p.Points, Shared, Own)
	}
	switch {
	case p.Points != Own:
	case learnsFromAll(p.Family):
		return fmt.Errorf("setting points=%s: family %s learns from all points at once only: want another family", Own, p.Family)
	case p.WarmStart:
		return fmt.Errorf("setting points=%s with warm_start=true: want one of them: what a model has not seen is too little for a point by itself", Own)
	}
	return p.checkDirections()
}

// Report says how a fit went.
type Report struct {
	Family    string  `json:"family"`
	Points    int     `json:"points"`
	Rows      int     `json:"rows"`
	HeldRows  int     `json:"held_rows"`        // of Rows, those that quantiles are calibrated on
	Trees     int     `json:"trees,omitempty"`  // of the centre
	Epochs    int     `json:"epochs,omitempty"` // of a network, after which its weights were best
	HeldLoss  float64 `json:"held_loss"`        // mean absolute error on the held-out rows, in scales
	ElapsedMs int64   `json:"elapsed_ms"`       // from start to end
	Skipped   int     `json:"skipped_points"`   // points without a single usable row

	Preparation Preparation `json:"preparation"`

	Importance []Importance       `json:"importance,omitempty"` // of features for trees, most important first
	OwnPoints  int                `json:"own_points,omitempty"` // with a model of their own, where that was asked for
	WarmStart  *WarmStart         `json:"warm_start,omitempty"` // where one was asked for
	Weights    map[string]float64 `json:"weights,omitempty"`    // of an ensemble's members, mean over bands and groups

	errs []float64 // absolute, of the held-out rows
}

// judge notes the absolute errors of a fit on the held-out rows.
func (r *Report) judge(errs []float64) { r.HeldLoss, r.errs = stat.Mean(errs, nil), errs }

// Progress is told what a fit is doing and how much of it is done, 0…1. It may be nil.
type Progress func(stage string, share float64)

func (f Progress) tell(stage string, share float64) {
	if f != nil {
		f(stage, share)
	}
}

// fitter fits one family to a table.
type fitter func(ctx context.Context, t *table, p Params, tell Progress, r *Report) (model.Model, error)

// fitters lists the families.
func fitters() map[string]fitter {
	return map[string]fitter{
		model.FamilyGBDT: fitGBDT, model.FamilySeasonal: fitSeasonal, model.FamilyLinear: fitLinear, model.FamilyBoosted: fitBoosted,
		model.FamilyForest: fitForest, model.FamilyAdditive: fitAdditive,
		model.FamilyLSTM: fitLSTM, model.FamilyWeeks: fitWeeks, model.FamilyQuantiles: fitQuantiles,
	}
}

// Fit fits a model of the family p names. The error wraps ErrTooLittle when there is too little history.
func Fit(ctx context.Context, d Dataset, p Params, tell Progress) (*model.Artifact, Report, error) {
	if p.Checkpoint != nil {
		var err error
		if p.print, err = p.fingerprint(d); err != nil {
			return nil, Report{}, fmt.Errorf("train: %w", err)
		}
	}
	return p.kept("whole", func() (*model.Artifact, Report, error) { return fit(ctx, d, p.withDefaults(), tell) })
}

// fit fits what p names, its defaults filled in.
func fit(ctx context.Context, d Dataset, p Params, tell Progress) (*model.Artifact, Report, error) {
	r := Report{Family: p.Family}
	if err := p.check(d); err != nil {
		return nil, r, err
	}
	if p.Family == model.FamilyEnsemble || p.Family == Selected {
		s, err := FitAll(ctx, d, p, p.Members, tell)
		if err != nil {
			return nil, r, err
		}
		f := s.Fitted[model.FamilyEnsemble]
		if p.Family == Selected {
			f = s.Fitted[s.Selected]
		}
		tell.tell("done", 1)
		return f.Artifact, f.Report, nil
	}
	if fitters()[p.Family] == nil {
		return nil, r, fmt.Errorf("train: family %q: want one of %v", p.Family, slices.Sorted(maps.Keys(fitters())))
	}
	tell.tell("rows", 0)
	t, err := newTable(ctx, d, p)
	if err != nil {
		return nil, r, fmt.Errorf("train: %w", err)
	}
	return fitOn(ctx, t, p, tell)
}
