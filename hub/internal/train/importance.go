package train

import (
	"cmp"
	"slices"

	"fluxora.dev/hub/internal/train/gbdt"
)

// Importance is how much the splits of a feature lessened the squared error of what trees were fitted to.
type Importance struct {
	Feature string  `json:"feature"`
	Share   float64 `json:"share"` // of all features together; of an ensemble the mean over its members with trees, by weight
}

// importance lists the features that splits were made by, most important first.
func importance(p Params, res gbdt.Result) []Importance {
	gains := map[string]float64{}
	names := p.Spec.Names()
	for f, g := range res.Gain {
		gains[names[f]] = g
	}
	return shares(gains)
}

// shares lists features by their share of a sum.
func shares(of map[string]float64) []Importance {
	sum := 0.0
	for _, g := range of {
		sum += g
	}
	var out []Importance
	for name, g := range of {
		if g > 0 {
			out = append(out, Importance{name, g / sum})
		}
	}
	slices.SortFunc(out, func(a, b Importance) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Feature, b.Feature))
	})
	return out
}

// mixedImportance returns that of an ensemble whose members have the given weights.
func mixedImportance(weights map[string]float64, reports map[string]Report) []Importance {
	sums := map[string]float64{}
	for family, w := range weights {
		for _, i := range reports[family].Importance {
			sums[i.Feature] += w * i.Share
		}
	}
	return shares(sums)
}
