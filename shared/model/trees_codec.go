package model

import "errors"

// Marks in the count of trees, so that builds that know neither refuse what they would read wrong.
const (
	treesHaveSets = 1 << 31
	treesAreLog   = 1 << 30
)

// trees writes trees with their sets of categories.
func (w *writer) trees(trees []Tree, sets []Set, log bool) {
	count := uint32(len(trees))
	if len(sets) > 0 {
		count |= treesHaveSets
	}
	if log {
		count |= treesAreLog
	}
	w.u32(count)
	if len(sets) > 0 {
		w.u16(uint16(len(sets)))
		for _, s := range sets {
			for _, v := range s {
				w.u32(v)
			}
		}
	}
	for _, t := range trees {
		w.u16(uint16(len(t)))
		for _, n := range t {
			w.u16(n.Feature)
			w.u16(n.Left)
			w.f32(n.Value)
		}
	}
}

// trees reads what writer.trees wrote. What the nodes say is not checked.
func (r *reader) trees() (trees []Tree, sets []Set, log bool, err error) {
	count := r.u32()
	log = count&treesAreLog != 0
	if count&treesHaveSets != 0 {
		n := int(r.u16())
		if r.bad || n == 0 || n > r.left()/32 {
			return nil, nil, false, errors.New("count of sets of categories")
		}
		sets = make([]Set, n)
		for i := range sets {
			for k := range sets[i] {
				sets[i][k] = r.u32()
			}
		}
	}
	count &^= treesHaveSets | treesAreLog
	if r.bad || count > maxTrees || int(count) > r.left()/10 {
		return nil, nil, false, errors.New("count of trees")
	}
	trees = make([]Tree, count)
	for t := range trees {
		n := int(r.u16())
		if r.bad || n > maxNodes || n > r.left()/8 {
			return nil, nil, false, errors.New("count of nodes")
		}
		tree := make(Tree, n)
		for k := range tree {
			tree[k] = Node{Feature: r.u16(), Left: r.u16(), Value: r.f32()}
		}
		trees[t] = tree
	}
	return trees, sets, log, nil
}
