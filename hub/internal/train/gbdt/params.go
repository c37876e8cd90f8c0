package gbdt

import "fmt"

// Params are the settings of a fit.
type Params struct {
	Trees          int     // at most
	Leaves         int     // at most, in a tree
	Depth          int     // of a tree, at most
	MinLeaf        int     // rows in a leaf, at least
	LearningRate   float64 // how much of a tree's correction is taken
	L1             float64 // taken off the sum of a leaf's gradients: leaves that would say little say nothing
	L2             float64 // shrinks leaves of few rows
	MinGain        float64 // a split must lessen the squared error over the leaf's rows by more
	RowShare       float64 // share of the rows that a tree sees, drawn anew for each
	FeatureShare   float64 // share of the features that a tree sees
	CategorySmooth float64 // a category's mean counts as if so many rows of the leaf's mean were added
	Loss           Loss
	Clip           float64 // with squared loss: residuals count at most this much (Huber's loss); 0: no bound
	Level          float64 // with quantile loss, in (0, 1)
	Power          float64 // with Tweedie's loss, in (1, 2)
	Patience       int     // stop after so many trees without gain on the held-out rows; 0: never
	Seed           uint64
	Threads        int // 0 means 1
}

// Defaults returns settings that serve most data without tuning.
func Defaults() Params {
	return Params{
		Trees: 300, Leaves: 31, Depth: 12, MinLeaf: 40, LearningRate: 0.08, L2: 1, RowShare: 0.8, FeatureShare: 0.7,
		CategorySmooth: 10, Level: 0.5, Power: 1.5, Patience: 25, Seed: 1, Threads: 1,
	}
}

// Check returns an error that names a setting no fit can work with.
func (p Params) Check() error {
	switch {
	case p.Trees < 1 || p.Trees > 10_000:
		return fmt.Errorf("trees %d: want 1 to 10000", p.Trees)
	case p.Leaves < 2 || p.Leaves > 4096:
		return fmt.Errorf("leaves %d: want 2 to 4096", p.Leaves)
	case p.Depth < 1 || p.Depth > 64:
		return fmt.Errorf("depth %d: want 1 to 64", p.Depth)
	case p.MinLeaf < 1:
		return fmt.Errorf("rows in a leaf %d: want at least 1", p.MinLeaf)
	case !(p.LearningRate > 0 && p.LearningRate <= 1):
		return fmt.Errorf("learning rate %g: want a number in (0, 1]", p.LearningRate)
	case !penalty(p.L1) || !penalty(p.L2) || !penalty(p.MinGain) || !penalty(p.CategorySmooth):
		return fmt.Errorf("L1 %g, L2 %g, least gain %g, smoothing of categories %g: want numbers ≥ 0", p.L1, p.L2, p.MinGain, p.CategorySmooth)
	case !(p.RowShare > 0 && p.RowShare <= 1):
		return fmt.Errorf("share of rows %g: want a number in (0, 1]", p.RowShare)
	case !(p.FeatureShare > 0 && p.FeatureShare <= 1):
		return fmt.Errorf("share of features %g: want a number in (0, 1]", p.FeatureShare)
	case p.Loss > Tweedie:
		return fmt.Errorf("%s: want squared, absolute, quantile or tweedie", p.Loss)
	case !penalty(p.Clip):
		return fmt.Errorf("clip %g: want a number ≥ 0", p.Clip)
	case p.Loss == Quantile && !(p.Level > 0 && p.Level < 1):
		return fmt.Errorf("quantile level %g: want a number in (0, 1)", p.Level)
	case p.Loss == Tweedie && !(p.Power > 1 && p.Power < 2):
		return fmt.Errorf("power %g of Tweedie's loss: want a number in (1, 2)", p.Power)
	case p.Patience < 0 || p.Threads < 0:
		return fmt.Errorf("patience %d, threads %d: want numbers ≥ 0", p.Patience, p.Threads)
	}
	return nil
}

func penalty(v float64) bool { return v >= 0 && v <= 1e300 }
