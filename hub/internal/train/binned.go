package train

import (
	"slices"
	"sync"

	"fluxora.dev/hub/internal/train/gbdt"
)

// binned holds the bins of a table's rows once some family of trees has asked for them: all views of a table share them.
type binned struct {
	once sync.Once
	bins *gbdt.Binned
	err  error
}

// binned returns the rows in bins, without the hours of the past that sequence models read: those stand behind all other
// features, so the numbers of the others hold.
func (t *table) binned(p Params) (*gbdt.Binned, error) {
	t.bins.once.Do(func() {
		width := t.width
		if past := slices.IndexFunc(p.Spec.Names(), isPast); past >= 0 && !slices.ContainsFunc(p.Spec.Names()[past:], func(n string) bool { return !isPast(n) }) {
			width = past
		}
		rows := t.rows
		if width < t.width {
			rows = make([]float32, 0, t.len()*width)
			for r := range t.len() {
				rows = append(rows, t.row(int32(r))[:width]...)
			}
		}
		t.bins.bins, t.bins.err = gbdt.Bin(rows, width, p.Threads)
	})
	return t.bins.bins, t.bins.err
}
