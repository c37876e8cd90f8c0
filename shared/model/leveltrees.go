package model

import "fmt"

// LevelTrees is trees whose leaves hold a value for each quantile level: an ensemble for each level, all of one structure.
type LevelTrees struct {
	Bases  []float64 // by level
	Trees  []Tree    // leaves have no value of their own
	Sets   []Set
	Values [][]float32 // by tree, then leaf in the order of the nodes, then level
}

// Check returns an error unless every walk through every tree ends in a leaf with a number for each level.
func (f LevelTrees) Check(features, levels int) error {
	if len(f.Bases) != levels || len(f.Values) != len(f.Trees) {
		return fmt.Errorf("%d bases for %d levels, values of %d trees of %d", len(f.Bases), levels, len(f.Values), len(f.Trees))
	}
	for _, b := range f.Bases {
		if !finite(b) {
			return fmt.Errorf("base %g of the trees", b)
		}
	}
	for t, tree := range f.Trees {
		leaves := 0
		for i, n := range tree {
			if n.Feature == Leaf {
				leaves++
				if n.Value != 0 {
					return fmt.Errorf("tree %d node %d: value %g beside those by level", t, i, n.Value)
				}
			}
		}
		if len(f.Values[t]) != leaves*levels {
			return fmt.Errorf("tree %d: %d values for %d leaves of %d levels", t, len(f.Values[t]), leaves, levels)
		}
		for _, v := range f.Values[t] {
			if !finite(float64(v)) {
				return fmt.Errorf("tree %d: value %g in a leaf", t, v)
			}
		}
	}
	return checkTrees(f.Trees, len(f.Sets), features)
}

// Sum fills out, rows × levels, with the value of each level for n rows of so many features. Levels may cross.
func (f LevelTrees) Sum(rows []float32, features, n int, out []float64) {
	f.sum(f.flatten(), rows, features, n, out)
}

// flatLevels is LevelTrees for fast walks.
type flatLevels struct {
	*flat
	values []float32 // by leaf of all trees, then level
}

func (f *LevelTrees) flatten() *flatLevels {
	flat := flatten(f.Trees, f.Sets, true)
	if flat == nil {
		return nil
	}
	out := &flatLevels{flat: flat}
	for _, v := range f.Values {
		out.values = append(out.values, v...)
	}
	return out
}

// sum is Sum with the trees in their fast form, unless that is nil.
func (f *LevelTrees) sum(fast *flatLevels, rows []float32, features, n int, out []float64) {
	levels := len(f.Bases)
	for r := range n {
		copy(out[r*levels:(r+1)*levels], f.Bases)
	}
	if fast == nil {
		f.walk(rows, features, n, out)
		return
	}
	var sixes [together / lanes][lanes]keys
	for n > 0 {
		k := min(n, together)
		for r := range k {
			sixes[r/lanes][r%lanes].fill(fast.flat, rows[r*features:(r+1)*features])
		}
		for _, t := range fast.trees {
			nodes := (*treeNodes)(fast.nodes[t.from:])
			for r := 0; r < k; r += lanes {
				var at [lanes]uint64
				at[0], at[1], at[2], at[3], at[4], at[5] = walk(nodes, &sixes[r/lanes], t.steps)
				for i, leaf := range at[:min(lanes, k-r)] {
					add(out[(r+i)*levels:(r+i+1)*levels], fast.values[int(uint32(leaf>>24))*levels:])
				}
			}
		}
		rows, out, n = rows[k*features:], out[k*levels:], n-k
	}
}

// walk is sum, tree by tree and row by row: slow and plain.
func (f *LevelTrees) walk(rows []float32, features, n int, out []float64) {
	levels := len(f.Bases)
	for t, tree := range f.Trees {
		for r := range n {
			at := tree.leaf(rows[r*features:(r+1)*features], f.Sets)
			leaf := 0
			for _, n := range tree[:at] {
				if n.Feature == Leaf {
					leaf++
				}
			}
			add(out[r*levels:(r+1)*levels], f.Values[t][leaf*levels:])
		}
	}
}

func add(to []float64, from []float32) {
	for i, v := range from[:len(to)] {
		to[i] += float64(v)
	}
}
