package train

import (
	"fmt"
	"sync"

	"fluxora.dev/hub/internal/train/gbdt"
)

// binned holds the bins of a table's rows once some family of trees has asked for them: all views of a table share them.
type binned struct {
	once  sync.Once
	bins  *gbdt.Binned
	rows  []float32 // what they were made of
	width int       // features
	err   error
}

// binned returns the rows in bins, without the features at their end that trees leave aside: the numbers of the others hold.
func (t *table) binned(p Params) (*binned, error) {
	b := t.bins
	b.once.Do(func() {
		b.rows, b.width = withoutAside(t, p.Spec)
		columns := make([]gbdt.Column, b.width)
		for _, name := range p.Categories {
			columns[p.Spec.Column(name)].Category = true
		}
		b.bins, b.err = gbdt.Bin(b.rows, b.width, p.Threads, columns...)
	})
	return b, b.err
}

// monotone returns the bins, with what p wants of the direction of features.
func (b *binned) monotone(p Params) *gbdt.Binned {
	of, _ := signs(p.Monotone) // checked before the table was made
	byColumn := map[int]int{}
	for name, sign := range of {
		byColumn[p.Spec.Column(name)] = sign
	}
	return b.bins.Monotone(byColumn)
}

// checkDirections returns an error unless features that are to be categories or monotone can be.
func (p Params) checkDirections() error {
	usable := func(setting, name string) error {
		if c := p.Spec.Column(name); c < 0 || isAside(name) {
			return fmt.Errorf("setting %s: feature %q: want one of the spec that trees read: `fluxora-hub features describe` lists them", setting, name)
		}
		return nil
	}
	category := map[string]bool{}
	for _, name := range p.Categories {
		if err := usable("categories", name); err != nil {
			return err
		}
		category[name] = true
	}
	of, err := signs(p.Monotone)
	if err != nil {
		return fmt.Errorf("setting monotone: %w", err)
	}
	anchored := map[int]bool{}
	for _, names := range [][]string{centreBase, centreTerms} {
		for _, c := range columnsOf(p.Spec, names) {
			anchored[c] = true
		}
	}
	for name := range of {
		switch err := usable("monotone", name); {
		case err != nil:
			return err
		case category[name]:
			return fmt.Errorf("setting monotone: feature %q: want one that is not among the categories, which have no order", name)
		case anchored[p.Spec.Column(name)]:
			return fmt.Errorf("setting monotone: feature %q: want one that forecasts do not start from: those enter with weights of their own", name)
		}
	}
	return nil
}
