package train

import (
	"fmt"
	"slices"
	"time"

	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/shared/model"
)

// WarmStart says whether trees went on from those of an earlier model.
type WarmStart struct {
	Model string `json:"model,omitempty"` // the earlier one; empty: they began from nothing
	Trees int    `json:"trees,omitempty"` // that were its
	Why   string `json:"why,omitempty"`   // they began from nothing
}

const (
	freshDays = 7 * 24 * time.Hour // of history that an earlier model must not have seen: its trees are judged, and quantiles calibrated, on them
	mostWarm  = 2                  // times the trees of a fit, beyond which an ensemble is grown anew
)

// warmStart returns the model whose trees a fit goes on from, and the table with none but rows that model has not seen held
// out; or nil, the table as it is, and why.
func warmStart(t *table, p Params) (*model.GBDT, *table, *WarmStart) {
	if !p.WarmStart {
		return nil, t, nil
	}
	no := func(format string, a ...any) (*model.GBDT, *table, *WarmStart) {
		return nil, t, &WarmStart{Why: fmt.Sprintf(format, a...)}
	}
	a := p.Earlier
	if a == nil {
		return no("there is no model to go on from")
	}
	m := treesOf(a.Model)
	switch {
	case m == nil:
		return no("the model of family %s has no trees to go on from", a.Family)
	case a.Spec.Hash() != p.Spec.Hash():
		return no("the model was fitted to other features")
	case a.Resolution != t.resolution || a.Horizon != p.Horizon:
		return no("the model predicts %s ahead at %s, not %s at %s", a.Horizon, a.Resolution, p.Horizon, t.resolution)
	case m.Trees.Log != (p.Trees.Loss == gbdt.Tweedie):
		return no("the model was fitted by another loss")
	case len(m.Trees.Trees) >= mostWarm*p.Trees.Trees:
		return no("the model has %d trees: it is time to grow others", len(m.Trees.Trees))
	case t.to.Sub(a.TrainedTo) < freshDays:
		return no("the model has seen all but %s of the history: want %s to judge by", max(0, t.to.Sub(a.TrainedTo)), time.Duration(freshDays))
	case a.TrainedTo > t.cut:
		v := *t
		v.cut = a.TrainedTo
		if err := v.part(); err != nil {
			return no("%s", err)
		}
		t = &v
	}
	return m, t, &WarmStart{Model: a.ID, Trees: len(m.Trees.Trees)}
}

// treesOf returns the model of family gbdt that a model is or has among its members, nil when there is none.
func treesOf(m model.Model) *model.GBDT {
	switch m := m.(type) {
	case *model.GBDT:
		return m
	case *model.ByPoint:
		return treesOf(m.Shared)
	case *model.Mixture:
		if i := slices.IndexFunc(m.Members, func(m model.Member) bool { return treesOf(m.Model) != nil }); i >= 0 {
			return treesOf(m.Members[i].Model)
		}
	}
	return nil
}
