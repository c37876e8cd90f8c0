package train_test

import (
	"errors"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
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
		forecastsNewPoints(t, art, 0.3, 1, 7, 40)
	}
}

func TestWeeksSameBytesForAnyNumberOfThreads(t *testing.T) {
	d := town(3, 40, time.Hour)
	p := quickWeeks()
	sameForAnyNumberOfThreads(t, d, p)
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
