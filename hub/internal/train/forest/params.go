package forest

import "fmt"

// Params are the settings of a forest.
type Params struct {
	Trees        int
	MinLeaf      int     // rows in a leaf, at least
	MaxLeaves    int     // in a tree, at most
	FeatureShare float64 // share of the features that a split is chosen among
	RowShare     float64 // draws of a bootstrap, as a share of the rows
	Clip         float64 // splits see targets no further than this from 0; 0: as they are. Leaves keep them as they are.
	Seed         uint64
	Threads      int // 0 means 1
}

// Defaults returns settings that serve most data without tuning.
func Defaults() Params {
	return Params{Trees: 100, MinLeaf: 5, MaxLeaves: MaxLeaves, FeatureShare: 1. / 3, RowShare: 1, Seed: 1, Threads: 1}
}

// MaxLeaves bounds what a tree can have in an artifact.
const MaxLeaves = 1 << 14

// Check returns an error that names a setting no fit can work with.
func (p Params) Check() error {
	switch {
	case p.Trees < 1 || p.Trees > 2000:
		return fmt.Errorf("trees %d: want 1 to 2000", p.Trees)
	case p.MinLeaf < 1:
		return fmt.Errorf("rows in a leaf %d: want at least 1", p.MinLeaf)
	case p.MaxLeaves < 2 || p.MaxLeaves > MaxLeaves:
		return fmt.Errorf("leaves %d: want 2 to %d", p.MaxLeaves, MaxLeaves)
	case !(p.FeatureShare > 0 && p.FeatureShare <= 1):
		return fmt.Errorf("share of features %g: want a number in (0, 1]", p.FeatureShare)
	case !(p.RowShare > 0 && p.RowShare <= 1):
		return fmt.Errorf("share of rows %g: want a number in (0, 1]", p.RowShare)
	case !(p.Clip >= 0):
		return fmt.Errorf("clip %g: want a number ≥ 0", p.Clip)
	case p.Threads < 0:
		return fmt.Errorf("threads %d: want a number ≥ 0", p.Threads)
	}
	return nil
}
