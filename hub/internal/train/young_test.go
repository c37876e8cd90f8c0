package train_test

import (
	"slices"
	"testing"
	"time"

	"fluxora.dev/hub/internal/train"
	"fluxora.dev/shared/model"
)

// TestEnsembleHasMembersForYoungPoints finds the members that learnt from short histories alone, with weights for young points
// and for no others, and finds none where no point is young.
func TestEnsembleHasMembersForYoungPoints(t *testing.T) {
	d := town(8, 90, time.Hour)
	p := quick()
	p.MaxRows = 12_000
	for _, settled := range []bool{false, true} {
		p.Settled = settled
		s, err := train.FitAll(t.Context(), d, p, []string{model.FamilyLinear, model.FamilySeasonal}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []*model.Artifact{s.Fitted[model.FamilyEnsemble].Trial, s.Fitted[model.FamilyEnsemble].Artifact} {
			m := a.Model.(*model.Mixture)
			lines := 0
			for _, member := range m.Members {
				if member.Family == model.FamilyLinear {
					lines++
				}
			}
			if settled && lines > 1 || !settled && lines != 2 {
				t.Errorf("settled %v: %d lines", settled, lines)
			}
			if settled || lines != 2 {
				continue
			}
			young, n, used := len(m.Members)-1, len(m.Members), false
			for at := 0; at < len(m.Weights); at += n {
				group := at / n % m.Groups.Count()
				if w := m.Weights[at+young]; group > 0 && w > 0 {
					t.Errorf("a member of young points has weight %g for group %d", w, group)
				} else if w > 0 {
					used = true
				}
			}
			if !used {
				t.Error("the member of young points counts nowhere")
			}
		}
		if settled && slices.Contains([]string{"", train.Selected}, s.Selected) {
			t.Errorf("selected %q", s.Selected)
		}
	}
}
