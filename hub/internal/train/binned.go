package train

import (
	"sync"

	"fluxora.dev/hub/internal/train/gbdt"
)

// binned holds the bins of a table's rows once some family of trees has asked for them: all views of a table share them.
type binned struct {
	once  sync.Once
	bins  *gbdt.Binned
	width int // features
	err   error
}

// binned returns the rows in bins and how many features those have: without the hours of the past that sequence models read: those stand behind all other
// features, so the numbers of the others hold.
func (t *table) binned(p Params) (bins *gbdt.Binned, width int, err error) {
	t.bins.once.Do(func() {
		rows, width := withoutPast(t, p.Spec)
		t.bins.width = width
		t.bins.bins, t.bins.err = gbdt.Bin(rows, width, p.Threads)
	})
	return t.bins.bins, t.bins.width, t.bins.err
}
