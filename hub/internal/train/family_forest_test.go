package train_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// fewTrees keeps tests short.
func fewTrees() train.Params {
	p := train.Params{Family: model.FamilyForest, Horizon: 24 * time.Hour, Threads: 2, Forest: train.Forest()}
	p.Forest.Trees, p.Forest.MinLeaf = 30, 20
	return p
}

func TestAForestBeatsTheBaselineAndItsQuantilesHoldOnFreshData(t *testing.T) {
	d := town(8, 100, time.Hour)
	cut := start.Add(70 * 24 * time.Hour)
	a, _ := fit(t, d.Before(cut), fewTrees())
	nmae, coverage := dayAhead(t, d, cut, with(a))
	naive, _ := dayAhead(t, d, cut, func(h feature.History, origin meter.Millis) (forecast.Forecast, error) {
		return forecast.MakeNaive(h, "p", meter.EnergyImport, origin, 24, nil, 0)
	})
	t.Logf("error %.2f %%, a week before %.2f %%, the 80 %% band covers %.1f %%", 100*nmae, 100*naive, 100*coverage)
	if nmae > 0.8*naive {
		t.Errorf("the forest errs by %.2f %%, the week before by %.2f %%", 100*nmae, 100*naive)
	}
	if coverage < 0.76 || coverage > 0.84 {
		t.Errorf("the 80 %% band covers %.1f %% of what came after the fit", 100*coverage)
	}
	if b := encoded(t, a); len(b) > 1<<20 {
		t.Errorf("%d bytes for 30 trees on a few thousand rows", len(b))
	}
}

func TestAForestIsTheSameForAnyNumberOfThreadsAndCanBeCancelled(t *testing.T) {
	d := town(3, 40, time.Hour)
	p := fewTrees()
	sameForAnyNumberOfThreads(t, d, p)
	canBeCancelled(t, d, p, 4)
}

func TestAForestOverOddHistories(t *testing.T) {
	for name, v := range map[string]float64{"constant": 500, "all zero": 0, "all missing": math.NaN()} {
		d := town(2, 60, time.Hour)
		for p := range d.Points {
			for i := range d.Points[p].History.Energy {
				d.Points[p].History.Energy[i] = v
			}
		}
		a, _, err := train.Fit(context.Background(), d, fewTrees(), nil)
		if v != v {
			if !errors.Is(err, train.ErrTooLittle) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		h := d.Points[1].History
		f, err := forecast.Make(h, "p", meter.EnergyImport, h.End(), 24, a, forecast.Active, nil, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := f.At(5, 1); math.Abs(got-v) > 0.01*v {
			t.Errorf("%s: %g Wh every hour is forecast at %g", name, v, got)
		}
	}
	p := fewTrees()
	p.Forest.MinLeaf = 0
	if _, _, err := train.Fit(context.Background(), town(2, 40, time.Hour), p, nil); err == nil {
		t.Error("leaves without rows: taken")
	}
}
