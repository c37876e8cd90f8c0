package model_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"fluxora.dev/shared/model"
)

func TestGrowthBetweenAndBeyondItsAges(t *testing.T) {
	const day = 24 * time.Hour
	g := model.Growth{1.2, 1.6, 2.4}
	for age, want := range map[time.Duration]float64{
		-day: 1, 0: 1, 12 * time.Hour: 1.1, day: 1.2, 2 * day: 1.4, 3 * day: 1.6, 5 * day: 2, 7 * day: 2.4, 10 * day: 3, 400 * day: 10,
	} {
		if got := g.At(age); math.Abs(got-want) > 1e-9 {
			t.Errorf("at %s: %g, want %g", age, got, want)
		}
	}
	if got := model.Growth(nil).At(7 * day); got != 1 {
		t.Errorf("without growth: %g", got)
	}
}

func TestGrowthTravels(t *testing.T) {
	a := made(t, model.FamilySeasonal, 1)
	a.Growth = model.Growth{1, 1.5, 2.25}
	b, err := model.Decode(encode(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Growth) != 3 || b.Growth[2] != 2.25 {
		t.Errorf("growth %v", b.Growth)
	}
	for _, bad := range []model.Growth{{1, 2}, {2, 1, 3}, {0.5, 1, 2}, {1, 2, math.NaN()}, {1, 2, 11}} {
		a.Growth = bad
		if _, err := model.Encode(a); !errors.Is(err, model.ErrDamaged) {
			t.Errorf("growth %v: %v", bad, err)
		}
	}
}
