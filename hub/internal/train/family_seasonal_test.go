package train_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// TestTheBaselineThatErrsLeastIsTaken gives points that repeat their weeks, and points that repeat the day before.
func TestTheBaselineThatErrsLeastIsTaken(t *testing.T) {
	spec := feature.Default()
	weekly, moving := town(3, 60, time.Hour), town(3, 60, time.Hour)
	for p := range moving.Points {
		e := moving.Points[p].History.Energy
		for i := range e {
			e[i] = 100 * math.Exp(float64(i/24)/10) // a tenth more each day
		}
	}
	columns := func(d train.Dataset, rule string) []int {
		a, r := fit(t, d, train.Params{Family: model.FamilySeasonal, Spec: spec, Horizon: 24 * time.Hour, Seasonal: train.SeasonalParams{Rule: rule}})
		if !(r.HeldLoss > 0) {
			t.Errorf("rule %q: held loss %g", rule, r.HeldLoss)
		}
		return a.Model.(*model.Seasonal).Columns
	}
	if got := columns(weekly, ""); got[0] != spec.Column("weeks mean 4") && got[0] != spec.Column("similar mean 4") {
		t.Errorf("points that repeat their weeks: column %s", spec.Names()[got[0]])
	}
	if got := columns(moving, ""); got[0] != spec.Column("day 1") {
		t.Errorf("points that grow: column %s", spec.Names()[got[0]])
	}
	for rule, name := range map[string]string{"day": "day 1", "week": "week 1", "four-weeks": "weeks mean 4", "similar": "similar mean 4"} {
		if got := columns(weekly, rule); got[0] != spec.Column(name) || !slices.Contains(got, spec.Column("window mean 24h")) {
			t.Errorf("rule %s: columns %v", rule, got)
		}
	}
	_, _, err := train.Fit(context.Background(), weekly, train.Params{Family: model.FamilySeasonal, Seasonal: train.SeasonalParams{Rule: "month"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "month") {
		t.Errorf("rule month: %v", err)
	}
}
