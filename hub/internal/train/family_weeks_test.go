package train_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/forecast"
	"fluxora.dev/shared/meter"
	"fluxora.dev/shared/model"
)

func quickWeeks() train.Params {
	p := quick()
	p.Family = model.FamilyWeeks
	return p
}

func TestWeeksForecastsPointsItHasNeverSeen(t *testing.T) {
	for _, resolution := range []time.Duration{15 * time.Minute, time.Hour} {
		p := quickWeeks()
		p.MaxRows = 10_000
		art, r := fit(t, town(3, 80, resolution), p)
		if r.HeldLoss <= 0 {
			t.Errorf("report %+v", r)
		}
		back, err := model.Decode(encoded(t, art))
		if err != nil {
			t.Fatal(err)
		}
		if err := back.SelfTest(); err != nil {
			t.Error(err)
		}
		for _, days := range []int{1, 7, 40} {
			seen, then := town(5, days, resolution).Points[4].History, town(5, days+1, resolution).Points[4].History
			f, err := forecast.Make(seen, "new", meter.EnergyImport, seen.End(), int(24*time.Hour/resolution), back, forecast.Active, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			var s forecast.Score
			for step := 1; step <= f.Steps(); step++ {
				s.Add(f.Levels, f.Values[3*(step-1):3*step], then.At(f.Start(step)))
			}
			if e := s.MAE() / s.Mean(); e > 0.5 || days > 1 && e > 0.3 {
				t.Errorf("%s, %d days old: error %.0f %%", resolution, days, 100*e)
			}
		}
	}
}

func TestWeeksSameBytesForAnyNumberOfThreads(t *testing.T) {
	d := town(3, 40, time.Hour)
	p := quickWeeks()
	p.Threads = 1
	one, _ := fit(t, d, p)
	p.Threads = 4
	if four, _ := fit(t, d, p); !bytes.Equal(encoded(t, one), encoded(t, four)) {
		t.Error("four threads fit another model than one")
	}
}

func TestWeeksNamesWhatASpecLacks(t *testing.T) {
	p := quickWeeks()
	var err error
	if p.Spec, err = feature.ParseSpec("fluxora-features 1\nlead\nweek 1\npast 1\npast 2\n"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := train.Fit(t.Context(), town(3, 40, time.Hour), p, nil); err == nil || errors.Is(err, train.ErrTooLittle) {
		t.Errorf("two hours of the past: %v", err)
	}
}

// TestWeeksFitsShortHistories has no point with two weeks before an origin, so the longer lines have nothing to learn from.
func TestWeeksFitsShortHistories(t *testing.T) {
	art, _ := fit(t, town(12, 13, time.Hour), quickWeeks())
	if w, ok := art.Model.(*model.Weeks); !ok || len(w.Lines) == 0 || w.Lines[0].Hours > 168 {
		t.Errorf("fitted %T", art.Model)
	}
}
