package train_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

// sameForAnyNumberOfThreads wants four threads to fit the same bytes as one, and returns what they fit.
func sameForAnyNumberOfThreads(t *testing.T, d train.Dataset, p train.Params) (*model.Artifact, train.Report) {
	t.Helper()
	p.Threads = 1
	one, r := fit(t, d, p)
	p.Threads = 4
	if four, _ := fit(t, d, p); !bytes.Equal(encoded(t, one), encoded(t, four)) {
		t.Error("four threads fit another model than one")
	}
	return one, r
}

// canBeCancelled cancels a fit at each of its first stages, and wants it to end with the cause.
func canBeCancelled(t *testing.T, d train.Dataset, p train.Params, stages int) {
	t.Helper()
	for stage := range stages {
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("enough")
		told := 0
		_, _, err := train.Fit(ctx, d, p, func(string, float64) {
			if told++; told > stage {
				cancel(why)
			}
		})
		if !errors.Is(err, why) {
			t.Errorf("cancelled at stage %d: got %v", stage, err)
		}
	}
}

// forecastsNewPoints wants a model, once decoded, to forecast a point that it has never seen: within half of its mean when it is a
// day old, within most of it when it is older.
func forecastsNewPoints(t *testing.T, a *model.Artifact, most float64, ages ...int) {
	t.Helper()
	back, err := model.Decode(encoded(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if err := back.SelfTest(); err != nil {
		t.Error(err)
	}
	for _, days := range ages {
		seen, then := town(5, days, a.Resolution).Points[4].History, town(5, days+1, a.Resolution).Points[4].History
		f, err := forecast.Make(seen, "new", meter.EnergyImport, seen.End(), int(24*time.Hour/a.Resolution), back, forecast.Active, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		var s forecast.Score
		for step := 1; step <= f.Steps(); step++ {
			s.Add(f.Levels, f.Values[3*(step-1):3*step], then.At(f.Start(step)))
		}
		if e := s.MAE() / s.Mean(); e > 0.5 || days > 1 && e > most {
			t.Errorf("%s, %d days old: error %.0f %%", a.Resolution, days, 100*e)
		}
	}
}
