package train

import (
	"fmt"
	"maps"
	"slices"

	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/hub/internal/tune"
	"fluxora.dev/shared/model"
)

// tunable is what can be searched of a family, and how values become settings.
type tunable struct {
	space tune.Space
	set   func(p *Params, v tune.Values)
}

func tunables() map[string]tunable {
	return map[string]tunable{
		model.FamilyGBDT: {
			tune.Space{
				{Name: "trees", Low: 20, High: 600, Log: true, Whole: true},
				{Name: "leaves", Low: 4, High: 63, Log: true, Whole: true},
				{Name: "rate", Low: 0.02, High: 0.3, Log: true},
				{Name: "least rows", Low: 10, High: 400, Log: true, Whole: true},
				{Name: "l2", Low: 0.1, High: 100, Log: true},
				{Name: "row share", Low: 0.4, High: 1},
				{Name: "feature share", Low: 0.2, High: 1},
				{Name: "clip", Low: 0.02, High: 2, Log: true},
			},
			func(p *Params, v tune.Values) {
				t := Trees()
				t.Trees, t.Leaves, t.MinLeaf = int(v["trees"]), int(v["leaves"]), int(v["least rows"])
				t.LearningRate, t.L2, t.RowShare, t.FeatureShare, t.Clip = v["rate"], v["l2"], v["row share"], v["feature share"], v["clip"]
				p.Trees = t
			},
		},
		model.FamilyForest: {
			tune.Space{
				{Name: "trees", Low: 20, High: 200, Log: true, Whole: true},
				{Name: "least rows", Low: 5, High: 200, Log: true, Whole: true},
				{Name: "feature share", Low: 0.1, High: 1},
				{Name: "clip", Low: 0.05, High: 2, Log: true},
			},
			func(p *Params, v tune.Values) {
				f := Forest()
				f.Trees, f.MinLeaf, f.FeatureShare, f.Clip = int(v["trees"]), int(v["least rows"]), v["feature share"], v["clip"]
				p.Forest = f
			},
		},
		model.FamilyLSTM: {
			tune.Space{
				{Name: "cells", Low: 8, High: 64, Log: true, Whole: true},
				{Name: "hidden", Low: 16, High: 128, Log: true, Whole: true},
				{Name: "rate", Low: 3e-4, High: 1e-2, Log: true},
				{Name: "decay", Low: 1e-4, High: 0.1, Log: true},
				{Name: "dropout", Low: 0, High: 0.4},
			},
			func(p *Params, v tune.Values) {
				n := lstm.Defaults()
				n.Cells, n.Hidden, n.Rate, n.Decay, n.Dropout = int(v["cells"]), int(v["hidden"]), v["rate"], v["decay"], v["dropout"]
				p.LSTM = n
			},
		},
	}
}

// Space returns what can be searched of a family's settings.
func Space(family string) (tune.Space, error) {
	t, ok := tunables()[family]
	if !ok {
		return nil, fmt.Errorf("family %q has nothing to search: want one of %v", family, slices.Sorted(maps.Keys(tunables())))
	}
	return t.space, nil
}

// Set returns p with the values that a search found for a family. Values of another space, such as that of an older version, are an error.
func Set(p Params, family string, v tune.Values) (Params, error) {
	space, err := Space(family)
	if err == nil {
		err = space.Holds(v)
	}
	if err != nil {
		return p, fmt.Errorf("settings of family %s: %w", family, err)
	}
	tunables()[family].set(&p, v)
	return p, nil
}

// Tunable returns the families whose settings can be searched.
func Tunable() []string { return slices.Sorted(maps.Keys(tunables())) }
