package gbdt

import "fmt"

// Params are the settings of a fit.
type Params struct {
	Trees        int     // at most
	Leaves       int     // at most, in a tree
	Depth        int     // of a tree, at most
	MinLeaf      int     // rows in a leaf, at least
	LearningRate float64 // how much of a tree's correction is taken
	L2           float64 // shrinks leaves of few rows
	RowShare     float64 // share of the rows that a tree sees, drawn anew for each
	FeatureShare float64 // share of the features that a tree sees
	Clip         float64 // residuals count at most this much (Huber's loss); 0 means squared loss
	Patience     int     // stop after so many trees without gain on the held-out rows
	Seed         uint64
	Threads      int // 0 means 1
}

// Defaults returns settings that serve most data without tuning.
func Defaults() Params {
	return Params{Trees: 300, Leaves: 31, Depth: 12, MinLeaf: 40, LearningRate: 0.08, L2: 1, RowShare: 0.8, FeatureShare: 0.7, Patience: 25, Seed: 1, Threads: 1}
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
	case !(p.L2 >= 0):
		return fmt.Errorf("L2 %g: want a number ≥ 0", p.L2)
	case !(p.RowShare > 0 && p.RowShare <= 1):
		return fmt.Errorf("share of rows %g: want a number in (0, 1]", p.RowShare)
	case !(p.FeatureShare > 0 && p.FeatureShare <= 1):
		return fmt.Errorf("share of features %g: want a number in (0, 1]", p.FeatureShare)
	case !(p.Clip >= 0):
		return fmt.Errorf("clip %g: want a number ≥ 0", p.Clip)
	case p.Patience < 0 || p.Threads < 0:
		return fmt.Errorf("patience %d, threads %d: want numbers ≥ 0", p.Patience, p.Threads)
	}
	return nil
}
