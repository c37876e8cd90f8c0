package train_test

import (
	"testing"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/hub/internal/tune"
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
			if p.Trees.Trees > 0 && p.Trees.Check() != nil || p.LSTM.Cells > 0 && p.LSTM.Check() != nil {
				t.Errorf("%s: %v: %v, %v", family, v, p.Trees.Check(), p.LSTM.Check())
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
