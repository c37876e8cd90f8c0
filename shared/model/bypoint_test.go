package model_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fluxora.dev/shared/model"
)

// byPointOf returns models of a family for all and for points of some names.
func byPointOf(t testing.TB, seed uint64, family string, names ...string) (*model.ByPoint, error) {
	var own []model.OwnModel
	for i, name := range names {
		own = append(own, model.OwnModel{Point: model.HashPoint(name), Model: made(t, family, seed+1+uint64(i)).Model})
	}
	slices.SortFunc(own, func(a, b model.OwnModel) int { return cmp.Compare(a.Point, b.Point) })
	return model.NewByPoint(family, made(t, family, seed).Model, own)
}

func TestEachPointHasItsOwnModelOrTheSharedOne(t *testing.T) {
	back, err := model.Decode(encode(t, made(t, model.FamilyByPoint, 1)))
	if err != nil {
		t.Fatal(err)
	}
	row := someRows(rand.New(rand.NewPCG(1, 1)), back.Spec.Len(), 1)
	say := func(m model.Model) (out [3]float64) {
		m.Predict(row, 1, out[:])
		return out
	}
	for name, seed := range map[string]uint64{"school energy-import": 2, "house energy-import": 3, "never seen": 1} {
		if got, want := say(model.ForPoint(back.Model, name)), say(made(t, model.FamilyGBDT, seed).Model); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	// In an ensemble too.
	m, err := mixtureOf(t, 1, made(t, model.FamilyGBDT, 1).Model.(*model.GBDT).Bands, model.FamilyByPoint, model.FamilySeasonal)
	if err != nil {
		t.Fatal(err)
	}
	if say(model.ForPoint(m, "house energy-import")) == say(m) || say(model.ForPoint(m, "never seen")) != say(m) {
		t.Error("an ensemble does not ask its members for what they know of a point")
	}
}

func TestByPointRefusesWhatCannotBe(t *testing.T) {
	one := model.OwnModel{Point: 1, Model: constant{1, 2, 3}}
	for name, own := range map[string][]model.OwnModel{
		"twice":      {one, one},
		"descending": {{Point: 2, Model: constant{}}, one},
	} {
		if _, err := model.NewByPoint("x", constant{1, 2, 3}, own); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	inner, err := byPointOf(t, 1, model.FamilySeasonal)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := model.NewByPoint(model.FamilyByPoint, inner, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := made(t, model.FamilyByPoint, 1)
	a.Model = outer
	if _, err := model.Encode(a); err == nil || !strings.Contains(err.Error(), "by-point") {
		t.Errorf("by point within by point: %v", err)
	}
}
