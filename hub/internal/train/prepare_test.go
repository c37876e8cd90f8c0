package train_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// TestPreparationCountsWhatItLeavesOut spoils one point of a town after another.
func TestPreparationCountsWhatItLeavesOut(t *testing.T) {
	d := town(8, 90, time.Hour)
	e := func(i int) []float64 { return d.Points[i].History.Energy }
	e(0)[50*24] = math.Inf(1)
	e(0)[50*24+1] = math.Inf(-1)
	e(1)[60*24] = -700
	for i := 30 * 24; i < 34*24; i++ {
		e(2)[i] = 1234.5
	}
	e(3)[40*24] = 1e9
	for i := range e(4) {
		e(4)[i] = 500 // constant
	}
	for i := range e(5) {
		e(5)[i] = math.NaN() // empty
	}
	for i := 50 * 24; i < len(e(6)); i++ {
		e(6)[i] = math.NaN() // stopped
	}
	d.Points[7].Loaded = train.Loaded{Recovered: 3, Unmeasured: 2, Duplicated: 1}
	_, r := fit(t, d, train.Params{Family: model.FamilySeasonal})
	got := r.Preparation
	stopped := 40 * 24
	base := got.Missing - len(e(5)) - stopped - 2 // those that the town comes with
	if base < 0 || base > got.Intervals/20 {
		t.Errorf("%d missing", got.Missing)
	}
	got.Missing = 0
	want := train.Preparation{
		Intervals: 8 * 90 * 24, Recovered: 3, Unmeasured: 2, Infinite: 2, Duplicated: 1, Negative: 1, Stuck: 96, Outlying: 1,
		EmptyPoints: 1, ConstantPoints: 1, StoppedPoints: 1,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestSpoiltHistoriesAreClearErrorsOrModels gives fits nothing but bad histories. None may panic or give what is no number.
func TestSpoiltHistoriesAreClearErrorsOrModels(t *testing.T) {
	whole := func(f func(i int) float64) func(e []float64) []float64 {
		return func(e []float64) []float64 {
			for i := range e {
				e[i] = f(i)
			}
			return e
		}
	}
	for name, spoil := range map[string]func(e []float64) []float64{
		"empty":        func([]float64) []float64 { return nil },
		"one interval": func(e []float64) []float64 { return e[:1] },
		"all missing":  whole(func(int) float64 { return math.NaN() }),
		"constant":     whole(func(int) float64 { return 500 }),
		"zero":         whole(func(int) float64 { return 0 }),
		"negative":     whole(func(i int) float64 { return -float64(i % 24) }),
		"infinite":     whole(func(int) float64 { return math.Inf(1) }),
		"every other":  whole(func(i int) float64 { return []float64{math.Inf(-1), math.NaN(), 700, -1, 0, math.MaxFloat64}[i%6] }),
	} {
		t.Run(name, func(t *testing.T) {
			for _, family := range []string{model.FamilySeasonal, model.FamilyGBDT} {
				d := town(2, 60, time.Hour)
				for i := range d.Points {
					d.Points[i].History.Energy = spoil(d.Points[i].History.Energy)
				}
				a, r, err := train.Fit(context.Background(), d, train.Params{Family: family, Spec: feature.Default()}, nil)
				if err != nil {
					if !errors.Is(err, train.ErrTooLittle) {
						t.Errorf("%s: %v", family, err)
					}
					continue
				}
				if math.IsNaN(r.HeldLoss) || a.SelfTest() != nil {
					t.Errorf("%s: held loss %g, self-test %v", family, r.HeldLoss, a.SelfTest())
				}
			}
		})
	}
}
