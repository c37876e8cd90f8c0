package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fluxora.dev/hub/internal/train/forest"
	"fluxora.dev/hub/internal/train/gbdt"
	"fluxora.dev/hub/internal/train/lstm"
	"fluxora.dev/shared/feature"
	"fluxora.dev/shared/model"
)

// settings is the list that Settings returns, without the defaults.
func settings() []Setting {
	out := []Setting{
		choice("family", "family that is fitted; selected: the family, or ensemble of the members, that errs least", func(p *Params) *string { return &p.Family }, append(Families(), Selected)...),
		list("members", "families that an ensemble mixes and a selection chooses from", "families with commas: "+strings.Join(single(), ", "), func(p *Params) *[]string { return &p.Members }, func(words []string) error {
			for i, w := range words {
				if !slices.Contains(single(), w) || slices.Contains(words[:i], w) {
					return fmt.Errorf("%q: want each of %s once at most", w, strings.Join(single(), ", "))
				}
			}
			return nil
		}),
		choice("points", "shared: one model for all points; own: beside it one for each point where that errs less", func(p *Params) *string { return &p.Points }, Shared, Own),
		truth("warm_start", "family gbdt goes on from the trees of the active model where that is honest, instead of from nothing", func(p *Params) *bool { return &p.WarmStart }),
		levels(),
		duration("horizon", "how far ahead is predicted", time.Hour, 7*24*time.Hour, func(p *Params) *time.Duration { return &p.Horizon }),
		duration("hold_out", "latest part of the history that quantiles are calibrated on, a quarter at most", 24*time.Hour, 400*24*time.Hour, func(p *Params) *time.Duration { return &p.HoldOut }),
		whole("rows", "rows that are learnt from, at most; an ensemble learns from 0.4 of that more, of young points", 1000, 10_000_000, func(p *Params) *int { return &p.MaxRows }),
		whole("seed", "of random draws", 1, 1<<31-1, func(p *Params) *uint64 { return &p.Seed }),
		list("categories", "features that boosted trees take as names without order", "features of the spec that are whole numbers from 0 to 254, with commas, as weekday,kind", func(p *Params) *[]string { return &p.Categories }, checkCategories),
		list("monotone", "features with which forecasts of families gbdt and quantiles must not fall (+) or not rise (-)", "features of the spec after a sign, with commas, as -temperature,+radiation", func(p *Params) *[]string { return &p.Monotone }, func(words []string) error {
			_, err := signs(words)
			return err
		}),
		choice("seasonal.rule", "baseline that is taken; empty: the one that errs least", func(p *Params) *string { return &p.Seasonal.Rule }, append(SeasonalRules(), "")...),
		penalty("linear.penalty", "of the weights that all hours share", func(p *Params) *float64 { return &p.Linear.Penalty }),
		penalty("linear.group_penalty", "of how a group of hours departs from them", func(p *Params) *float64 { return &p.Linear.GroupPenalty }),
		penalty("linear.slot_penalty", "of the corrections by time of the week", func(p *Params) *float64 { return &p.Linear.SlotPenalty }),
		penalty("additive.penalty", "of the weights that all points share", func(p *Params) *float64 { return &p.Additive.Penalty }),
		penalty("additive.own_penalty", "of how a point departs from them", func(p *Params) *float64 { return &p.Additive.OwnPenalty }),
		whole("additive.knots", "times at which the trend of a point may bend; 0: one in each 60 days", 0, mostBends, func(p *Params) *int { return &p.Additive.Knots }),
	}
	one := func(p *Params) *gbdt.Params { return orDefault(&p.Trees, Trees) }
	many := func(p *Params) *gbdt.Params { return orDefault(&p.Quantiles, Trees) }
	rest := func(p *Params) *gbdt.Params { return orDefault(&p.Boosted, boostedTrees) }
	out = append(append(out, trees(model.FamilyGBDT, one)...), append(loss(one), clip(model.FamilyGBDT, one))...)
	out = append(out, trees(model.FamilyQuantiles, many)...)
	out = append(append(out, trees(model.FamilyBoosted, rest)...), clip(model.FamilyBoosted, rest))
	f := func(p *Params) *forest.Params { return orDefault(&p.Forest, Forest) }
	out = append(out,
		whole("forest.trees", "trees", 1, 2000, func(p *Params) *int { return &f(p).Trees }).searched(20, 200, true, true),
		whole("forest.least_rows", "rows in a leaf, at least", 1, 100_000, func(p *Params) *int { return &f(p).MinLeaf }).searched(5, 200, true, true),
		number("forest.feature_share", "share of the features that a split is chosen among", 0.01, 1, func(p *Params) *float64 { return &f(p).FeatureShare }).searched(0.1, 1, false, false),
		number("forest.clip", "splits see what the anchor leaves no further than this from 0, in scales; 0: as it is", 0, 1000, func(p *Params) *float64 { return &f(p).Clip }).searched(0.05, 2, true, false),
	)
	n := func(p *Params) *lstm.Params { return orDefault(&p.LSTM, lstm.Defaults) }
	return append(out,
		whole("lstm.cells", "of the encoder's memory", 1, 64, func(p *Params) *int { return &n(p).Cells }).searched(8, 64, true, true),
		whole("lstm.hidden", "units in each of the decoder's layers", 1, 128, func(p *Params) *int { return &n(p).Hidden }).searched(16, 128, true, true),
		whole("lstm.epochs", "times through all rows, at most", 1, 1000, func(p *Params) *int { return &n(p).Epochs }),
		number("lstm.rate", "of learning, at its height", 1e-8, 1, func(p *Params) *float64 { return &n(p).Rate }).searched(3e-4, 1e-2, true, false),
		number("lstm.decay", "share of the rate by which weights shrink at each step", 0, 1, func(p *Params) *float64 { return &n(p).Decay }).searched(1e-4, 0.1, true, false),
		number("lstm.dropout", "share of the hidden units that each row does without while learning", 0, 0.9, func(p *Params) *float64 { return &n(p).Dropout }).searched(0, 0.4, false, false),
	)
}

// orDefault returns v, filled in when it is zero.
func orDefault[T comparable](v *T, def func() T) *T {
	var zero T
	if *v == zero {
		*v = def()
	}
	return v
}

// single lists the families that can be fitted by themselves.
func single() []string {
	return slices.DeleteFunc(Families(), func(f string) bool { return f == model.FamilyEnsemble })
}

// trees returns the settings of the boosted trees of a family.
func trees(family string, at func(p *Params) *gbdt.Params) []Setting {
	name := func(s string) string { return family + "." + s }
	return []Setting{
		whole(name("trees"), "trees, at most", 1, 10_000, func(p *Params) *int { return &at(p).Trees }).searched(20, 600, true, true),
		whole(name("leaves"), "leaves of a tree, at most", 2, 4096, func(p *Params) *int { return &at(p).Leaves }).searched(4, 63, true, true),
		whole(name("depth"), "depth of a tree, at most", 1, 64, func(p *Params) *int { return &at(p).Depth }),
		whole(name("least_rows"), "rows in a leaf, at least", 1, 1_000_000, func(p *Params) *int { return &at(p).MinLeaf }).searched(10, 400, true, true),
		number(name("rate"), "how much of a tree's correction is taken", 0.0001, 1, func(p *Params) *float64 { return &at(p).LearningRate }).searched(0.02, 0.3, true, false),
		number(name("l1"), "taken off the sum of a leaf's gradients", 0, 1e9, func(p *Params) *float64 { return &at(p).L1 }),
		number(name("l2"), "shrinks leaves of few rows", 0, 1e9, func(p *Params) *float64 { return &at(p).L2 }).searched(0.1, 100, true, false),
		number(name("row_share"), "share of the rows that a tree sees", 0.01, 1, func(p *Params) *float64 { return &at(p).RowShare }).searched(0.4, 1, false, false),
		number(name("feature_share"), "share of the features that a tree sees", 0.01, 1, func(p *Params) *float64 { return &at(p).FeatureShare }).searched(0.2, 1, false, false),
		whole(name("patience"), "trees without gain on the held-out rows after which fitting stops; 0: never", 0, 10_000, func(p *Params) *int { return &at(p).Patience }),
	}
}

// clip is the setting of how much a residual counts.
func clip(family string, at func(p *Params) *gbdt.Params) Setting {
	return number(family+".clip", "with squared loss: residuals count at most this much, in scales; 0: no bound", 0, 1000, func(p *Params) *float64 { return &at(p).Clip }).searched(0.02, 2, true, false)
}

// loss returns the settings of what the trees of family gbdt are fitted to lessen.
func loss(at func(p *Params) *gbdt.Params) []Setting {
	s := Setting{Name: "gbdt.loss", Meaning: "what trees are fitted to lessen; tweedie is for energies that are often zero: a mean, by a factor", Want: "one of squared, absolute, tweedie; levels by quantile loss are family quantiles"}
	s.get = func(p *Params) string { return at(p).Loss.String() }
	s.set = func(p *Params, text string) error {
		for _, l := range []gbdt.Loss{gbdt.Squared, gbdt.Absolute, gbdt.Tweedie} {
			if l.String() == text {
				at(p).Loss = l
				return nil
			}
		}
		return errors.New("want " + s.Want)
	}
	return []Setting{s, number("gbdt.power", "with tweedie: the variance grows with this power of the mean", 1.01, 1.99, func(p *Params) *float64 { return &at(p).Power })}
}

// signs reads a list of features after signs.
func signs(words []string) (map[string]int, error) {
	out := map[string]int{}
	for _, w := range words {
		sign := map[byte]int{'+': 1, '-': -1}[w[0]]
		name := strings.TrimSpace(w[1:])
		if sign == 0 || name == "" || out[name] != 0 {
			return nil, fmt.Errorf("%q: want + or - before the name of a feature, each feature once", w)
		}
		out[name] = sign
	}
	return out, nil
}

// checkCategories refuses names that no feature has, or that are quantities.
func checkCategories(words []string) error {
	for _, w := range words {
		if _, err := feature.ParseSpec(fmt.Sprintf("fluxora-features %d\n%s", feature.Version, w)); err != nil {
			return fmt.Errorf("want names of features: %w", err)
		}
	}
	return nil
}
