package train_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/tune"
	"fluxora.dev/shared/model"
)

// Whatever a search may try must be settings that a fit takes.
func TestSpacesHoldOnlyWhatFitsTake(t *testing.T) {
	for _, family := range train.Tunable() {
		space, err := train.Space(family)
		if err != nil || space.Check() != nil {
			t.Fatalf("%s: %v, %v", family, err, space.Check())
		}
		for number := range 200 {
			v := tune.Next(space, nil, number, 3)
			p, err := train.Set(train.Params{}, family, v)
			if err != nil {
				t.Fatalf("%s: %v: %v", family, v, err)
			}
			if p.Trees.Trees > 0 && p.Trees.Check() != nil || p.LSTM.Cells > 0 && p.LSTM.Check() != nil || p.Forest.Trees > 0 && p.Forest.Check() != nil {
				t.Errorf("%s: %v: %v, %v, %v", family, v, p.Trees.Check(), p.LSTM.Check(), p.Forest.Check())
			}
			delete(v, space[0].Name)
			if _, err := train.Set(train.Params{}, family, v); err == nil {
				t.Fatalf("%s: without %s: no error", family, space[0].Name)
			}
		}
	}
	if _, err := train.Set(train.Params{}, "oracle", nil); err == nil {
		t.Error("an unknown family: no error")
	}
}

// A run's record holds its settings, and a run with them is the same run.
func TestSettingsAreReadBackAsTheyAreWritten(t *testing.T) {
	given := map[string]string{
		"family": "ensemble", "members": "gbdt,additive", "points": "own", "warm_start": "true", "levels": "0.05,0.5,0.95", "horizon": "24h0m0s",
		"categories": "weekday,kind", "monotone": "-temperature", "gbdt.loss": "tweedie", "gbdt.trees": "40", "additive.own_penalty": "+Inf", "seed": "9",
	}
	p, err := train.Apply(train.Params{}, given)
	if err != nil {
		t.Fatal(err)
	}
	values := train.Values(p)
	for name, want := range given {
		if values[name] != want {
			t.Errorf("%s is %q, given %q", name, values[name], want)
		}
	}
	for name := range values {
		if strings.HasPrefix(name, "forest.") || strings.HasPrefix(name, "boosted.") {
			t.Errorf("%s is of a family that takes no part", name)
		}
	}
	again, err := train.Apply(train.Params{}, values)
	if err != nil || !maps.Equal(train.Values(again), values) {
		t.Errorf("read back: %v\n%v\n%v", err, train.Values(again), values)
	}
	if p.Trees.Leaves != train.Trees().Leaves {
		t.Errorf("one setting of trees given, the others are %+v, not the defaults", p.Trees)
	}
}

func TestEverySettingIsDescribedAndRefusesWhatMakesNoSense(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range train.Settings() {
		if s.Meaning == "" || s.Want == "" || seen[s.Name] {
			t.Errorf("%+v: want a meaning and what is wanted, once", s)
		}
		seen[s.Name] = true
		if f := s.Family(); f != "" && !slices.Contains(train.Families(), f) {
			t.Errorf("%s: no family %q", s.Name, f)
		}
		if s.Default != "" {
			if _, err := train.Apply(train.Params{}, map[string]string{s.Name: s.Default}); err != nil && !strings.HasPrefix(s.Name, "lstm") {
				t.Errorf("the default: %v", err)
			}
		}
		_, err := train.Apply(train.Params{}, map[string]string{s.Name: "nonsense of 7"})
		if err == nil || !strings.Contains(err.Error(), s.Name) || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: nonsense gives %v: want the name and what would be right", s.Name, err)
		}
	}
	for name, value := range map[string]string{
		"gbdt.trees": "0", "gbdt.loss": "quantile", "levels": "0.9,0.1", "members": "gbdt,gbdt", "monotone": "temperature", "categories": "no such feature",
		"horizon": "1m", "gbdt.power": "2", "seed": "-1", "oracle.depth": "3", model.FamilyGBDT: "1", "linear.penalty": "NaN",
	} {
		if _, err := train.Apply(train.Params{}, map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: got %v", name, value, err)
		}
	}
}
