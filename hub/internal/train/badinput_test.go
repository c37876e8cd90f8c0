package train_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// TestBadHistoriesInEveryFamily: a history that cannot be learnt from is an error that says so, any other gives a model whose
// forecasts are numbers.
func TestBadHistoriesInEveryFamily(t *testing.T) {
	set := func(value func(i int, was float64) float64) func(*feature.History) {
		return func(h *feature.History) {
			for i, v := range h.Energy {
				h.Energy[i] = value(i, v)
			}
		}
	}
	families := train.Families()
	if testing.Short() {
		families = []string{model.FamilyLinear, model.FamilyBoosted, model.FamilySeasonal}
	}
	for _, c := range []struct {
		name  string
		all   bool // every point is spoilt, not the first alone
		spoil func(*feature.History)
		want  string // in the error; empty: a model
	}{
		{"empty", true, func(h *feature.History) { h.Energy = nil }, "too little history"},
		{"one interval", true, func(h *feature.History) { h.Energy = h.Energy[:1] }, "too little history"},
		{"all missing", true, set(func(int, float64) float64 { return math.NaN() }), "too little history"},
		{"mixed resolutions", false, func(h *feature.History) { h.Resolution = 15 * time.Minute }, "train them apart"},
		{"constant", true, set(func(int, float64) float64 { return 700 }), ""},
		{"all zero", true, set(func(int, float64) float64 { return 0 }), ""},
		{"one empty among others", false, func(h *feature.History) { h.Energy = nil }, ""},
		{"negative", false, set(func(_ int, v float64) float64 { return -v }), ""},
		{"NaN and Inf anywhere", true, set(func(i int, v float64) float64 {
			return map[int]float64{0: math.NaN(), 1: math.Inf(1), 2: math.Inf(-1), 3: math.MaxFloat64}[min(i%41, 4)] + v*float64(min(i%41/4, 1))
		}), ""},
		{"a point that stops", false, func(h *feature.History) { h.Energy = h.Energy[:len(h.Energy)/2] }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := town(3, 60, time.Hour)
			for i := range d.Points {
				if i == 0 || c.all {
					c.spoil(&d.Points[i].History)
				}
			}
			for _, family := range families {
				p := train.Params{Family: family, Members: []string{model.FamilyLinear, model.FamilySeasonal}, MaxRows: 1500, Trees: gbdt.Defaults(), LSTM: lstm.Defaults()}
				p.Trees.Trees, p.LSTM.Epochs = 8, 1
				p.Boosted, p.Quantiles = p.Trees, p.Trees
				a, _, err := train.Fit(t.Context(), d, p, nil)
				if c.want != "" {
					if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, train.ErrTooLittle) != strings.Contains(c.want, "too little") {
						t.Errorf("%s: %v, want an error with %q", family, err, c.want)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", family, err)
					continue
				}
				if err := a.SelfTest(); err != nil {
					t.Errorf("%s: %v", family, err)
				}
				for _, v := range a.Vectors {
					for _, q := range v.Want {
						if math.IsNaN(q) || math.IsInf(q, 0) {
							t.Fatalf("%s forecasts %v", family, v.Want)
						}
					}
				}
			}
		})
	}
}
